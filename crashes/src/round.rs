//! One round: a history is recorded, crashed behind every act, and recovered.
//!
//! ```text
//! acts of three lives ── behind each: all subsets of up to 6 pending things, others by chance ──▶ cut ──▶ recover, audit
//!                                                       now and then: ── the recovery is recorded, and crashed ──┘
//!                                                       once: ── a real validator goes on from it ───────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use node::validator::rehearse;

use crate::chance::Chance;
use crate::disk::{Disk, Fate, SECTOR_BYTES, TORN_BYTES};
use crate::judge::{Found, History, judge_marker};
use crate::life::{Life, Plan, Subject};
use crate::rules::Rule;
use crate::tape::{self, Act};

/// Of so few pending things all subsets are tried.
const ENUMERATED: usize = 6;
/// So many more are drawn by chance, with torn sectors.
const DRAWN: usize = 48;
/// Transactions of a life.
const TRANSACTIONS: u64 = 16;
/// Lives that are recorded.
const LIVES: u64 = 3;
/// One of so many recoveries is recorded and crashed itself, at so many places.
const AGAIN_EVERY: u64 = 151;
/// See above.
const AGAIN: u64 = 8;
/// Where points are drawn from a whole history: so many are tried behind an act, about.
const POINTS_OF_ACT: u64 = 4;

/// What was tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Crashes that left something that no earlier one of the round had left; each was recovered and audited.
    pub points: u64,
    /// Those of them in a recovery.
    pub again: u64,
    /// Acts behind which there was a crash.
    pub acts: u64,
    /// Validators that really went on.
    pub went_on: u64,
    /// Epochs that began in the history.
    pub epochs: u64,
    /// Segments of the journal that were used again or removed in it.
    pub segments: u64,
}

/// A round.
pub struct Round {
    subject: Subject,
    directory: PathBuf,
    rule: Option<Rule>,
    chance: Chance,
    history: History,
    /// What was left by a crash, and what was recovered from it.
    found: BTreeMap<u64, Found>,
    told: BTreeSet<u64>,
    count: Count,
}

impl Round {
    /// Records and crashes, until so many points are tried: behind every act, or with `each` about so many from all
    /// of the history.
    ///
    /// # Errors
    /// What does not hold, after how many points; or nothing could be recorded.
    pub fn run(
        directory: &Path,
        plan: Plan,
        rule: Option<Rule>,
        (most, each): (u64, Option<u64>),
    ) -> anyhow::Result<Result<Count, Failure>> {
        let transactions = TRANSACTIONS * (LIVES + 1);
        let subject = Subject::new(&directory.join("network"), plan, transactions)?;
        let mut round = Self {
            subject,
            directory: directory.to_owned(),
            rule,
            chance: Chance::new(plan.seed),
            history: History::default(),
            found: BTreeMap::new(),
            told: BTreeSet::new(),
            count: Count::default(),
        };
        let root = round.subject.data();
        let before = Disk::read(&root)?;
        let mut acts = Vec::new();
        for life in 0..LIVES {
            acts.extend(round.life(&root, life, life == 1)?.live()?);
        }
        let mut whole = before.clone();
        acts.iter().for_each(|act| whole.apply(act));
        whole.is_seen_at(&root).map_err(anyhow::Error::msg).context("the recording is not complete")?;
        round.count.segments = acts.iter().filter(|act| gives_up_a_segment(act)).count() as u64;
        round.count.epochs = if plan.changes_epochs { LIVES } else { 0 };
        ensure!(!plan.prunes || round.count.segments > 0, "no segment was used again or removed");
        Ok(match round.crash(before, &acts, (most, each))? {
            Ok(()) => Ok(round.count),
            Err(what) => Err(Failure { what, points: round.count.points }),
        })
    }

    fn life(&self, data: &Path, number: u64, is_orderly: bool) -> anyhow::Result<Life> {
        Ok(Life {
            plan: self.subject.plan,
            network: self.subject.network.directory.clone(),
            data: data.to_owned(),
            first: number * TRANSACTIONS,
            count: TRANSACTIONS,
            is_orderly,
            tape: self.directory.join("tape"),
        })
    }

    fn leaves_out(&self, act: &Act, disk: &Disk, root: &Path) -> bool {
        let path = match act {
            Act::SyncDirectory { path } => Some(path.clone()),
            Act::Sync { file } => disk.name(*file),
            _ => None,
        };
        let below = path.as_deref().and_then(|path| path.strip_prefix(root).ok());
        self.rule.zip(below).is_some_and(|(rule, path)| rule.leaves_out(act, path))
    }

    fn crash(
        &mut self,
        mut disk: Disk,
        acts: &[Act],
        (most, each): (u64, Option<u64>),
    ) -> anyhow::Result<Result<(), String>> {
        let root = self.subject.data();
        // Of so many acts one is crashed behind.
        let one_of = each.map_or(1, |each| acts.len() as u64 * POINTS_OF_ACT / each.max(1)).max(1);
        for (at, act) in acts.iter().enumerate() {
            if !self.leaves_out(act, &disk, &root) {
                disk.apply(act);
            }
            if let Act::Told { number } = act {
                self.told.insert(*number);
            }
            // The state in a checkpoint takes long to read, and most of its writes are alike.
            if self.subject.plan.prunes && !changes_names(act) && self.chance.below(12) > 0 {
                continue;
            }
            if self.chance.below(one_of) > 0 {
                continue;
            }
            self.count.acts += 1;
            for fates in self.fates(disk.pending()) {
                let mut given = fates.iter().copied();
                let cut = disk.cut(|| given.next().unwrap_or(Fate::Lost));
                if let Err(error) = self.point(&cut, (&disk, &root))? {
                    return Ok(Err(format!("behind act {at} of {} ({act}): {error}", acts.len())));
                }
                if self.count.points >= most {
                    return Ok(Ok(()));
                }
            }
        }
        // What the last crash has left, in which a client may have been told everything.
        let cut = disk.cut(|| Fate::Lost);
        self.goes_on(&cut, &root)
    }

    /// What becomes of so many pending things: all subsets of few, and some by chance.
    fn fates(&mut self, pending: usize) -> Vec<Vec<Fate>> {
        let mut all = Vec::new();
        if pending <= ENUMERATED {
            let kept = |subset: u32, at: usize| if subset >> at & 1 == 1 { Fate::Kept } else { Fate::Lost };
            all.extend((0..1 << pending).map(|subset| (0..pending).map(|at| kept(subset, at)).collect()));
        } else {
            all.extend([vec![Fate::Kept; pending], vec![Fate::Lost; pending]]);
        }
        let drawn = if pending == 0 { 0 } else { DRAWN };
        for _ in 0..drawn {
            let lost = [1, 3, 5, 9][self.chance.below(4) as usize];
            let mut draw = || match self.chance.below(10) {
                drawn if drawn < lost => Fate::Lost,
                9 => Fate::Kept,
                drawn if drawn % 2 == 0 => Fate::Kept,
                _ => Fate::Torn(
                    TORN_BYTES * (1 + self.chance.below((SECTOR_BYTES / TORN_BYTES) as u64 - 1) as usize),
                ),
            };
            all.push((0..pending).map(|_| draw()).collect());
        }
        all
    }

    /// One crash: what it leaves is recovered, unless another one has left the same.
    fn point(&mut self, cut: &Disk, (before, root): (&Disk, &Path)) -> anyhow::Result<Result<(), String>> {
        let digest = cut.digest();
        if let Some(found) = self.found.get(&digest) {
            return Ok(self.history.judge(found, &self.told));
        }
        self.count.points += 1;
        let place = self.place("crashed", cut, root)?;
        if let Err(error) = judge_marker(&place, &self.told) {
            return Ok(Err(error));
        }
        let again = self.count.points.is_multiple_of(AGAIN_EVERY);
        let start = match again {
            true => Some(cut.moved(root, &place)?),
            false => None,
        };
        if again {
            tape::begin(&place);
        }
        let recovered = self.history.recover(&self.subject, &place);
        let acts = tape::end();
        let found = match recovered {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(error) = self.history.judge(&found, &self.told) {
            return Ok(Err(error));
        }
        let height = found.height;
        self.found.insert(digest, found);
        if let Some(start) = start {
            if let Err(error) = self.again((start, &place), &acts, height)? {
                return Ok(Err(format!("in the recovery: {error}")));
            }
            // The process was killed while the power stayed: what it wrote is seen, and not durable.
            let place = self.place("killed", before, root)?;
            let start = before.moved(root, &place)?;
            tape::begin(&place);
            let recovered = self.history.recover(&self.subject, &place);
            let acts = tape::end();
            let done = match recovered {
                Ok(found) => self.again((start, &place), &acts, found.height)?,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                return Ok(Err(format!("after a kill: {error}")));
            }
        }
        Ok(Ok(()))
    }

    /// Crashes a recovery, and recovers from that. What a recovery that was done has found stays.
    fn again(
        &mut self,
        (mut disk, root): (Disk, &Path),
        acts: &[Act],
        height: u64,
    ) -> anyhow::Result<Result<(), String>> {
        let at: BTreeSet<u64> = (0..AGAIN).map(|_| self.chance.below(acts.len() as u64 + 1)).collect();
        for (done, act) in acts.iter().enumerate() {
            if !self.leaves_out(act, &disk, root) {
                disk.apply(act);
            }
            let is_done = done + 1 == acts.len();
            if !is_done && !at.contains(&(done as u64)) {
                continue;
            }
            let mut fates = self.fates(disk.pending());
            fates.truncate(4);
            for fates in fates {
                let mut given = fates.iter().copied();
                let cut = disk.cut(|| given.next().unwrap_or(Fate::Lost));
                let place = self.place("again", &cut, root)?;
                self.count.points += 1;
                self.count.again += 1;
                let recovered = self.history.recover(&self.subject, &place);
                let judged = recovered.and_then(|found| match is_done && found.height < height {
                    true => Err(format!("height {height} was recovered, and then {}", found.height)),
                    false => self.history.judge(&found, &self.told).map(|()| found),
                });
                // And once more, without a crash.
                let judged = judged.and_then(|found| {
                    let config = self.subject.config(&place).map_err(|error| error.to_string())?;
                    let next =
                        rehearse(&config).map_err(|error| format!("the start after that: {error:#}"))?;
                    match next.height.0 == found.height && !next.believes_a_loss {
                        true => Ok(()),
                        false => Err(format!("the start after that is at height {}", next.height)),
                    }
                });
                if let Err(error) = judged {
                    return Ok(Err(format!("behind act {done} of {} ({act}): {error}", acts.len())));
                }
            }
        }
        Ok(Ok(()))
    }

    /// A real validator starts from what is left, and takes transactions.
    fn goes_on(&mut self, cut: &Disk, root: &Path) -> anyhow::Result<Result<(), String>> {
        if self.rule.is_some() {
            return Ok(Ok(()));
        }
        let place = self.place("goes-on", cut, root)?;
        self.life(&place, LIVES, true)?.live()?;
        self.told.extend(LIVES * TRANSACTIONS..(LIVES + 1) * TRANSACTIONS);
        self.count.went_on += 1;
        let recovered = self.history.recover(&self.subject, &place);
        Ok(recovered.and_then(|found| self.history.judge(&found, &self.told)))
    }

    /// Lays a disk out in a directory of its own.
    fn place(&self, name: &str, disk: &Disk, root: &Path) -> anyhow::Result<PathBuf> {
        let place = self.directory.join(name);
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        disk.lay_out(root, &place)?;
        Ok(place)
    }
}

fn gives_up_a_segment(act: &Act) -> bool {
    let (Act::Remove { path } | Act::Rename { from: path, .. }) = act else { return false };
    path.extension().is_some_and(|ending| ending == "segment")
        && path.parent().is_some_and(|directory| directory.ends_with("journal"))
}

fn changes_names(act: &Act) -> bool {
    !matches!(act, Act::Write { .. } | Act::Length { .. } | Act::Sync { .. } | Act::Told { .. })
}

/// What does not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// In words.
    pub what: String,
    /// How many crashes of the round were tried until then.
    pub points: u64,
}
