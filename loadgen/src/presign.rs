//! Signs the load before the clock starts, so that the generator's own cryptography is not in the figures.
//!
//! ```text
//!   Workload ── bodies, in order ──> rayon: sign ──> one array of packets per lane, ready to be cut into frames
//! ```
//!
//! A lane's transactions lie side by side as bytes: whatever is due at a tick is one slice, one frame, one copy.

use crate::client_keys::ClientSeed;
use crate::plan::LoadError;
use crate::workload::{Drawn, Workload};
use engine::limits::{BODY_BYTES, PACKET_BYTES};
use engine::types::{
    AccountId, ChainId, Digest, Linked, Packet, PacketRun, Payment, Payments, Transaction, Transfer,
};
use kernels::ed25519::{SignRequest, SigningKey, sign_batch};
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Transactions signed between two updates of the progress counter.
const CHUNK: usize = 256;

/// Everything needed to sign: the keys of all clients, and the transfers that they sign.
pub struct Presigner {
    network: Digest,
    /// By place of the chain among the workload's chains, then by account id.
    keys: Vec<Vec<SigningKey>>,
    chains: Vec<ChainId>,
    workload: Workload,
}

impl Presigner {
    /// Derives the keys of all accounts (about ten microseconds each, on all cores).
    pub fn new(
        network: Digest,
        seed: &ClientSeed,
        accounts: &[(ChainId, u64)],
        workload: Workload,
    ) -> Presigner {
        let keys = accounts.iter().map(|(chain, count)| seed.signing_keys(*chain, *count)).collect();
        Presigner { network, keys, chains: accounts.iter().map(|(chain, _)| *chain).collect(), workload }
    }

    /// Packets of each transaction.
    pub fn packets(&self) -> usize {
        self.workload.packets()
    }

    /// Signs the next `per_lane` transactions of every lane; `done` counts them as they come.
    pub fn sign(&mut self, per_lane: usize, done: &AtomicU64) -> Result<Vec<Vec<u8>>, LoadError> {
        let mut lanes = Vec::with_capacity(self.workload.lanes());
        for lane in 0..self.workload.lanes() {
            let stride = self.packets() * PACKET_BYTES;
            let mut bytes = vec![0; per_lane * stride];
            for transaction in bytes.chunks_exact_mut(stride) {
                let Drawn { transfer, payees, .. } = self.workload.next(lane)?;
                if payees.is_empty() {
                    transaction[..BODY_BYTES].copy_from_slice(&transfer.body());
                } else {
                    transaction.copy_from_slice(self.unsigned(&transfer, &payees).bytes());
                }
            }
            bytes.par_chunks_mut(CHUNK * stride).for_each(|chunk| {
                self.sign_in_place(chunk, stride);
                done.fetch_add((chunk.len() / stride) as u64, Ordering::Relaxed);
            });
            lanes.push(bytes);
        }
        Ok(lanes)
    }

    /// Linked transfers of 1 to each payee, with room for the signature.
    fn unsigned(&self, transfer: &Transfer, payees: &[AccountId]) -> Transaction {
        let encoded: Vec<_> = payees.iter().map(|to| Payment { to: *to, amount: 1 }.encode()).collect();
        let Transfer { chain, key_version, reference, debit, nonce, expiry, .. } = *transfer;
        let payments = Payments::of(&encoded);
        let linked = Linked { chain, key_version, reference, debit, payments, memo: &[], nonce, expiry };
        linked.sign(&self.network, |_| [0; 64]).expect("a plan has 1 to 1,000 payments")
    }

    /// Signs transactions of `stride` bytes that lie side by side.
    fn sign_in_place(&self, bytes: &mut [u8], stride: usize) {
        let runs: Vec<_> = PacketRun::all(Packet::slice(bytes)).collect();
        let messages: Vec<_> = runs.iter().map(|run| run.message(&self.network)).collect();
        let requests: Vec<_> = runs
            .iter()
            .zip(&messages)
            .map(|(run, message)| SignRequest { key: self.key_of(run), message })
            .collect();
        let mut signatures = vec![[0; 64]; requests.len()];
        sign_batch(&requests, &mut signatures);
        for (transaction, signature) in bytes.chunks_exact_mut(stride).zip(signatures) {
            transaction[BODY_BYTES..PACKET_BYTES].copy_from_slice(&signature);
        }
    }

    fn key_of(&self, packet: &Packet) -> &SigningKey {
        let chain = self.chains.iter().position(|c| *c == packet.chain()).expect("drawn from these chains");
        &self.keys[chain][packet.debit().0 as usize]
    }
}

#[cfg(test)]
mod tests;
