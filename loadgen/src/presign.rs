//! Signs the load before the clock starts, so that the generator's own cryptography is not in the figures.
//!
//! ```text
//!   Workload ── bodies, in order ──> rayon: sign ──> one array of packets per lane, ready to be cut into frames
//! ```
//!
//! A lane's packets lie side by side as bytes: whatever is due at a tick is one slice, one frame, one copy.

use crate::client_keys::ClientSeed;
use crate::plan::LoadError;
use crate::workload::Workload;
use engine::limits::{BODY_BYTES, PACKET_BYTES};
use engine::types::{ChainId, Digest, Packet};
use kernels::ed25519::{SignRequest, SigningKey, sign_batch};
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Packets signed between two updates of the progress counter.
const CHUNK_PACKETS: usize = 256;

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
                self.sign_in_place(chunk);
                done.fetch_add((chunk.len() / PACKET_BYTES) as u64, Ordering::Relaxed);
            });
            lanes.push(bytes);
        }
        Ok(lanes)
    }

    /// Signs packets that lie side by side.
    fn sign_in_place(&self, bytes: &mut [u8]) {
        let packets = Packet::slice(bytes);
        let messages: Vec<_> = packets.iter().map(|packet| packet.message(&self.network)).collect();
        let requests: Vec<_> = packets
            .iter()
            .zip(&messages)
            .map(|(packet, message)| SignRequest { key: self.key_of(packet), message })
            .collect();
        let mut signatures = vec![[0; 64]; requests.len()];
        sign_batch(&requests, &mut signatures);
        for (packet, signature) in bytes.chunks_exact_mut(PACKET_BYTES).zip(signatures) {
            packet[BODY_BYTES..].copy_from_slice(&signature);
        }
    }

    fn key_of(&self, packet: &Packet) -> &SigningKey {
        let chain = self.chains.iter().position(|c| *c == packet.chain()).expect("drawn from these chains");
        &self.keys[chain][packet.debit().0 as usize]
    }
}

#[cfg(test)]
mod tests;
