//! What goes wrong in a run, and when: drawn from the seed before the run begins.
//!
//! At most f validators are *faulty*: they lie, or they lose what they had written. Everybody may crash, lose power, be
//! slow, full, paused, cut off or have a wrong clock, also all at once. All of that ends at `heal`; lying goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::limits::ROOT_LAG_MAX;
use engine::types::Quota;

use crate::administrators::{Ask, Governed};
use crate::byzantine::Misdeed;
use crate::chance::Chance;
use crate::disks::Release;
use crate::links::Quality;
use crate::moments::Moment;
use crate::script::{Step, When};

/// What a validator finds on its disks when it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    Nothing,
    Journal,
    Votes,
    Both,
    OlderJournal,
    OlderVotes,
    /// The journal is gone and the votes are older, or the other way round.
    JournalAndOlderVotes,
    VotesAndOlderJournal,
    /// Everything is older, if all other honest validators are up and have seen a vote that is lost by it; else nothing
    /// is lost, because others could not tell.
    OlderDirectory,
}

impl Loss {
    /// Every loss.
    pub(crate) const ALL: &[Self] = &[
        Self::Journal,
        Self::Votes,
        Self::Both,
        Self::OlderJournal,
        Self::OlderVotes,
        Self::JournalAndOlderVotes,
        Self::VotesAndOlderJournal,
        Self::OlderDirectory,
    ];
}

/// One fault, or the end of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The process dies; the disks keep what was written.
    Kill(usize),
    /// The power goes: of what was not synced any part may be lost.
    CutPower(Vec<usize>),
    Start(usize, Loss),
    /// Another release of the program is there when it starts the next time.
    Install(usize, Release),
    /// Copies the disks, to be put back by a later `Start`.
    Copy(usize),
    /// The next start dies in the middle, after so many of its steps.
    DieStarting(usize, u8),
    /// Syncs take so many times longer.
    SlowDisk(usize, u64),
    FullDisk(usize),
    Pause(usize, Duration),
    Skew(usize, i64),
    Cut(usize, usize),
    SlowLink(usize, usize, u64),
    MendLinks,
    /// The power goes, and everything that was not synced is lost.
    LoseUnsynced(Vec<usize>),
    /// Syncs of the journal alone take so many times longer.
    SlowJournal(usize, u64),
    /// Messages that match vanish on the way.
    Withhold(Filter),
    /// Everything passes again.
    Pass,
    /// Everything passes again to this one.
    PassTo(usize),
    /// Sends the last own batches of the first to the others.
    Push(usize, Vec<usize>),
    /// Administrators are to decide something.
    Ask(Ask),
    /// All faults but lying end.
    Heal,
    /// Begins to count what the network costs, and ends it.
    Measure,
    Measured,
}

/// A sort of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Votes and certificates of this kind.
    Vote(Moment),
    Certificate(Moment),
    /// Requests of consensus for certificates, and their answers.
    Requests,
    Batches,
    /// Everything.
    All,
}

/// Messages between these, of these sorts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) from: Vec<usize>,
    pub(crate) to: Vec<usize>,
    pub(crate) sorts: Vec<Sort>,
}

impl Filter {
    pub(crate) fn takes(&self, from: usize, to: usize, is: impl Fn(Sort) -> bool) -> bool {
        self.from.contains(&from) && self.to.contains(&to) && self.sorts.iter().any(|sort| is(*sort))
    }
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) validators: usize,
    /// Others, which follow and may come into the places of validators.
    pub(crate) spares: usize,
    /// Those that only a script starts.
    pub(crate) absent: Vec<usize>,
    /// Chains with money.
    pub(crate) chains: u32,
    /// Whether there is a chain behind them that takes fingerprints.
    pub(crate) register: bool,
    /// Whether there is a chain before them whose accounts are administrators.
    pub(crate) governed: Governed,
    /// Everybody has the next release from the beginning, and administrators by chance want its rules.
    pub(crate) newer: bool,
    /// This one has the release before.
    pub(crate) older: Option<usize>,
    /// Heights come as fast as they can.
    pub(crate) fast: bool,
    pub(crate) accounts: u64,
    /// How much of a block the first chain with money may have.
    pub(crate) quota: Quota,
    pub(crate) quality: Quality,
    pub(crate) sync_us: (u64, u64),
    /// Syncs of the journal take so many times longer: it takes the batches, too.
    pub(crate) journal_factor: u64,
    /// Between two submissions of the clients.
    pub(crate) submit_every_ms: u64,
    pub(crate) liars: BTreeMap<usize, Vec<Misdeed>>,
    /// This liar runs twice.
    pub(crate) twin: Option<usize>,
    /// Those that lose what they had written.
    pub(crate) losers: Vec<usize>,
    pub(crate) acts: Vec<(Duration, Act)>,
    /// What waits for something to happen.
    pub(crate) script: Vec<Step>,
    pub(crate) heal: Duration,
    /// How long everything may take to be well after that.
    pub(crate) patience: Duration,
    /// Consensus times out sooner than syncs end, for a while.
    pub(crate) hurried: bool,
    /// Consensus compacts its log after so many bytes.
    pub(crate) compact_bytes: u64,
    /// To whom a liar shows what it hides from others; drawn if not given.
    pub(crate) favoured: Option<Vec<usize>>,
    /// Which branch of its stream a liar shows to each validator; drawn if not given.
    pub(crate) branches: Option<Vec<usize>>,
    /// Who sees the second of a liar's two processes; drawn if not given.
    pub(crate) sees_twin: Option<Vec<bool>>,
    /// Transactions a second that each validator gets, one by one, instead of what clients draw.
    pub(crate) steady: Option<u64>,
    /// Nobody keeps many heights.
    pub(crate) everyone_prunes: bool,
    /// With the settings and time-outs of the node for this number of validators, instead of small batches and fixed
    /// ones.
    pub(crate) as_shipped: bool,
    /// The most batches of an author and the most views in a second, while the cost is counted.
    pub(crate) bounds: Option<(u64, u64)>,
}

/// How many validators may be faulty.
pub(crate) fn faulty(validators: usize) -> usize {
    (validators - 1) / 3
}

impl Plan {
    /// Nothing goes wrong.
    pub(crate) fn calm(validators: usize) -> Self {
        Self {
            validators,
            spares: 0,
            absent: Vec::new(),
            chains: 1,
            register: false,
            governed: Governed::No,
            newer: false,
            older: None,
            fast: false,
            accounts: 12,
            quota: Quota::WHOLE,
            quality: Quality {
                delay_us: (500, 4_000),
                loss_permille: 0,
                duplicate_permille: 0,
                reordering: false,
            },
            sync_us: (100, 1_000),
            journal_factor: 1,
            submit_every_ms: 15,
            liars: BTreeMap::new(),
            twin: None,
            losers: Vec::new(),
            acts: Vec::new(),
            script: Vec::new(),
            heal: Duration::from_secs(2),
            patience: Duration::from_secs(45),
            hurried: false,
            compact_bytes: 64 << 10,
            favoured: None,
            branches: None,
            sees_twin: None,
            steady: None,
            everyone_prunes: false,
            as_shipped: false,
            bounds: None,
        }
    }

    /// What a network costs where nothing goes wrong: 50 ms between any two, 500 transactions a second in all.
    pub(crate) fn cost(validators: usize) -> Self {
        let mut plan = Self::calm(validators);
        plan.quality.delay_us = (49_000, 51_000);
        plan.sync_us = (300, 1_000);
        plan.accounts = 4 * validators.max(32) as u64;
        plan.steady = Some((500 / validators as u64).max(1));
        plan.as_shipped = true;
        plan.script = vec![
            Step { when: When::After(Duration::from_secs(3)), acts: vec![Act::Measure] },
            Step { when: When::After(Duration::from_secs(4)), acts: vec![Act::Measured, Act::Heal] },
        ];
        plan.heal = Duration::from_secs(60);
        plan
    }

    pub(crate) fn draw(validators: usize, chance: &mut Chance) -> Self {
        // Drawn aside, so that what other networks are like does not depend on it.
        let mut aside = chance.clone().fork();
        let (governed, everyone_prunes) = (aside.permille(250), aside.permille(200));
        let slow = chance.permille(200);
        let rough = chance.permille(400);
        let quality = Quality {
            delay_us: if slow { (5_000, 60_000) } else { chance.of(&[(500, 4_000), (2_000, 15_000)]) },
            loss_permille: if rough { chance.of(&[10, 50, 200, 300]) } else { 0 },
            duplicate_permille: if rough { chance.of(&[0, 50, 300]) } else { 0 },
            reordering: chance.permille(250),
        };
        let mut plan = Self {
            chains: 1 + chance.below(3) as u32,
            register: chance.permille(500),
            quality,
            sync_us: chance.of(&[(100, 400), (500, 3_000), (2_000, 20_000)]),
            journal_factor: chance.of(&[1, 1, 4, 20]),
            submit_every_ms: chance.of(&[15, 30, 60]),
            heal: chance.millis(1_500..4_500),
            everyone_prunes,
            ..Self::calm(validators)
        };
        if aside.permille(150) {
            plan.older = Some(aside.below(validators));
        }
        if chance.permille(30) {
            plan.lag(chance);
            return plan;
        }
        if aside.permille(60) && faulty(validators) > 0 {
            plan.leave_behind(&mut aside);
            return plan;
        }
        if governed {
            plan.govern(chance);
            plan.newer = aside.permille(500) && plan.older.is_none();
        }
        if validators > 3 && chance.permille(25) {
            // Batches that come before the one they follow are not taken.
            plan.quality = Quality { loss_permille: 0, reordering: false, ..plan.quality };
            plan.liars.insert(chance.below(validators), vec![Misdeed::OversizeBlocks]);
            plan.quota = chance.of(&[Quota::WHOLE, Quota::LEAST]);
            return plan;
        }
        plan.draw_faulty(chance);
        if plan.liars.values().flatten().any(|misdeed| *misdeed == Misdeed::LieSync) {
            plan.lag_one(chance);
            return plan;
        }
        let faults = chance.of(&[0, 1, 2, 3, 5]);
        for _ in 0..faults {
            plan.draw_fault(chance);
        }
        if chance.permille(350) {
            plan.cut_all_power(chance);
        }
        plan.acts.sort_by_key(|(at, _)| *at);
        plan.quota = chance.of(&[Quota::WHOLE, Quota::WHOLE, Quota::LEAST]);
        if governed && plan.twin.is_none() && aside.permille(600) {
            plan.bring_others(&mut aside);
        }
        plan
    }

    /// Others may come into the places of validators. They follow until then, and die as others do.
    fn bring_others(&mut self, chance: &mut Chance) {
        self.spares = 1 + chance.below(2);
        let others = self.validators..self.validators + self.spares;
        for (_, act) in &mut self.acts {
            if let Act::CutPower(all) = act
                && all.len() == self.validators
            {
                all.extend(others.clone());
            }
        }
        for other in others {
            if chance.permille(400) {
                let at = chance.millis(0..self.heal.as_millis() as u64);
                self.acts.push((at, Act::Kill(other)));
                self.acts.push((at + chance.millis(50..1_500), Act::Start(other, Loss::Nothing)));
            }
        }
        self.acts.sort_by_key(|(at, _)| *at);
    }

    /// A validator is away, or has lost something, until nobody keeps what it needs. There may be a liar.
    fn leave_behind(&mut self, chance: &mut Chance) {
        self.everyone_prunes = true;
        self.quality = Quality { delay_us: (500, 4_000), loss_permille: chance.of(&[0, 10]), ..self.quality };
        (self.sync_us, self.journal_factor) = ((100, 1_000), 1);
        let who = chance.below(self.validators);
        let lies = chance.permille(600);
        let loss = chance.of(&[Loss::Nothing, Loss::Nothing, Loss::Journal, Loss::Both, Loss::Votes]);
        let loss = if lies { Loss::Nothing } else { loss };
        if lies {
            let liar = (who + 1 + chance.below(self.validators - 1)) % self.validators;
            self.liars.insert(liar, vec![chance.of(Misdeed::ALL)]);
        } else if loss != Loss::Nothing {
            self.losers.push(who);
        }
        let at = chance.millis(300..1_000);
        let back = at + chance.millis(8_000..14_000);
        self.acts.push((at, Act::Kill(who)));
        self.acts.push((back, Act::Start(who, loss)));
        if chance.permille(400) {
            // It dies when it is about to go on from what it has fetched.
            self.acts.push((back + Duration::from_secs(1), Act::DieStarting(who, 0)));
        }
        if chance.permille(300) {
            let cut = back + chance.millis(9_000..16_000);
            self.acts.push((cut, Act::CutPower(vec![who])));
            self.acts.push((cut + chance.millis(10..300), Act::Start(who, Loss::Nothing)));
        }
        self.heal = back + Duration::from_secs(20);
    }

    /// Administrators decide about chains, and heights are fast: a decision takes effect after many of them.
    fn govern(&mut self, chance: &mut Chance) {
        self.governed = Governed::ByChance;
        self.hasten();
        self.heal += chance.millis(0..2_000);
    }

    /// Heights come as fast as they can: they are kept for long enough only where they are kept.
    pub(crate) fn hasten(&mut self) {
        self.fast = true;
        self.everyone_prunes = false;
        self.quality.delay_us = (100, 600);
        self.sync_us = (50, 200);
        self.journal_factor = 1;
        self.submit_every_ms = 10;
    }

    fn at(&self, chance: &mut Chance) -> Duration {
        chance.millis(200..self.heal.as_millis() as u64)
    }

    fn draw_faulty(&mut self, chance: &mut Chance) {
        let mut budget = faulty(self.validators);
        if budget == 0 {
            return;
        }
        let mut candidates = chance.some(self.validators, budget);
        if chance.permille(600) {
            let liars = 1 + chance.below(budget);
            for _ in 0..liars {
                let liar = candidates.swap_remove(chance.below(candidates.len()));
                let misdeeds = 1 + chance.below(3);
                self.liars.insert(liar, (0..misdeeds).map(|_| chance.of(Misdeed::ALL)).collect());
            }
            budget -= liars;
            if chance.permille(250) {
                self.twin = self.liars.keys().next().copied();
            }
        }
        if budget > 0 && chance.permille(500) {
            for _ in 0..1 + chance.below(budget) {
                let loser = candidates.swap_remove(chance.below(candidates.len()));
                self.losers.push(loser);
                self.lose(loser, chance);
            }
        }
    }

    /// Two restarts; at the second something is missing or older, and it may be cut short.
    fn lose(&mut self, loser: usize, chance: &mut Chance) {
        let loss = chance.of(Loss::ALL);
        let first = chance.millis(200..800);
        let second = first + chance.millis(400..1_500);
        self.acts.push((first, Act::CutPower(vec![loser])));
        self.acts.push((first, Act::Copy(loser)));
        self.acts.push((first + chance.millis(10..200), Act::Start(loser, Loss::Nothing)));
        self.acts.push((second, Act::CutPower(vec![loser])));
        if chance.permille(300) {
            self.acts.push((second, Act::DieStarting(loser, chance.below(3) as u8)));
        }
        self.acts.push((second + chance.millis(10..400), Act::Start(loser, loss)));
        self.heal = self.heal.max(second + Duration::from_millis(500));
    }

    /// One honest validator does not hear consensus for so long that it asks everybody for blocks, the liar too. The
    /// liar does nothing else wrong, because the others need its votes meanwhile.
    fn lag_one(&mut self, chance: &mut Chance) {
        for misdeeds in self.liars.values_mut() {
            misdeeds.retain(|misdeed| *misdeed == Misdeed::LieSync);
        }
        self.twin = None;
        self.acts.clear();
        self.losers.clear();
        self.quality.loss_permille = 0;
        let honest: Vec<usize> = (0..self.validators).filter(|who| !self.liars.contains_key(who)).collect();
        let sorts = [Moment::Notarizes, Moment::Nullifies, Moment::Finalizes]
            .into_iter()
            .flat_map(|moment| [Sort::Vote(moment), Sort::Certificate(moment)])
            .chain([Sort::Requests]);
        let filter = Filter {
            from: (0..self.validators).collect(),
            to: vec![chance.of(&honest)],
            sorts: sorts.collect(),
        };
        let from = chance.millis(200..600);
        self.script = vec![
            Step { when: When::After(from), acts: vec![Act::Withhold(filter)] },
            Step { when: When::After(Duration::from_secs(9)), acts: vec![Act::Heal] },
        ];
        self.heal = Duration::from_secs(20);
    }

    fn draw_fault(&mut self, chance: &mut Chance) {
        let n = self.validators;
        let (at, who) = (self.at(chance), chance.below(n));
        let end = at + chance.millis(50..2_000);
        match chance.below(11) {
            0 => {
                self.acts.push((at, Act::Kill(who)));
                self.acts.push((end, Act::Start(who, Loss::Nothing)));
            }
            1 => {
                self.acts.push((at, Act::CutPower(vec![who])));
                if chance.permille(300) {
                    self.acts.push((at, Act::DieStarting(who, chance.below(3) as u8)));
                }
                self.acts.push((end, Act::Start(who, Loss::Nothing)));
            }
            2 => {
                self.acts.push((at, Act::SlowDisk(who, chance.of(&[10, 100, 1_000]))));
                self.acts.push((end, Act::SlowDisk(who, 1)));
            }
            3 => self.acts.push((at, Act::FullDisk(who))),
            4 => self.acts.push((at, Act::Pause(who, chance.millis(50..2_500)))),
            5 => self.acts.push((at, Act::Skew(who, chance.of(&[-3_600_000, -1_500, 900, 3_600_000])))),
            6 => {
                // A partition.
                let side = chance.any(n, n.max(2) - 1);
                for a in 0..n {
                    for b in (0..n).filter(|b| side.contains(b) != side.contains(&a)) {
                        self.acts.push((at, Act::Cut(a, b)));
                    }
                }
                self.acts.push((end, Act::MendLinks));
            }
            7 => {
                // One way only.
                for other in chance.any(n, n) {
                    let pair = if chance.permille(500) { (who, other) } else { (other, who) };
                    self.acts.push((at, Act::Cut(pair.0, pair.1)));
                }
                self.acts.push((end, Act::MendLinks));
            }
            8 => {
                let other = chance.below(n);
                self.acts.push((at, Act::SlowLink(who, other, chance.of(&[30_000, 300_000]))));
            }
            9 => {
                for who in chance.some(n, faulty(n) + 1) {
                    self.acts.push((at, Act::SlowDisk(who, chance.of(&[100, 2_000]))));
                    self.acts.push((end, Act::SlowDisk(who, 1)));
                }
            }
            _ => {
                // Some at once.
                let some = chance.any(n, n);
                self.acts.push((at, Act::CutPower(some.clone())));
                for who in some {
                    self.acts.push((at + chance.millis(1..800), Act::Start(who, Loss::Nothing)));
                }
            }
        }
    }

    fn cut_all_power(&mut self, chance: &mut Chance) {
        let at = self.at(chance);
        self.acts.push((at, Act::CutPower((0..self.validators).collect())));
        for who in 0..self.validators {
            if chance.permille(100) {
                self.acts.push((at, Act::DieStarting(who, chance.below(3) as u8)));
            }
            self.acts.push((at + chance.millis(1..600), Act::Start(who, Loss::Nothing)));
        }
        self.heal = self.heal.max(at + Duration::from_millis(200));
    }

    /// Syncs of journals at f+1 validators are slower than the patience of consensus until 64 blocks are certified and
    /// not final.
    pub(crate) fn lag(&mut self, chance: &mut Chance) {
        self.hurried = true;
        self.sync_us = (450, 500);
        self.journal_factor = 1;
        // Slow links that lose much leave too few certified views for the situation to come about.
        self.quality.loss_permille = 0;
        let slow = chance.some(self.validators, faulty(self.validators) + 1);
        let acts = slow.iter().map(|who| Act::SlowJournal(*who, 1_000)).collect();
        self.submit_every_ms = 60;
        self.script = vec![
            Step { when: When::After(Duration::from_millis(500)), acts },
            Step { when: When::Unfinalized(ROOT_LAG_MAX), acts: Vec::new() },
            Step { when: When::After(Duration::from_secs(3)), acts: vec![Act::Heal] },
        ];
        self.heal = Duration::from_secs(200);
    }
}
