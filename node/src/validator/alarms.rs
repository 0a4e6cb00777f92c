//! Alarms: what an operator is to look at, judged once a second, in the validator alone. Log, status, metrics and the
//! `monitor` command show what is judged here, and judge nothing themselves.
//!
//! ```text
//! counters, peers, disk, memory ─▶ Seen ── judge ─▶ findings ── Board ─▶ since when; raised and cleared, in the log
//! ```
//!
//! `docs/ALARMS.md` has what to do about each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::types::ValidatorIndex;
use engine::wire::BEHIND_MAX;
use engine::wire::answers::{AlarmAnswer, AlarmKind, Severity};
use net::{Identity, PeerNetwork};

use super::certificate::{DAY, WARNED_DAYS};
use super::shared::Shared;
use super::storage::why_portable;
use crate::disk::{ROOM_LOW_BYTES, free_bytes};
use crate::machine::{Memory, memory};
use crate::silences::{Silences, Watched};

/// A look is taken at every so many calls of [`AlarmWatch::look`], which come five times a second.
const CALLS_EACH: u32 = 5;
/// A validator that has not been connected for so long is missing.
const MISSING_AFTER: Duration = Duration::from_secs(3);
/// So long after its start a validator has had the time to find the others.
const SETTLED_AFTER: Duration = Duration::from_secs(10);
/// Transactions may wait so long for a block.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Another process with this identity is told of for so long after it was seen.
const CLONE_TOLD: Duration = Duration::from_secs(300);
/// Less than this on the disk, and the validator will soon stop.
const ROOM_CRITICAL_BYTES: u64 = 128 << 20;
/// Less than one part in so many of the memory is available.
const MEMORY_LOW_PART: u64 = 20;

/// What is looked at.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// On a clock that only goes forward, from the start of the validator.
    now: Duration,
    /// Seconds since the Unix epoch.
    unix: u64,
    /// The place of this validator, and whether it is a member.
    me: u16,
    is_member: bool,
    /// How many members there are, and how many make a quorum.
    members: u16,
    quorum: u16,
    /// Members that are connected, without this one.
    connected: Vec<u16>,
    committed: u64,
    pending: u64,
    behind: Option<u64>,
    needs: Option<String>,
    stream_lost: bool,
    votes_forgotten: bool,
    /// How often a second process with the identity of a validator was met, by that validator.
    clones: BTreeMap<u16, u64>,
    free: Option<u64>,
    memory: Option<Memory>,
    rotten: u64,
    fallback: Option<String>,
    certificate_until: Option<u64>,
    device: Option<(Severity, String)>,
    by_device: Vec<u16>,
}

/// What was seen before.
#[derive(Debug, Default)]
struct Past {
    /// Since when each member that is missing is missing.
    missing: BTreeMap<u16, Duration>,
    /// The committed height, and since when it is that, or nothing waits.
    committed: (u64, Duration),
    /// How often a second process with the identity of a validator was met, and when it was more for the last time.
    clones: BTreeMap<u16, (u64, Duration)>,
}

/// Something that is wrong.
type Finding = ((AlarmKind, Option<ValidatorIndex>), (Severity, String));

impl Past {
    /// What is wrong now.
    fn judge(&mut self, seen: &Seen) -> Vec<Finding> {
        let mut found = Vec::new();
        self.judge_peers(seen, &mut found);
        self.judge_clones(seen, &mut found);
        let mut say = |kind, severity, words: String| found.push(((kind, None), (severity, words)));
        if seen.committed != self.committed.0 || seen.pending == 0 {
            self.committed = (seen.committed, seen.now);
        }
        let waited = seen.now.saturating_sub(self.committed.1);
        if waited >= WAIT_MAX {
            let (pending, height, seconds) = (seen.pending, seen.committed, waited.as_secs());
            let words =
                format!("{pending} transactions wait, and no block follows height {height} for {seconds} s");
            say(AlarmKind::NoCommits, Severity::Critical, words);
        }
        match seen.behind {
            Some(behind) if behind > BEHIND_MAX => {
                say(
                    AlarmKind::Lagging,
                    Severity::Warning,
                    format!("this validator is {behind} blocks behind"),
                );
            }
            _ => {}
        }
        if let Some(needs) = &seen.needs {
            say(AlarmKind::CannotCatchUp, Severity::Critical, needs.clone());
        }
        if seen.stream_lost {
            let words = "it does not know how far its own stream goes, and takes no transactions";
            say(AlarmKind::StreamLost, Severity::Critical, words.to_owned());
        }
        if seen.votes_forgotten {
            let words = "it may have forgotten what it voted for, and does not vote";
            say(AlarmKind::VotesForgotten, Severity::Critical, words.to_owned());
        }
        match seen.free {
            Some(free) if free < ROOM_LOW_BYTES => {
                let is_critical = free < ROOM_CRITICAL_BYTES;
                let severity = if is_critical { Severity::Critical } else { Severity::Warning };
                say(
                    AlarmKind::DiskFills,
                    severity,
                    format!("{} MiB are free on the disk of its data", free >> 20),
                );
            }
            _ => {}
        }
        match seen.memory {
            Some(Memory { available, of }) if available < of / MEMORY_LOW_PART => {
                let words = format!("{} of {} MiB of memory are available", available >> 20, of >> 20);
                say(AlarmKind::MemoryLow, Severity::Warning, words);
            }
            _ => {}
        }
        if seen.rotten > 0 {
            let words = format!("{} places on its disk cannot be read and are not repaired", seen.rotten);
            say(AlarmKind::DiskRots, Severity::Critical, words);
        }
        if let Some(why) = &seen.fallback {
            say(
                AlarmKind::BackendFallback,
                Severity::Warning,
                format!("the journal is written by plain file calls: {why}"),
            );
        }
        if let Some((severity, words)) = &seen.device {
            say(AlarmKind::DeviceOut, *severity, words.clone());
        }
        let faulty = usize::from(seen.members.saturating_sub(1) / 3);
        if seen.by_device.len() > faulty {
            let words = format!(
                "{} of {} validators have signatures checked by a device (validators {:?}): a fault that their devices \
                 share could make a forgery final",
                seen.by_device.len(),
                seen.members,
                seen.by_device
            );
            say(AlarmKind::DevicesDecide, Severity::Warning, words);
        }
        match seen.certificate_until.map(|until| until.checked_sub(seen.unix)) {
            Some(None) => {
                say(AlarmKind::CertificateEnds, Severity::Critical, "its certificate has ended".to_owned())
            }
            Some(Some(left)) if left <= WARNED_DAYS * DAY => {
                say(
                    AlarmKind::CertificateEnds,
                    Severity::Warning,
                    format!("its certificate ends in {} days", left / DAY),
                );
            }
            _ => {}
        }
        found
    }

    /// Who is missing, and whether the others are enough.
    fn judge_peers(&mut self, seen: &Seen, found: &mut Vec<Finding>) {
        let others = (0..seen.members).filter(|of| !(seen.is_member && *of == seen.me));
        let absent: Vec<u16> = others.filter(|of| !seen.connected.contains(of)).collect();
        self.missing.retain(|of, _| absent.contains(of));
        for of in &absent {
            self.missing.entry(*of).or_insert(seen.now);
        }
        let is_settled = |since: Duration| seen.now >= since + MISSING_AFTER && seen.now >= SETTLED_AFTER;
        let missing: Vec<u16> =
            self.missing.iter().filter(|(_, since)| is_settled(**since)).map(|(of, _)| *of).collect();
        let there = seen.members - missing.len() as u16;
        if !missing.is_empty() && there <= seen.quorum {
            let (kind, words) = match there < seen.quorum {
                true => (AlarmKind::QuorumLost, "nothing is committed"),
                false => (AlarmKind::QuorumAtEdge, "one more loss stops the network"),
            };
            let (members, quorum) = (seen.members, seen.quorum);
            let words =
                format!("{there} of {members} validators are there, and {quorum} make a quorum: {words}");
            found.push(((kind, None), (Severity::Critical, words)));
        }
        for of in missing {
            let words = format!("validator {of} is not connected to this one");
            found.push(((AlarmKind::PeerUnreachable, Some(ValidatorIndex(of))), (Severity::Warning, words)));
        }
    }

    /// An identity that two processes use, for as long as [`CLONE_TOLD`] after the second one was met last.
    fn judge_clones(&mut self, seen: &Seen, found: &mut Vec<Finding>) {
        for (of, times) in &seen.clones {
            let known = self.clones.entry(*of).or_insert((0, seen.now));
            if *times > known.0 {
                *known = (*times, seen.now);
            }
            if seen.now < known.1 + CLONE_TOLD {
                let whose = if *of == seen.me { " (this one)" } else { "" };
                let words = format!(
                    "two processes use the identity of validator {of}{whose}; the second one was met {times} times"
                );
                let about = Some(ValidatorIndex(*of));
                found.push(((AlarmKind::ClonedIdentity, about), (Severity::Critical, words)));
            }
        }
    }
}

/// The alarms that there are now. Any thread may read them.
#[derive(Debug, Default)]
pub struct Board(Mutex<BTreeMap<(AlarmKind, Option<ValidatorIndex>), AlarmAnswer>>);

impl Board {
    /// All alarms, by kind and then by what they are about.
    pub fn now(&self) -> Vec<AlarmAnswer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Takes what was found, and says what has changed.
    fn update(&self, found: Vec<Finding>, silences: &Silences, unix: u64) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *board);
        for ((alarm, about), (severity, says)) in found {
            let (known, silenced) = (before.get(&(alarm, about)), silences.of(alarm, about, unix));
            if known.is_none_or(|known| known.severity != severity) {
                let (alarm, severity) = (alarm.name(), severity.name());
                match &silenced {
                    None => {
                        tracing::warn!(alarm, severity, "alarm: {says} (docs/ALARMS.md says what to do)");
                    }
                    Some(silence) => {
                        tracing::info!(alarm, severity, "a silenced alarm ({}): {says}", silence.reason);
                    }
                }
            }
            let since = known.map_or(unix, |known| known.since);
            board.insert((alarm, about), AlarmAnswer { alarm, severity, about, since, says, silenced });
        }
        for (of, cleared) in before.iter().filter(|(of, _)| !board.contains_key(*of)) {
            tracing::info!(alarm = of.0.name(), "the alarm is over: {}", cleared.says);
        }
    }
}

/// Takes the looks of one validator.
#[derive(Default)]
pub(super) struct AlarmWatch {
    past: Past,
    silences: Watched,
    calls: u32,
}

impl AlarmWatch {
    /// Takes its look, if it is time for one.
    pub(super) fn look(
        &mut self,
        shared: &Shared,
        peers: &PeerNetwork,
        (identity, data): (&Identity, &Path),
    ) {
        let is_due = self.calls.is_multiple_of(CALLS_EACH);
        self.calls = self.calls.wrapping_add(1);
        if !is_due {
            return;
        }
        let (counters, members) = (&shared.counters, shared.epochs.members().list.len() as u16);
        let now = shared.clock.now();
        let seen = Seen {
            now,
            unix: shared.clock.moment().unix_ms / 1_000,
            me: shared.me.0,
            is_member: shared.standing.is_member(),
            members,
            quorum: members - (members.saturating_sub(1)) / 3,
            connected: peers.connected().into_iter().filter(|of| *of < members).collect(),
            committed: counters.height.load(Relaxed),
            pending: shared.mempools.iter().map(|of| of.len() as u64).sum(),
            behind: counters.as_of().behind,
            needs: shared.catch_up.now(now).0.map(|of| {
                format!(
                    "it needs height {}, and no connected validator keeps what is before {}",
                    of.height, of.kept_from
                )
            }),
            stream_lost: counters.stream_lost.load(Relaxed) != 0,
            votes_forgotten: counters.votes_forgotten.load(Relaxed) != 0,
            clones: peers.duplicates(),
            free: free_bytes(data).ok(),
            memory: memory(),
            rotten: counters.rotten.load(Relaxed),
            fallback: why_portable(&shared.journal),
            certificate_until: identity.valid_until(),
            device: shared.checking.trouble(),
            by_device: shared.checking.members_by_device(shared.me, members),
        };
        shared.alarms.update(self.past.judge(&seen), self.silences.look(data, seen.unix), seen.unix);
    }
}

#[cfg(test)]
mod tests;
