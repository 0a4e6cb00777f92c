//! The tree over the transactions of a block on one chain.

use super::{Path, leaf_hashes};
use crate::limits::SIGNED_MESSAGE_BYTES;
use crate::types::{Digest, Outcome, Packet, PacketRun, TransactionId};

/// The ids, outcomes and leaf hashes of a block's transactions on one chain, in the order of execution.
#[derive(Clone, Debug)]
pub struct TransactionTree {
    ids: Vec<[u8; 32]>,
    outcomes: Vec<Outcome>,
    leaves: Vec<[u8; 32]>,
    root: Digest,
}

impl TransactionTree {
    /// Hashes all ids and the tree. `outcomes` are those of the transactions, in the same order.
    pub fn new<'a>(
        network: &Digest,
        batches: impl Iterator<Item = &'a [Packet]>,
        outcomes: &[Outcome],
    ) -> Self {
        Self::of(transaction_ids(network, batches, outcomes.len()), outcomes)
    }

    /// Hashes the tree over transactions whose ids are known.
    pub fn of(ids: Vec<[u8; 32]>, outcomes: &[Outcome]) -> Self {
        assert_eq!(ids.len(), outcomes.len(), "one outcome for each transaction");
        let leaves = leaf_hashes(ids.iter().zip(outcomes).map(|(id, outcome)| {
            let mut leaf = [0; 1 + TRANSACTION_LEAF_BYTES];
            leaf[1..].copy_from_slice(&transaction_leaf(id, *outcome));
            leaf
        }));
        let root = Digest(kernels::merkle::root(&leaves));
        Self { ids, outcomes: outcomes.to_vec(), leaves, root }
    }

    /// How many transactions.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids with the outcomes, in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (TransactionId, Outcome)> {
        self.ids.iter().map(|id| TransactionId(*id)).zip(self.outcomes.iter().copied())
    }

    /// The id of the transaction at a place.
    ///
    /// # Panics
    /// There is none.
    pub fn id(&self, place: usize) -> TransactionId {
        TransactionId(self.ids[place])
    }

    /// The place of a transaction. One id may stand in a block twice, since a replay is included and fails; the place
    /// that spent the nonce is meant if there is one.
    pub fn position(&self, id: &TransactionId) -> Option<usize> {
        let places = || self.ids.iter().enumerate().filter(|(_, at)| **at == id.0).map(|(place, _)| place);
        places().find(|place| self.outcomes[*place].spends_nonce()).or_else(|| places().next())
    }

    /// The root.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// Outcome and path of the transaction at a place.
    pub fn prove(&self, place: usize) -> Option<(Outcome, Path)> {
        let path = kernels::merkle::prove(&self.leaves, place as u64)?;
        Some((*self.outcomes.get(place)?, path.into()))
    }
}

/// Whether a transaction is among packets. It costs the ids, and not the tree over them.
pub fn contains_transaction(network: &Digest, packets: &[Packet], id: &TransactionId) -> bool {
    transaction_ids(network, std::iter::once(packets), packets.len()).contains(&id.0)
}

/// The ids of the transactions of batches, which have about `expected` packets.
pub fn transaction_ids<'a>(
    network: &Digest,
    batches: impl Iterator<Item = &'a [Packet]>,
    expected: usize,
) -> Vec<[u8; 32]> {
    let mut messages = Vec::with_capacity(expected * SIGNED_MESSAGE_BYTES);
    // Messages of one length are hashed many at once; those of envelopes, each with its place, one by one.
    let mut envelopes: Vec<(usize, [u8; 32])> = Vec::new();
    for (place, run) in batches.flat_map(PacketRun::all).enumerate() {
        if run.packets().len() == 1 {
            messages.extend_from_slice(&network.0);
            messages.extend_from_slice(run.body());
        } else {
            envelopes.push((place, run.id(network).0));
        }
    }
    let mut ids = vec![[0; 32]; messages.len() / SIGNED_MESSAGE_BYTES];
    kernels::sha2::sha256_many(&messages, SIGNED_MESSAGE_BYTES, &mut ids);
    if envelopes.is_empty() {
        return ids;
    }
    let (mut packets, mut envelopes) = (ids.into_iter(), envelopes.into_iter().peekable());
    let count = packets.len() + envelopes.len();
    let next = |place| match envelopes.next_if(|(at, _)| *at == place) {
        Some((_, id)) => id,
        None => packets.next().expect("an id for each transaction of one packet"),
    };
    (0..count).map(next).collect()
}

const TRANSACTION_LEAF_BYTES: usize = 32 + 1;

/// The leaf of a transaction: its id and its outcome.
pub(super) fn transaction_leaf(id: &[u8; 32], outcome: Outcome) -> [u8; TRANSACTION_LEAF_BYTES] {
    let mut leaf = [0; TRANSACTION_LEAF_BYTES];
    leaf[..32].copy_from_slice(id);
    leaf[32] = outcome.code();
    leaf
}
