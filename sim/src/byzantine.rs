//! Validators that lie: the honest code, with what it says changed on the way out.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::types::{ChainId, Digest, Epoch, Head, Height, PacketRun, Sequence, Transaction, ValidatorIndex};
use engine::wire::{Batch, BatchSection, Block, FinalizedBlock, Header, PeerMessage};
use kernels::ed25519::SigningKey;
use kernels::merkle::Frontier;

use crate::bell::FORGED;
use crate::chance::Chance;
use crate::environment::Environment;
use crate::host::Forge;

/// One way to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misdeed {
    /// Own batches are shown to some.
    HideBatches,
    /// Own blocks are shown to some.
    HideBlocks,
    /// Votes go to some.
    VoteToSome,
    /// A block goes to all but one, who gets the vote to skip; no vote to finalize at all.
    WithholdFromOne,
    /// At some moment it falls silent for good.
    FallSilent,
    /// It says that it holds what it does not.
    LieHolding,
    /// It says to stand where it does not.
    LieStatus,
    /// It answers those that catch up with made-up blocks.
    LieSync,
    /// It sends what nobody asked for.
    Flood,
    /// Its clock is a year ahead.
    FarFuture,
    /// Its blocks are wrong.
    ForgeBlocks,
    /// It signs two batches for one place.
    ForkBatches,
    /// It says that it holds whatever anybody holds.
    ClaimAll,
    /// Its blocks take its own stream as far as it goes, also where nobody holds it.
    TakeOwn,
    /// It votes to skip each view that it leads, once the block is notarized.
    RefuseToCertify,
    /// Its blocks have the log of other headers than those below them.
    ForgeLogs,
    /// Its blocks take more than a block may.
    OversizeBlocks,
}

impl Misdeed {
    pub(crate) const ALL: &'static [Self] = &[
        Self::HideBatches,
        Self::HideBlocks,
        Self::VoteToSome,
        Self::WithholdFromOne,
        Self::FallSilent,
        Self::LieHolding,
        Self::LieStatus,
        Self::LieSync,
        Self::Flood,
        Self::FarFuture,
        Self::ForgeBlocks,
        Self::ForkBatches,
        Self::ClaimAll,
        Self::TakeOwn,
        Self::RefuseToCertify,
        Self::ForgeLogs,
    ];
}

/// Votes as they travel begin with their kind.
const NULLIFY: u8 = 1;
const FINALIZE: u8 = 2;

/// One liar.
pub(crate) struct Liar {
    pub(crate) misdeeds: Vec<Misdeed>,
    me: ValidatorIndex,
    network: Digest,
    key: SigningKey,
    /// Those to whom it shows things.
    favoured: Vec<usize>,
    /// The one from whom it withholds.
    victim: usize,
    silent_from: Duration,
    heads: Vec<Head>,
    last: Option<Block>,
    /// Which branch of its stream each validator is shown: 0 is the honest one.
    branches: Vec<usize>,
    alternatives: BTreeMap<(Digest, usize), Option<PeerMessage>>,
    transaction: Option<(BatchSection, Transaction)>,
    /// For each chain one that only the other kind of chain takes.
    astray: BTreeMap<ChainId, Transaction>,
    chance: Chance,
}

impl Liar {
    pub(crate) fn new(
        misdeeds: &[Misdeed],
        me: usize,
        validators: usize,
        environment: &Environment,
        mut chance: Chance,
    ) -> Self {
        let favoured = chance.any(validators, validators - 1);
        let branches = (0..validators).map(|to| usize::from(favoured.contains(&to))).collect();
        Self {
            misdeeds: misdeeds.to_vec(),
            branches,
            me: ValidatorIndex(me as u16),
            network: environment.network(),
            key: SigningKey::from_seed(environment.signing_seeds[me]),
            favoured,
            victim: (me + 1 + chance.below(validators - 1)) % validators,
            silent_from: chance.millis(300..4_000),
            heads: vec![Head::NONE; validators],
            last: None,
            alternatives: BTreeMap::new(),
            transaction: None,
            astray: environment.astray(),
            chance,
        }
    }

    /// Says what a script has it show to whom.
    pub(crate) fn shows(&mut self, favoured: Option<&[usize]>, branches: Option<&[usize]>) {
        if let Some(favoured) = favoured {
            self.favoured = favoured.to_vec();
        }
        if let Some(branches) = branches {
            self.branches = branches.to_vec();
        }
    }

    pub(crate) fn does(&self, misdeed: Misdeed) -> bool {
        self.misdeeds.contains(&misdeed)
    }

    fn is_silent(&self, now: Duration) -> bool {
        self.does(Misdeed::FallSilent) && now >= self.silent_from
    }

    /// How far ahead its clock is.
    pub(crate) fn skew_ms(&self) -> i64 {
        if self.does(Misdeed::FarFuture) { 365 * 24 * 3_600 * 1_000 } else { 0 }
    }

    /// Looks at what it hears: the better to lie.
    pub(crate) fn hears(&mut self, message: &PeerMessage) {
        match message {
            PeerMessage::Holding(heads) => {
                for (known, head) in self.heads.iter_mut().zip(heads) {
                    *known = (*known).max(*head);
                }
            }
            PeerMessage::Block(block) => self.last = Some(block.clone()),
            PeerMessage::Batch(bytes) if self.transaction.is_none() => {
                let batch = Batch::decode(&self.network, bytes.clone()).ok();
                self.transaction = batch.as_ref().and_then(|batch| {
                    let (chain, packets) = batch.sections().next()?;
                    let first = PacketRun::all(packets).next()?;
                    let section = BatchSection { chain, packets: first.packets().len() as u32 };
                    Some((section, first.transaction().ok()?))
                });
            }
            _ => {}
        }
    }

    /// Whether a message of consensus goes out.
    pub(crate) fn lets_vote(&mut self, to: usize, channel: u8, message: &[u8], now: Duration) -> bool {
        if self.is_silent(now) {
            return false;
        }
        let vote = (channel == 0).then(|| message.first().copied().unwrap_or(0));
        if self.does(Misdeed::WithholdFromOne) && vote.is_some() {
            return match vote {
                Some(FINALIZE) => false,
                Some(NULLIFY) => to == self.victim,
                _ => to != self.victim,
            };
        }
        !(self.does(Misdeed::VoteToSome) && vote.is_some() && !self.favoured.contains(&to))
    }

    /// What goes out instead of a message.
    pub(crate) fn says(&mut self, to: usize, message: PeerMessage, now: Duration) -> Option<PeerMessage> {
        if self.is_silent(now) {
            return None;
        }
        let favoured = self.favoured.contains(&to);
        Some(match message {
            PeerMessage::Batch(_) if self.does(Misdeed::OversizeBlocks) => return None,
            PeerMessage::Batch(_) if self.does(Misdeed::HideBatches) && !favoured => return None,
            PeerMessage::Batch(bytes) if self.does(Misdeed::ForkBatches) && self.branch(to) > 0 => {
                self.other(bytes, self.branch(to))
            }
            PeerMessage::Block(block) if self.is_mine(&block) => {
                let hidden = self.does(Misdeed::HideBlocks) && !favoured;
                if hidden || (self.does(Misdeed::WithholdFromOne) && to == self.victim) {
                    return None;
                }
                PeerMessage::Block(block)
            }
            PeerMessage::Holding(heads) if self.does(Misdeed::LieHolding) => self.holding(heads),
            PeerMessage::Holding(heads) if self.does(Misdeed::ClaimAll) => {
                let most = |(head, heard): (&Head, &Head)| *head.max(heard);
                PeerMessage::Holding(heads.iter().zip(&self.heads).map(most).collect())
            }
            PeerMessage::Status { epoch, finalized, yours, .. } if self.does(Misdeed::LieStatus) => {
                let committed = Height(self.chance.of(&[0, finalized.0 + 1_000, u64::MAX]));
                let view = self.chance.of(&[0, 1_000_000, u64::MAX]);
                let sequence = Sequence(self.chance.of(&[1, yours.sequence.0 + 1, u64::MAX]));
                let yours = Head { sequence, digest: Digest(self.chance.bytes()) };
                let kept_from = Height(view);
                PeerMessage::Status { epoch, finalized: committed, committed, kept_from, view, yours }
            }
            PeerMessage::BlocksReply(blocks) if self.does(Misdeed::LieSync) => self.false_blocks(blocks),
            honest => honest,
        })
    }

    /// Which branch of its stream this one is shown. Others than the validators of the genesis see the honest one.
    fn branch(&self, to: usize) -> usize {
        self.branches.get(to).copied().unwrap_or(0)
    }

    fn is_mine(&self, block: &Block) -> bool {
        block.header().proposer == self.me
    }

    fn holding(&mut self, mut heads: Vec<Head>) -> PeerMessage {
        for (author, head) in heads.iter_mut().enumerate() {
            match self.chance.below(4) {
                0 => *head = self.heads[author],
                1 => *head = Head { sequence: head.sequence.next(), digest: Digest(self.chance.bytes()) },
                2 => *head = Head { sequence: Sequence(u64::MAX), digest: Digest(self.chance.bytes()) },
                _ => {}
            }
        }
        PeerMessage::Holding(heads)
    }

    /// Another batch in the same place, signed as well.
    fn other(&mut self, bytes: bytes::Bytes, branch: usize) -> PeerMessage {
        let Ok(batch) = Batch::decode(&self.network, bytes.clone()) else { return PeerMessage::Batch(bytes) };
        if batch.id().author != self.me {
            return PeerMessage::Batch(bytes);
        }
        let (network, me, key) = (self.network, self.me, &self.key);
        let other = self.alternatives.entry((*batch.digest(), branch)).or_insert_with(|| {
            let mut sections = batch.sections();
            let first = batch.digest().0[1] & 1 == 0;
            let (chain, packets) = if first { sections.next() } else { sections.last() }?;
            // Another batch must have whole transactions, or it is refused for that.
            let left_out: usize = PacketRun::all(packets).take(branch).map(|run| run.packets().len()).sum();
            let kept = packets.get(left_out..).filter(|kept| !kept.is_empty())?;
            // No honest validator seals one that its chain does not take, but all execute it.
            let astray = self.astray.get(&chain).map_or(&[][..], |astray| astray.run().packets());
            let packets = [kept, astray].concat();
            let section = BatchSection { chain, packets: packets.len() as u32 };
            let previous = batch.previous();
            let sign = |message: &[u8]| key.sign(message);
            // Every other one is judged by accounts that are not everywhere yet.
            let as_of = Height(batch.as_of().0 + u64::from(batch.digest().0[0] & 1));
            let other =
                Batch::seal(&network, (Epoch(0), me), &previous, as_of, &[section], packets.iter(), sign);
            Some(PeerMessage::Batch(other.bytes().clone()))
        });
        other.clone().unwrap_or(PeerMessage::Batch(bytes))
    }

    /// Blocks that follow the asker's head, with cuts and certificates that are made up.
    fn false_blocks(&mut self, blocks: Vec<FinalizedBlock>) -> PeerMessage {
        let mut false_blocks = Vec::new();
        let mut parent = None;
        for FinalizedBlock { block, .. } in blocks.into_iter().take(3) {
            let parent_digest = parent.unwrap_or(block.header().parent);
            let header = Header {
                parent: parent_digest,
                time_ms: block.header().time_ms + 1,
                ..block.header().clone()
            };
            let Ok(block) = Block::new(header) else { break };
            parent = Some(*block.digest());
            let mut finalization = FORGED.to_vec();
            finalization.extend_from_slice(&block.header().view.to_le_bytes());
            finalization.extend_from_slice(&block.digest().0);
            false_blocks.push(FinalizedBlock { block, finalization: finalization.into() });
        }
        PeerMessage::BlocksReply(false_blocks)
    }

    /// Something that nobody asked for.
    pub(crate) fn flood(&mut self) -> Vec<PeerMessage> {
        let mut flood = Vec::new();
        let validators = self.heads.len();
        let victim = ValidatorIndex(self.chance.below(validators) as u16);
        if let Some((section, transaction)) = &self.transaction {
            let previous = self.heads[usize::from(victim.0)];
            let previous =
                if self.chance.permille(500) && !previous.is_none() { previous } else { Head::NONE };
            let sign = |message: &[u8]| self.key.sign(message);
            let packets = transaction.run().packets();
            let batch = Batch::seal(
                &self.network,
                (Epoch(0), victim),
                &previous,
                Height(0),
                &[*section],
                packets.iter(),
                sign,
            );
            flood.push(PeerMessage::Batch(batch.bytes().clone()));
        }
        if let Some(last) = self.last.clone() {
            for ahead in 0..8 {
                let mut header = last.header().clone();
                header.proposer = self.me;
                header.view += ahead;
                header.height = Height(header.height.0 + ahead % 3);
                header.log = false_log(header.height, &mut self.chance);
                header.parent = Digest(self.chance.bytes());
                flood.extend(Block::new(header).ok().map(PeerMessage::Block));
            }
        }
        let digest = Digest(self.chance.bytes());
        let head = Head { sequence: Sequence(self.chance.of(&[1, 100, u64::MAX])), digest };
        flood.push(PeerMessage::FetchBatches { author: victim, above: Sequence(0), head });
        flood.push(PeerMessage::FetchBlocks {
            from: Height(self.chance.of(&[0, 1, u64::MAX])),
            max: u32::MAX,
        });
        flood.push(PeerMessage::FetchBodies {
            from: Height(self.chance.of(&[0, 1, u64::MAX])),
            heights: u32::MAX,
        });
        flood.push(PeerMessage::FetchBlock { digest });
        flood.push(PeerMessage::Holding(vec![head]));
        flood.push(PeerMessage::Overloaded);
        flood
    }

    /// How it changes its own blocks.
    pub(crate) fn forge(&mut self) -> Option<Forge> {
        if self.does(Misdeed::TakeOwn) {
            let me = usize::from(self.me.0);
            return Some(Box::new(move |block, own| {
                let mut header = block.header().clone();
                let head = header.cut.get_mut(me)?;
                *head = own.max(*head);
                Block::new(header).ok()
            }));
        }
        let mut chance = self.chance.fork();
        if self.does(Misdeed::ForgeLogs) {
            return Some(Box::new(move |block, _| {
                let log = false_log(block.height(), &mut chance);
                Block::new(Header { log, ..block.header().clone() }).ok()
            }));
        }
        if !self.does(Misdeed::ForgeBlocks) {
            return None;
        }
        let me = usize::from(self.me.0);
        Some(Box::new(move |block, _| {
            let mut header = block.header().clone();
            match chance.below(8) {
                0 => header.roots.first_mut()?.0[0] ^= 1,
                1 => header.time_ms += 400 * 24 * 3_600 * 1_000,
                2 => header.time_ms = 0,
                3 => {
                    let head = header.cut.get_mut(me)?;
                    *head =
                        Head { sequence: Sequence(head.sequence.0 + 2_000), digest: Digest(chance.bytes()) };
                }
                4 => {
                    let head = header.cut.get_mut(me)?;
                    *head = Head { sequence: head.sequence.next(), digest: Digest(chance.bytes()) };
                }
                5 => header.cut[me] = Head::NONE,
                6 => {
                    header.height = header.height.next();
                    header.log = block.log();
                }
                _ => return None,
            }
            Block::new(header).ok()
        }))
    }
}

/// A log of so many headers, of which nobody has heard.
fn false_log(height: Height, chance: &mut Chance) -> Frontier {
    let roots = (0..height.0.count_ones()).map(|_| chance.bytes()).collect();
    Frontier::new(height.0, roots).expect("as many roots as bits in the height")
}
