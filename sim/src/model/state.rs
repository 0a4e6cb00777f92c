//! What a state of the model is: what each honest validator knows, holds and has voted for.
//!
//! A state packs into 128 bits: 32 for each of the three honest validators and two for the contents of the blocks.
//! The Byzantine validator has no state, since it may say anything at any time.

/// Honest validators; a fourth one is Byzantine, so a quorum is 3 and `f` is 1.
pub(super) const HONEST: usize = 3;
/// Honest votes that make a certificate together with the Byzantine vote.
pub(super) const QUORUM_WITH_FAULTY: usize = 2;
/// Views that the Byzantine validator leads.
pub(super) const VIEWS: usize = 2;
/// All views: those above, and three with honest leaders in which the network must recover.
pub(super) const VIEWS_MAX: usize = VIEWS + HONEST;

/// A block: the view in which it was proposed, counted from 0, and which of the two proposals of that view it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockId {
    pub view: usize,
    pub choice: u16,
}

/// The parts of a header that voting looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// `None` is the genesis.
    pub parent: Option<BlockId>,
    /// Whether the cut takes one batch of the Byzantine author's stream, and which of its two branches.
    pub cut: Option<usize>,
}

/// Where something is at one validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Held {
    No,
    /// Only in memory: a power cut loses it.
    Memory,
    Durable,
    /// In the journal, but the restart did not load it. Occurs only without the rule `ServeAfterRestart`.
    Unloaded,
}

impl Held {
    const fn of(bits: u16) -> Held {
        match bits & 3 {
            0 => Held::No,
            1 => Held::Memory,
            2 => Held::Durable,
            _ => Held::Unloaded,
        }
    }

    /// Whether the validator can use and serve it now.
    pub(super) fn here(self) -> bool {
        matches!(self, Held::Memory | Held::Durable)
    }

    /// Whether it survives a power cut.
    pub(super) fn durable(self) -> bool {
        self >= Held::Durable
    }
}

/// One validator's part in one view, in 14 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Round(u16);

const VOTE: u32 = 4;
const NOTARIZATION: u32 = 6;

/// One-bit facts of a [`Round`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// Has voted to nullify the view.
    Nullified = 8,
    /// Has voted to finalize the block that it holds a notarization of.
    FinalizeVoted = 9,
    /// `certify` has answered *true*.
    Certified = 10,
    /// Holds the nullification.
    Nullification = 11,
    /// Holds the finalization.
    Finalization = 12,
    /// The answer of `certify` was dropped. Occurs only without the rule `CertifyStaysPending`.
    Dropped = 13,
}

impl Round {
    fn two(self, shift: u32) -> u16 {
        self.0 >> shift & 3
    }

    fn set_two(&mut self, shift: u32, bits: u16) {
        self.0 = self.0 & !(3 << shift) | (bits & 3) << shift;
    }

    pub(super) fn block(self, choice: u16) -> Held {
        Held::of(self.two(2 * u32::from(choice)))
    }

    pub(super) fn set_block(&mut self, choice: u16, held: Held) {
        self.set_two(2 * u32::from(choice), held as u16);
    }

    /// The proposal that the validator has notarized.
    pub(super) fn vote(self) -> Option<u16> {
        self.two(VOTE).checked_sub(1)
    }

    pub(super) fn set_vote(&mut self, vote: Option<u16>) {
        self.set_two(VOTE, vote.map_or(0, |choice| choice + 1));
    }

    /// The proposal that the validator holds a notarization or a finalization of.
    pub(super) fn notarized(self) -> Option<u16> {
        self.two(NOTARIZATION).checked_sub(1)
    }

    pub(super) fn set_notarized(&mut self, choice: Option<u16>) {
        self.set_two(NOTARIZATION, choice.map_or(0, |choice| choice + 1));
    }

    pub(super) fn is(self, fact: Fact) -> bool {
        self.0 >> fact as u32 & 1 == 1
    }

    pub(super) fn set(&mut self, fact: Fact, to: bool) {
        self.0 = self.0 & !(1 << fact as u32) | u16::from(to) << fact as u32;
    }
}

/// What one honest validator knows and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Validator {
    pub rounds: [Round; VIEWS_MAX],
    bodies: u16,
}

impl Validator {
    pub(super) fn body(&self, branch: usize) -> Held {
        Held::of(self.bodies >> (2 * branch))
    }

    pub(super) fn set_body(&mut self, branch: usize, held: Held) {
        self.bodies = self.bodies & !(3 << (2 * branch)) | (held as u16) << (2 * branch);
    }

    /// The view that this validator is in: one above the highest view that is certified, nullified or finalized.
    pub(super) fn view(&self) -> usize {
        let left = |round: &Round| {
            round.is(Fact::Certified) || round.is(Fact::Nullification) || round.is(Fact::Finalization)
        };
        self.rounds.iter().rposition(left).map_or(0, |view| view + 1)
    }

    /// The highest view of which this validator holds a finalization.
    pub(super) fn finalized(&self) -> Option<usize> {
        self.rounds.iter().rposition(|round| round.is(Fact::Finalization))
    }

    pub(super) fn held(&self, block: BlockId) -> Held {
        self.rounds[block.view].block(block.choice)
    }

    fn pack(&self) -> u32 {
        debug_assert!(self.rounds[VIEWS..].iter().all(|round| *round == Round::default()));
        u32::from(self.rounds[0].0) | u32::from(self.rounds[1].0) << 14 | u32::from(self.bodies) << 28
    }

    fn unpack(bits: u32) -> Validator {
        let round = |shift: u32| Round((bits >> shift & 0x3fff) as u16);
        let mut rounds = [Round::default(); VIEWS_MAX];
        rounds[0] = round(0);
        rounds[1] = round(14);
        Validator { rounds, bodies: (bits >> 28) as u16 }
    }
}

/// The contents of the four blocks that the Byzantine leader may propose, and of those of the honest leaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    blocks: [[Option<Block>; 2]; VIEWS_MAX],
}

const P1: BlockId = BlockId { view: 0, choice: 0 };
const Q1: BlockId = BlockId { view: 0, choice: 1 };

impl Contents {
    /// How many choices of contents there are.
    pub(super) const CHOICES: u8 = 4;

    /// In the first view both proposals extend the genesis and take conflicting branches of the Byzantine author's
    /// stream. In the second view they are any two of: child of the genesis with either branch, child of either
    /// proposal. Of the six pairs two equal others after renaming the branches.
    pub(super) fn choice(choice: u8) -> Contents {
        let child = |parent, cut| Some(Block { parent, cut: Some(cut) });
        let second = match choice {
            0 => [child(None, 0), child(None, 1)],
            1 => [child(None, 0), child(Some(P1), 0)],
            2 => [child(None, 1), child(Some(P1), 0)],
            _ => [child(Some(P1), 0), child(Some(Q1), 1)],
        };
        let none = [None, None];
        Contents { blocks: [[child(None, 0), child(None, 1)], second, none, none, none] }
    }

    pub(super) fn get(&self, id: BlockId) -> Option<Block> {
        self.blocks[id.view][usize::from(id.choice)]
    }

    pub(super) fn propose(&mut self, id: BlockId, block: Block) {
        self.blocks[id.view][usize::from(id.choice)] = Some(block);
    }

    /// The block and its ancestors, the genesis excluded.
    pub(super) fn branch(&self, tip: BlockId) -> impl Iterator<Item = BlockId> + '_ {
        std::iter::successors(Some(tip), |id| self.get(*id)?.parent)
    }

    pub(super) fn cut(&self, id: Option<BlockId>) -> Option<usize> {
        self.get(id?)?.cut
    }
}

/// One state of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub contents: u8,
    pub validators: [Validator; HONEST],
}

impl State {
    pub(super) fn initial(contents: u8) -> State {
        State { contents, validators: [Validator::default(); HONEST] }
    }

    /// The packed state with the honest validators in ascending order. They are interchangeable: none of them leads
    /// a view of the search.
    pub(super) fn canonical(&self) -> u128 {
        let mut words = self.validators.map(|validator| validator.pack());
        words.sort_unstable();
        words.iter().fold(u128::from(self.contents), |packed, word| packed << 32 | u128::from(*word))
    }

    pub(super) fn unpack(packed: u128) -> State {
        let validator = |shift: u32| Validator::unpack((packed >> shift) as u32);
        State { contents: (packed >> 96) as u8, validators: [validator(64), validator(32), validator(0)] }
    }

    pub(super) fn count(&self, holds: impl Fn(&Validator) -> bool) -> usize {
        self.validators.iter().filter(|validator| holds(validator)).count()
    }

    /// Honest votes to notarize a block.
    pub(super) fn notarize_votes(&self, id: BlockId) -> usize {
        self.count(|v| v.rounds[id.view].vote() == Some(id.choice))
    }

    /// Honest votes to nullify a view.
    pub(super) fn nullify_votes(&self, view: usize) -> usize {
        self.count(|v| v.rounds[view].is(Fact::Nullified))
    }

    /// Honest votes to finalize a block.
    pub(super) fn finalize_votes(&self, id: BlockId) -> usize {
        self.count(|v| {
            let round = v.rounds[id.view];
            round.is(Fact::FinalizeVoted) && round.notarized() == Some(id.choice)
        })
    }

    /// Whether a finalization of the block exists or can be made by the Byzantine validator.
    pub(super) fn is_finalized(&self, id: BlockId) -> bool {
        self.finalize_votes(id) >= QUORUM_WITH_FAULTY
            || self.count(|v| {
                let round = v.rounds[id.view];
                round.is(Fact::Finalization) && round.notarized() == Some(id.choice)
            }) > 0
    }
}
