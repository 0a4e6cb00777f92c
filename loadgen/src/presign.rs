//! Signs the load before the clock starts, so that the generator's own cryptography is not in the figures.
//!
//! ```text
//!   Workload ── bodies, in order ──> rayon: sign ──> one array of packets per lane, ready to be cut into frames
//! ```
//!
//! A lane's packets lie side by side as bytes: whatever is due at a tick is one slice, one frame, one copy.

use crate::customers::CustomerSeed;
use crate::plan::LoadError;
use crate::workload::Workload;
use engine::limits::{BODY_BYTES, PACKET_BYTES};
use engine::types::{ChainId, Digest, Packet};
use kernels::ed25519::SigningKey;
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Packets signed between two updates of the progress counter.
const CHUNK_PACKETS: usize = 256;

/// Everything needed to sign: the keys of all customers and what they want.
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
        seed: &CustomerSeed,
        accounts: &[(ChainId, u64)],
        workload: Workload,
    ) -> Presigner {
        let keys = accounts.iter().map(|(chain, count)| seed.signing_keys(*chain, *count)).collect();
        Presigner { network, keys, chains: accounts.iter().map(|(chain, _)| *chain).collect(), workload }
    }

    /// Signs the next `per_lane` packets of every lane; `done` counts them as they come.
    pub fn sign(&mut self, per_lane: usize, done: &AtomicU64) -> Result<Vec<Vec<u8>>, LoadError> {
        let mut lanes = Vec::with_capacity(self.workload.lanes());
        for lane in 0..self.workload.lanes() {
            let mut bytes = vec![0; per_lane * PACKET_BYTES];
            for packet in bytes.chunks_exact_mut(PACKET_BYTES) {
                let (_, transfer) = self.workload.next(lane)?;
                packet[..BODY_BYTES].copy_from_slice(&transfer.body());
            }
            bytes.par_chunks_mut(CHUNK_PACKETS * PACKET_BYTES).for_each(|chunk| {
                for packet in chunk.chunks_exact_mut(PACKET_BYTES) {
                    self.sign_in_place(packet);
                }
                done.fetch_add((chunk.len() / PACKET_BYTES) as u64, Ordering::Relaxed);
            });
            lanes.push(bytes);
        }
        Ok(lanes)
    }

    fn sign_in_place(&self, bytes: &mut [u8]) {
        let packet = &Packet::slice(bytes)[0];
        let chain = self.chains.iter().position(|c| *c == packet.chain()).expect("drawn from these chains");
        let key = &self.keys[chain][packet.debit().0 as usize];
        let signature = key.sign(&packet.message(&self.network));
        bytes[BODY_BYTES..].copy_from_slice(&signature);
    }
}

#[cfg(test)]
mod tests;
