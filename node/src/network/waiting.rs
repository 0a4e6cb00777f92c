//! Waiting until validators that were started answer and have found each other: with patience for those that make
//! progress, and with words about those that do not.
//!
//! ```text
//!            ┌── replaying its journal: waited for, its progress is told
//!   silent ──┤                    ┌── too few peers, while others still come ──┐
//!      │     └── answers ─────────┴────────────────────────────────────────────┴── ready
//!      └── no progress for as long as the patience lasts, or ended: named; the others are waited for
//! ```
//!
//! A removed validator is ready when it answers, also if no member lets it in. An observer is ready when one does.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use client::answers::StatusAnswer;
use client::{ClientError, Role};
use engine::types::{Members, Membership};
use net::ConnectError;

use super::found::is_stopped;
use super::process;
use super::{Member, Network, ProcessError, ValidatorProcess};
use crate::validator::clock::Clock;

/// How often a starting validator is asked.
const POLL: Duration = Duration::from_millis(50);
/// How often its log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often those are told that are still waited for.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How many of them are told one by one.
const TOLD_MAX: usize = 8;
/// What is said of one that does not answer.
const NO_ANSWER: &str = "no answer yet";
/// What a validator logs while it makes progress and does not answer yet.
const PROGRESS: [&str; 3] = ["replaying the journal", "continuing from a checkpoint", "recovered"];

/// What a validator says.
enum Answer {
    /// Of itself, by its number in the network; why it says nothing, in words.
    Status(usize, Result<Box<StatusAnswer>, String>),
    /// Whom it has for the members.
    Members(Members),
}

/// A validator that is up.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    /// What it says of itself.
    pub(super) status: StatusAnswer,
    /// That it only follows, in words; none of a member.
    pub(super) follows: Option<String>,
}

/// What all are that were waited for, and how many members make a quorum now.
pub(super) type Waited = (BTreeMap<usize, Result<Ready, Unready>>, usize);

/// Why a validator is not up.
#[derive(Debug)]
pub(super) enum Unready {
    /// Its process ended.
    Ended(ProcessError),
    /// It made no progress for so long; what it was doing, in words.
    Waited(Duration, String),
}

/// A validator that is waited for.
struct Awaited {
    /// When it last made progress.
    progress_at: Duration,
    /// What its log said of it then.
    doing: Option<String>,
    /// How long its log was at the beginning.
    log_from: u64,
    /// Why it is not ready, as it was told last.
    reason: String,
    /// Whether it answers.
    answers: bool,
    outcome: Option<Result<Ready, Unready>>,
}

impl Awaited {
    fn new(member: &Member) -> Self {
        Self {
            progress_at: Duration::ZERO,
            doing: None,
            log_from: fs::metadata(member.log_file()).map_or(0, |log| log.size()),
            reason: NO_ANSWER.to_owned(),
            answers: false,
            outcome: None,
        }
    }
}

/// Waits for validators of a network, which are named by their places in it, each with its process. Of those that this
/// process has started, the `processes`, the ends are noticed. What is told goes to `tell`, a line at a time.
///
/// A validator is ready when it is connected to a quorum, or to all others that run here where these are fewer.
pub(super) fn wait(
    network: &Network,
    awaited: &BTreeMap<usize, u32>,
    running: usize,
    processes: &mut [ValidatorProcess],
    patience: Duration,
    tell: &mut dyn FnMut(String),
) -> Waited {
    let clock = Clock::start();
    let (answers, received) = mpsc::channel();
    let mut all = BTreeMap::new();
    for at in awaited.keys() {
        let member = &network.members[*at];
        ask_until_ready(network, *at, answers.clone());
        all.insert(*at, Awaited::new(member));
    }
    let others = network.members.iter().enumerate().filter(|(at, _)| !awaited.contains_key(at));
    others.for_each(|(_, member)| ask_for_members(network, member, answers.clone()));
    drop(answers);
    let members = Members::of_genesis(&network.genesis);
    let mut waiting = Waiting { network, pids: awaited, running, patience, all, members };
    let (mut looked, mut told) = (Duration::ZERO, Duration::ZERO);
    while waiting.goes_on() {
        waiting.hear(&received, clock);
        waiting.note_ends(processes);
        let now = clock.now();
        if now >= looked + LOOK_EVERY {
            looked = now;
            waiting.look_at_logs(now);
        }
        waiting.give_up(now);
        if now >= told + TELL_EVERY {
            told = now;
            waiting.tell(now, tell);
        }
    }
    let outcome = |(at, one): (usize, Awaited)| Some((at, one.outcome?));
    let quorum = waiting.members.quorum();
    (waiting.all.into_iter().filter_map(outcome).collect(), quorum)
}

/// Asks a validator how it is until it is connected to a quorum or nobody listens any more, on a thread of its own: one
/// that does not answer holds nobody up.
fn ask_until_ready(network: &Network, at: usize, answers: Sender<Answer>) {
    let (member, genesis) = (network.members[at].clone(), Arc::clone(&network.genesis));
    std::thread::spawn(move || {
        loop {
            let asked = member.connect(&genesis).and_then(|mut client| {
                let members = client.members()?.value.0;
                Ok((client.status()?.value, members))
            });
            let status = asked.map_err(|error| match error {
                // Its process is known to run, so this says no more than that it is waited for.
                ClientError::Connect(ConnectError::NoAnswer { .. }) => NO_ANSWER.to_owned(),
                error => error.to_string(),
            });
            let has_quorum = |(status, members): &(StatusAnswer, Members)| {
                status.standing.is_member() && status.peers.len() + 1 >= members.quorum()
            };
            let is_last = status.as_ref().is_ok_and(has_quorum);
            let said = status.map(|(status, members)| {
                // It is told first: what the validator is depends on it.
                let _gone = answers.send(Answer::Members(members));
                Box::new(status)
            });
            if answers.send(Answer::Status(at, said)).is_err() || is_last {
                return;
            }
            std::thread::sleep(POLL);
        }
    });
}

/// Asks one that is not waited for who validates now, if it is there.
fn ask_for_members(network: &Network, member: &Member, answers: Sender<Answer>) {
    if network.genesis.membership() == Membership::Fixed {
        return;
    }
    let (member, genesis) = (member.clone(), Arc::clone(&network.genesis));
    std::thread::spawn(move || {
        let asked = member.connect(&genesis).and_then(|mut client| client.members());
        if let Ok(answer) = asked {
            // Nobody waits any more.
            let _gone = answers.send(Answer::Members(answer.value.0));
        }
    });
}

struct Waiting<'a> {
    network: &'a Network,
    pids: &'a BTreeMap<usize, u32>,
    /// How many validators of the network run here, as far as is known.
    running: usize,
    patience: Duration,
    all: BTreeMap<usize, Awaited>,
    /// The last members that anybody has told.
    members: Members,
}

impl Waiting<'_> {
    fn goes_on(&self) -> bool {
        self.all.values().any(|one| one.outcome.is_none())
    }

    fn member(&self, at: usize) -> &Member {
        &self.network.members[at]
    }

    /// How many peers a validator must have found.
    fn peers_needed(&self) -> usize {
        let is_none = |one: &&Awaited| match &one.outcome {
            Some(Err(_)) => true,
            Some(Ok(ready)) => ready.follows.is_some(),
            None => false,
        };
        let others = self.running.saturating_sub(self.all.values().filter(is_none).count());
        self.members.quorum().min(others).saturating_sub(1)
    }

    /// That a validator only follows, in words.
    fn follows(&self, at: usize, status: &StatusAnswer) -> Option<String> {
        let (standing, fingerprint) = (status.standing, self.member(at).fingerprint.0);
        if !standing.is_member() {
            return Some(standing.to_string());
        }
        let is_one = self.members.list.iter().any(|of| of.certificate_fingerprint == fingerprint);
        (self.members.epoch > standing.epoch && !is_one).then(|| {
            let epoch = self.members.epoch;
            format!("follower: not a member of epoch {epoch}, which nobody has told it")
        })
    }

    /// What a validator lacks to be up.
    fn lacks(&self, status: &StatusAnswer, follows: bool) -> Option<String> {
        let found = status.peers.len();
        match (status.standing.role, follows) {
            (Role::Observer, _) if found == 0 => Some(
                "it answers as an observer, and no validator lets it in: is its [[observer]] section in the node.toml of each, \
                 and was that read again (SIGHUP)?"
                    .to_owned(),
            ),
            (_, true) => None,
            _ => {
                let needed = self.peers_needed();
                (found < needed).then(|| format!("it answers and has found {found} of {needed} peers"))
            }
        }
    }

    /// Takes what validators have answered, and waits a moment where nothing has come.
    fn hear(&mut self, received: &Receiver<Answer>, clock: Clock) {
        let mut next = received.recv_timeout(POLL);
        if matches!(next, Err(RecvTimeoutError::Disconnected)) {
            std::thread::sleep(POLL);
        }
        while let Ok(answer) = next {
            match answer {
                Answer::Members(members) if members.epoch > self.members.epoch => self.members = members,
                Answer::Members(_) => {}
                Answer::Status(at, status) => self.hear_of(at, status, clock.now()),
            }
            next = received.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
    }

    fn hear_of(&mut self, at: usize, status: Result<Box<StatusAnswer>, String>, now: Duration) {
        let status = status.map(|status| {
            let follows = self.follows(at, &status);
            let lacks = self.lacks(&status, follows.is_some());
            (Ready { status: *status, follows }, lacks)
        });
        let Some(one) = self.all.get_mut(&at).filter(|one| one.outcome.is_none()) else { return };
        match status {
            Ok((ready, None)) => one.outcome = Some(Ok(ready)),
            Ok((_, Some(lacks))) => {
                one.reason = lacks;
                if !one.answers {
                    (one.answers, one.progress_at) = (true, now);
                }
            }
            Err(reason) => one.reason = reason,
        }
    }

    fn note_ends(&mut self, processes: &mut [ValidatorProcess]) {
        for process in processes {
            let Err(ended) = process.check() else { continue };
            let place = self.all.iter_mut().find(|(at, _)| self.network.members[**at].name == process.name());
            if let Some((_, one)) = place
                && !matches!(one.outcome, Some(Err(_)))
            {
                one.outcome = Some(Err(Unready::Ended(ended)));
            }
        }
    }

    /// Notes who has logged progress since.
    fn look_at_logs(&mut self, now: Duration) {
        for (at, one) in self.all.iter_mut().filter(|(_, one)| one.outcome.is_none() && !one.answers) {
            let log = process::tail(&self.network.members[*at].log_file(), one.log_from).unwrap_or_default();
            let of_progress = |line: &str| {
                PROGRESS.iter().find_map(|word| line.find(word)).map(|from| line[from..].to_owned())
            };
            let doing = log.lines().rev().find_map(of_progress);
            if doing.is_some() && doing != one.doing {
                (one.doing, one.progress_at) = (doing, now);
            }
        }
    }

    /// Gives up those that have made no progress for too long. Who answers and lacks peers waits for them as long as
    /// any of the others makes progress.
    fn give_up(&mut self, now: Duration) {
        let last = self.all.values().map(|one| one.progress_at).max().unwrap_or_default();
        let patience = self.patience;
        let is_lost = |one: &Awaited| {
            let since = if one.answers { last } else { one.progress_at };
            one.outcome.is_none() && now >= since + patience
        };
        let lost: Vec<usize> = self.all.iter().filter(|(_, one)| is_lost(one)).map(|(at, _)| *at).collect();
        for at in lost {
            let doing = self.doing(at);
            if let Some(one) = self.all.get_mut(&at) {
                one.outcome = Some(Err(Unready::Waited(patience, doing)));
            }
        }
    }

    /// What a validator is doing, in words.
    fn doing(&self, at: usize) -> String {
        let (one, pid) = (&self.all[&at], self.pids[&at]);
        if is_stopped(pid) {
            return format!("its process {pid} was stopped by a signal; `kill -CONT {pid}` lets it go on");
        }
        match &one.doing {
            Some(doing) if !one.answers => doing.clone(),
            _ => one.reason.clone(),
        }
    }

    fn tell(&self, now: Duration, tell: &mut dyn FnMut(String)) {
        let waiting: Vec<usize> =
            self.all.iter().filter(|(_, one)| one.outcome.is_none()).map(|(at, _)| *at).collect();
        let seconds = now.as_secs();
        for at in waiting.iter().take(TOLD_MAX) {
            let (name, doing) = (&self.member(*at).name, self.doing(*at));
            tell(format!("waiting for \"{name}\" ({seconds} s): {doing}"));
        }
        if waiting.len() > TOLD_MAX {
            tell(format!("waiting for {} more", waiting.len() - TOLD_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{ChainDraft, InitOptions, init};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Of four validators that are waited for: who was given up, and what it was doing.
    fn lost(waiting: &Waiting<'_>) -> Vec<(usize, String)> {
        let reason = |one: &Awaited| match &one.outcome {
            Some(Err(Unready::Waited(PATIENCE, doing))) => Some(doing.clone()),
            _ => None,
        };
        waiting.all.iter().filter_map(|(at, one)| Some((*at, reason(one)?))).collect()
    }

    #[test]
    fn who_makes_progress_is_waited_for_and_who_does_not_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let options = InitOptions { chains: ChainDraft::alike(1, 20, 5), ..InitOptions::default() };
        let network = init(directory.path(), &options).unwrap();
        let log = |member: usize, line: &str| {
            let file = network.members[member].log_file();
            let before = fs::read_to_string(&file).unwrap_or_default();
            fs::write(&file, format!("{before}INFO {line}\n")).unwrap();
        };
        // A line of an earlier run is no progress of this one.
        log(2, "replaying the journal: 9 of 9 MiB");
        // No process has this id.
        let pids = (0..4).map(|at| (at, u32::MAX)).collect();
        let all = network.members.iter().map(Awaited::new).enumerate().collect();
        let members = Members::of_genesis(&network.genesis);
        let mut waiting =
            Waiting { network: &network, pids: &pids, running: 4, patience: PATIENCE, all, members };
        assert_eq!(waiting.peers_needed(), 2);
        let (answers, received) = mpsc::channel();
        answers.send(Answer::Status(0, Err("nobody there".to_owned()))).unwrap();
        waiting.hear(&received, Clock::start());
        log(1, "replaying the journal: 1 of 9 MiB");
        waiting.look_at_logs(at(50));
        waiting.give_up(at(59));
        assert_eq!(lost(&waiting), []);
        waiting.give_up(at(60));
        let named =
            [(0, "nobody there".to_owned()), (2, "no answer yet".into()), (3, "no answer yet".into())];
        assert_eq!(lost(&waiting), named);
        assert_eq!(waiting.peers_needed(), 0, "nobody is left whom it could find");
        // The same line again is no progress; another one is.
        waiting.look_at_logs(at(100));
        log(1, "replaying the journal: 5 of 9 MiB");
        waiting.look_at_logs(at(109));
        waiting.give_up(at(168));
        assert_eq!(lost(&waiting).len(), 3);
        let mut told = Vec::new();
        waiting.tell(at(168), &mut |line| told.push(line));
        assert_eq!(told, ["waiting for \"birch\" (168 s): replaying the journal: 5 of 9 MiB"]);
        waiting.give_up(at(169));
        assert_eq!(lost(&waiting)[1], (1, "replaying the journal: 5 of 9 MiB".to_owned()));
        assert!(!waiting.goes_on());
    }

    #[test]
    fn who_answers_waits_for_peers_as_long_as_one_of_them_makes_progress() {
        let directory = tempfile::tempdir().unwrap();
        let options = InitOptions { chains: ChainDraft::alike(1, 20, 5), ..InitOptions::default() };
        let network = init(directory.path(), &options).unwrap();
        let pids = (0..4).map(|at| (at, u32::MAX)).collect();
        let all = network.members.iter().map(Awaited::new).enumerate().collect();
        let members = Members::of_genesis(&network.genesis);
        let mut waiting =
            Waiting { network: &network, pids: &pids, running: 4, patience: PATIENCE, all, members };
        for at in 0..3 {
            let one = waiting.all.get_mut(&at).unwrap();
            (one.answers, one.reason) = (true, format!("{at} lacks peers"));
        }
        fs::write(network.members[3].log_file(), "INFO recovered height=7\n").unwrap();
        waiting.look_at_logs(at(50));
        waiting.give_up(at(109));
        assert_eq!(lost(&waiting), []);
        waiting.give_up(at(110));
        assert_eq!(lost(&waiting).len(), 4);
        assert_eq!(lost(&waiting)[0].1, "0 lacks peers");
    }
}
