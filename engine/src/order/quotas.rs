//! How much of a block each chain may take, and since when.
//!
//! A quota is a bound on cuts. It counts what the batches between a block and its parent have for a chain. A batch that
//! is more than a quota by itself, from before the quota was lowered or from a liar, is taken where no other batch of
//! the block has anything for this chain.
//!
//! An honest leader gives each author an equal part of a quota first, then what is left; only the author whose turn it
//! is may begin with more, even with a batch that is too large by itself. So no author keeps another one out for long,
//! and no stream waits for a quota longer than twice as many heights as there are validators.

use std::collections::BTreeMap;

use crate::limits::PACKET_BYTES;
use crate::types::{ChainId, Charter, Digest, Genesis, Height, Quota};
use crate::wire::Batch;

/// The quotas of all chains: those in effect, and those that are decided and will be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    by_chain: BTreeMap<ChainId, BTreeMap<Height, Quota>>,
    /// How many of them are less than a whole block.
    limits: usize,
}

impl Quotas {
    /// Those of the genesis.
    #[must_use]
    pub fn genesis(genesis: &Genesis) -> Self {
        let since = |quota| BTreeMap::from([(Height(0), quota)]);
        let by_chain = genesis.chains().iter().map(|chain| (chain.id, since(chain.roles.quota)));
        let mut quotas = Self { by_chain: by_chain.collect(), limits: 0 };
        quotas.count();
        quotas
    }

    /// Notes what an executed height has decided about chains, and forgets what neither it nor a height above it needs.
    pub fn follow(&mut self, height: Height, decided: impl IntoIterator<Item = (ChainId, Charter)>) {
        for (chain, Charter { since, roles, .. }) in decided {
            self.by_chain.entry(chain).or_default().insert(since, roles.quota);
        }
        for of_chain in self.by_chain.values_mut().filter(|of_chain| of_chain.len() > 1) {
            let in_effect = of_chain.range(..=height).next_back().map(|(since, _)| *since);
            in_effect.inspect(|since| *of_chain = of_chain.split_off(since));
        }
        self.count();
    }

    fn count(&mut self) {
        let quotas = self.by_chain.values().flat_map(BTreeMap::values);
        self.limits = quotas.filter(|quota| **quota < Quota::WHOLE).count();
    }

    /// The quota of a chain at a height.
    #[must_use]
    pub fn at(&self, chain: ChainId, height: Height) -> Quota {
        let of_chain = self.by_chain.get(&chain);
        let in_effect = of_chain.and_then(|of| of.range(..=height).next_back());
        in_effect.map_or(Quota::WHOLE, |(_, quota)| *quota)
    }

    /// The lowest quota that a chain has at a height or, as far as it is decided, at any above it.
    #[must_use]
    pub fn lowest_from(&self, chain: ChainId, height: Height) -> Quota {
        let coming =
            self.by_chain.get(&chain).and_then(|of| of.range(height..).map(|(_, quota)| *quota).min());
        self.at(chain, height).min(coming.unwrap_or(Quota::WHOLE))
    }

    /// Whether some chain may have less than a whole block, now or later.
    #[must_use]
    pub fn is_limiting(&self) -> bool {
        self.limits > 0
    }

    /// All of them: chain, the height from which on it is in effect, quota.
    pub fn entries(&self) -> impl Iterator<Item = (ChainId, Height, Quota)> {
        let of_chain = |(chain, of): (&ChainId, &BTreeMap<Height, Quota>)| {
            let chain = *chain;
            of.iter().map(move |(since, quota)| (chain, *since, *quota)).collect::<Vec<_>>()
        };
        self.by_chain.iter().flat_map(of_chain)
    }

    /// SHA-256 of all of them, each as chain (4), height since when (8) and quota (4).
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut bytes = Vec::with_capacity(16 * self.len());
        for (chain, since, quota) in self.entries() {
            bytes.extend(chain.0.to_le_bytes());
            bytes.extend(since.0.to_le_bytes());
            bytes.extend(quota.0.to_le_bytes());
        }
        Digest(kernels::sha2::sha256(&bytes))
    }

    /// How many there are, those that are not in effect yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_chain.values().map(BTreeMap::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromIterator<(ChainId, Height, Quota)> for Quotas {
    fn from_iter<I: IntoIterator<Item = (ChainId, Height, Quota)>>(entries: I) -> Self {
        let mut quotas = Self::default();
        for (chain, since, quota) in entries {
            quotas.by_chain.entry(chain).or_default().insert(since, quota);
        }
        quotas.count();
        quotas
    }
}

/// What is wrong with the batches of a block: a chain has more in them than its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("takes {bytes} bytes of chain {chain}, more than its quota of {}", quota.0)]
pub struct OverQuota {
    /// The chain.
    pub chain: ChainId,
    /// How many bytes the batches have for it.
    pub bytes: usize,
    /// How many it may have.
    pub quota: Quota,
}

/// What the batches of one block take of the quotas.
#[derive(Debug)]
pub(super) struct Share {
    height: Height,
    /// Of each chain that may not have a whole block.
    chains: BTreeMap<ChainId, OfChain>,
}

#[derive(Debug)]
struct OfChain {
    quota: Quota,
    /// Packets that are taken, and of these those of one author.
    packets: usize,
    of_author: usize,
}

impl Share {
    /// Of a block of this height, before its first batch.
    pub(super) fn new(quotas: &Quotas, height: Height) -> Self {
        let all = quotas.by_chain.keys().filter(|_| quotas.is_limiting());
        let all = all.map(|chain| (*chain, quotas.at(*chain, height)));
        let limited = all.filter(|(_, quota)| *quota < Quota::WHOLE);
        let of_chain = |(chain, quota)| (chain, OfChain { quota, packets: 0, of_author: 0 });
        Self { height, chains: limited.map(of_chain).collect() }
    }

    /// The height of the block.
    pub(super) fn height(&self) -> Height {
        self.height
    }

    /// Batches of another author come.
    pub(super) fn begin(&mut self) {
        self.chains.values_mut().for_each(|of| of.of_author = 0);
    }

    /// Whether an author would have, with one more batch, at most an equal part of each quota.
    pub(super) fn is_within_part(&self, batch: &Batch, authors: usize) -> bool {
        let fits = |of: &OfChain, packets: usize| of.of_author + packets <= of.quota.packets() / authors;
        self.limited(batch).all(|(_, of, packets)| fits(of, packets))
    }

    /// Takes one more batch.
    ///
    /// # Errors
    /// [`OverQuota`]: with it, a chain would have more than its quota, and not from this batch alone. Nothing is taken.
    pub(super) fn take(&mut self, batch: &Batch) -> Result<(), OverQuota> {
        for (chain, of, packets) in self.limited(batch) {
            let sum = of.packets + packets;
            if of.packets > 0 && sum > of.quota.packets() {
                return Err(OverQuota { chain, bytes: sum * PACKET_BYTES, quota: of.quota });
            }
        }
        if !self.chains.is_empty() {
            for (chain, packets) in batch.sections() {
                if let Some(of) = self.chains.get_mut(&chain) {
                    of.packets += packets.len();
                    of.of_author += packets.len();
                }
            }
        }
        Ok(())
    }

    /// What a batch has for chains that may not have a whole block, in packets.
    fn limited(&self, batch: &Batch) -> impl Iterator<Item = (ChainId, &OfChain, usize)> {
        let sections = batch.sections().filter(|_| !self.chains.is_empty());
        sections.filter_map(|(chain, packets)| Some((chain, self.chains.get(&chain)?, packets.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::availability::Stream;
    use crate::order::NextMembers;
    use crate::order::{BlockTree, Flaw, Judgement, Position, Proposal};
    use crate::types::{ChainGenesis, Epoch, Head, Packet, ValidatorIndex};
    use crate::verify::Verified;
    use crate::wire::{BatchSection, Block};

    const SMALL: ChainId = ChainId(3);
    const LARGE: ChainId = ChainId(4);
    const NETWORK: Digest = Digest([0x42; 32]);
    /// The lowest quota has so many packets.
    const MOST: usize = 512;

    fn charter(since: u64, quota: Quota) -> Charter {
        let (id, suite) = (SMALL, crate::types::CryptoSuite::Ed25519);
        let roles = crate::types::Roles { quota, ..Default::default() };
        let (kind, asset) = Default::default();
        let genesis = ChainGenesis { id, kind, suite, asset, roles, threshold: 0, accounts: vec![] };
        Charter { since: Height(since), ..Charter::from(&genesis) }
    }

    fn limited() -> Quotas {
        let mut quotas = Quotas::default();
        quotas.follow(Height(0), [(SMALL, charter(0, Quota::LEAST))]);
        quotas
    }

    /// Streams of two authors whose batches have so many packets of both chains.
    fn streams(batches: [&[(usize, usize)]; 2]) -> Vec<Stream> {
        let stream = |(author, batches): (u16, &[(usize, usize)])| {
            let mut stream = Stream::new(Head::NONE, 2, usize::MAX);
            for (small, large) in batches {
                let sections =
                    [(SMALL, *small), (LARGE, *large)].into_iter().filter(|(_, packets)| *packets > 0);
                let section = |(chain, packets)| BatchSection { chain, packets: packets as u32 };
                let sections: Vec<_> = sections.map(section).collect();
                let packets = vec![Packet([0; 128]); small + large];
                let (author, previous) = (ValidatorIndex(author), stream.held());
                let batch = Batch::seal(
                    &NETWORK,
                    (Epoch(0), author),
                    &previous,
                    Height(0),
                    &sections,
                    packets.iter(),
                    |_| [0; 64],
                );
                stream.insert(Verified::assumed(batch), true);
                let head = stream.received(|_| false);
                stream.durable(&head.digest);
            }
            stream
        };
        (0..).zip(batches).map(stream).collect()
    }

    const PROPOSAL: Proposal = Proposal { view: 1, leader: ValidatorIndex(0), parent: NETWORK };

    fn tree(quotas: Quotas) -> BlockTree {
        BlockTree::new(Position::genesis(NETWORK, 2), quotas, NextMembers::default())
    }

    /// Up to which sequences an honest leader takes them. The second author is the first one at height 1.
    fn proposed(quotas: &Quotas, streams: &[Stream]) -> Vec<u64> {
        let mut tree = tree(quotas.clone());
        let held = |author: ValidatorIndex, _: &Position| streams[usize::from(author.0)].held();
        let block = tree.propose(&PROPOSAL, 0, streams, held).unwrap();
        tree.insert(block.clone(), false);
        assert_eq!(tree.judge(block.digest(), &PROPOSAL, streams, 0), Judgement::Valid, "it judges itself");
        block.cut().iter().map(|head| head.sequence.0).collect()
    }

    /// What a voter says of a block that takes the first so many batches of each author.
    fn judged(quotas: &Quotas, streams: &[Stream], taken: [usize; 2]) -> Judgement {
        let mut tree = tree(quotas.clone());
        let idle = tree.propose(&PROPOSAL, 0, streams, |_, _| Head::NONE).unwrap();
        let mut header = idle.header().clone();
        for (author, count) in taken.into_iter().enumerate() {
            let path = streams[author].path(&Head::NONE, &streams[author].held()).unwrap();
            header.cut[author] = count.checked_sub(1).map_or(Head::NONE, |last| path[last].head());
        }
        let block = Block::new(header).unwrap();
        tree.insert(block.clone(), false);
        tree.judge(block.digest(), &PROPOSAL, streams, 0)
    }

    #[test]
    fn a_block_takes_what_fits_into_the_quota_and_all_of_other_chains() {
        let streams = streams([&[(300, 1_000), (100, 1_000)], &[(112, 2_000), (200, 2_000), (0, 9)]]);
        assert_eq!(proposed(&Quotas::default(), &streams), [2, 3], "no quota");
        // 112 and 200 of the second author, which begins; then 300 of the first would be too many.
        assert_eq!(proposed(&limited(), &streams), [0, 3]);
        assert_eq!(judged(&limited(), &streams, [2, 1]), Judgement::Valid, "{MOST} of them");
        let over = OverQuota { chain: SMALL, bytes: 712 * 128, quota: Quota::LEAST };
        assert_eq!(judged(&limited(), &streams, [2, 2]), Judgement::Invalid(Flaw::Quota(over)));
        assert_eq!(judged(&Quotas::default(), &streams, [2, 2]), Judgement::Valid);
    }

    #[test]
    fn a_batch_above_the_quota_is_taken_alone_and_before_others_only_in_its_authors_turn() {
        let quotas = limited();
        let flood: &[(usize, usize)] = &[(513, 1), (513, 1)];
        let others = streams([flood, &[(5, 7)]]);
        assert_eq!(proposed(&quotas, &others), [0, 1]);
        let alone = streams([flood, &[(0, 7)]]);
        assert_eq!(
            proposed(&quotas, &alone),
            [1, 1],
            "one of them, when no other has anything for the chain"
        );
        assert_eq!(judged(&quotas, &alone, [1, 1]), Judgement::Valid);
        assert!(matches!(judged(&quotas, &alone, [2, 1]), Judgement::Invalid(Flaw::Quota(_))));
        assert!(matches!(judged(&quotas, &others, [1, 1]), Judgement::Invalid(Flaw::Quota(_))));
        // Its own turn: then the others wait for the next height.
        assert_eq!(proposed(&quotas, &streams([&[(5, 7)], flood])), [0, 1]);
    }

    #[test]
    fn each_author_has_a_part_before_one_has_more() {
        let quotas = limited();
        // The second author begins, with more than its half; the first one gets what is left of the quota.
        assert_eq!(proposed(&quotas, &streams([&[(100, 1), (112, 1)], &[(300, 1), (100, 1)]])), [2, 1]);
        // The first author does not begin: it has its half, and then what the other leaves.
        assert_eq!(proposed(&quotas, &streams([&[(256, 1), (100, 1), (57, 1)], &[(100, 1)]])), [2, 1]);
        // Nor has it more than its half before the other one has its own.
        assert_eq!(proposed(&quotas, &streams([&[(400, 1)], &[(200, 1), (50, 1)]])), [0, 2]);
    }

    #[test]
    fn a_quota_counts_from_its_height_on() {
        let mut quotas = Quotas::default();
        quotas.follow(Height(10), [(SMALL, charter(138, Quota::LEAST))]);
        quotas
            .follow(Height(20), [(SMALL, charter(148, Quota::WHOLE)), (LARGE, charter(148, Quota(100_000)))]);
        let at = |quotas: &Quotas, height| quotas.at(SMALL, Height(height));
        assert_eq!(
            [137, 138, 147, 148].map(|height| at(&quotas, height)),
            [Quota::WHOLE, Quota::LEAST, Quota::LEAST, Quota::WHOLE]
        );
        let lowest = |height| quotas.lowest_from(SMALL, Height(height));
        assert_eq!([0, 138, 147, 148].map(lowest), [Quota::LEAST, Quota::LEAST, Quota::LEAST, Quota::WHOLE]);
        assert!(quotas.is_limiting() && quotas.len() == 3);
        // What is over is forgotten, and nothing that counts is.
        quotas.follow(Height(140), []);
        assert_eq!((at(&quotas, 140), at(&quotas, 148), quotas.len()), (Quota::LEAST, Quota::WHOLE, 3));
        quotas.follow(Height(150), []);
        assert_eq!(
            (at(&quotas, 150), quotas.len(), quotas.at(LARGE, Height(150))),
            (Quota::WHOLE, 2, Quota(100_000))
        );
        quotas.follow(Height(160), [(LARGE, charter(288, Quota::WHOLE))]);
        quotas.follow(Height(288), []);
        assert!(!quotas.is_limiting(), "nothing is limited any more");
    }
}
