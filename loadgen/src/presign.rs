//! Signs the load before the clock starts, so that the generator's own cryptography is not in the figures.
//!
//! ```text
//!   Workload ── bodies, in order ──> rayon: sign ──> one array of packets per lane, ready to be cut into frames
//! ```
//!
//! A lane's transactions lie side by side as bytes: whatever is due at a tick is one slice, one frame, one copy.

use crate::client_keys::ClientSeed;
use crate::plan::LoadError;
use crate::pool::Sizes;
use crate::workload::{Does, Drawn, Workload};
use engine::limits::{BODY_BYTES, PACKET_BYTES, SIGNATURE_BYTES};
use engine::types::{
    AccountId, Attest, ChainId, Data, Digest, Fingerprint, Link, Linked, NewAccount, NewAccounts, Opening,
    Packet, PacketRun, Payment, Payments, Registration, Registrations, Transaction, Transfer,
    possession_message,
};
use kernels::ed25519::{SignRequest, SigningKey, sign_batch};
use kernels::sha2::sha256_parts;
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Transactions signed between two updates of the progress counter, in whole rounds of their sizes.
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

    /// Packets of a lane's transactions.
    pub fn sizes(&self) -> Sizes {
        self.workload.sizes()
    }

    /// Signs the next `per_lane` transactions of every lane, whole rounds of their sizes; `done` counts them as they
    /// come.
    pub fn sign(&mut self, per_lane: usize, done: &AtomicU64) -> Result<Vec<Vec<u8>>, LoadError> {
        let mut lanes = Vec::with_capacity(self.workload.lanes());
        for lane in 0..self.workload.lanes() {
            let sizes = self.sizes();
            let mut bytes = Vec::with_capacity(sizes.packets(per_lane as u64) as usize * PACKET_BYTES);
            for _ in 0..per_lane {
                let Drawn { transfer, does, .. } = self.workload.next(lane)?;
                match does {
                    Does::Pays => {
                        bytes.extend_from_slice(&transfer.body());
                        bytes.extend_from_slice(&[0; SIGNATURE_BYTES]);
                    }
                    Does::PaysAll(payees) => {
                        bytes.extend_from_slice(self.linked(&transfer, &payees).bytes());
                    }
                    Does::Attests(fingerprint, data_bytes) => {
                        bytes.extend_from_slice(self.attest(&transfer, fingerprint, data_bytes).bytes());
                    }
                    Does::Opens(seed, accounts) => {
                        bytes.extend_from_slice(self.opening(&transfer, &seed, accounts).bytes());
                    }
                }
            }
            let round = sizes.packets(sizes.period()) as usize * PACKET_BYTES;
            let rounds = CHUNK.div_ceil(sizes.period() as usize);
            bytes.par_chunks_mut(rounds * round).for_each(|chunk| {
                self.sign_in_place(chunk);
                done.fetch_add((chunk.len() / round) as u64 * sizes.period(), Ordering::Relaxed);
            });
            lanes.push(bytes);
        }
        Ok(lanes)
    }

    /// Linked transfers of 1 to each payee, with room for the signature.
    fn linked(&self, transfer: &Transfer, payees: &[AccountId]) -> Transaction {
        let encoded: Vec<_> = payees.iter().map(|to| Payment { to: *to, amount: 1 }.encode()).collect();
        let Transfer { chain, key_version, reference, debit, nonce, expiry, .. } = *transfer;
        let payments = Payments::of(&encoded);
        let linked = Linked { chain, key_version, reference, debit, payments, memo: &[], nonce, expiry };
        linked.sign(&self.network, |_| [0; 64]).expect("a plan has 1 to 1,000 payments")
    }

    /// The registration of a fingerprint, with room for the signature. Its data is the fingerprint again and again.
    fn attest(&self, transfer: &Transfer, fingerprint: Fingerprint, data_bytes: usize) -> Transaction {
        let data: Vec<u8> = fingerprint.0.iter().copied().cycle().take(data_bytes).collect();
        let data = if data.is_empty() { Data::None } else { Data::Inline(&data) };
        let mut encoded = Vec::new();
        let registration = Registration { fingerprint, kind: 0, link: Link::None, data };
        registration.encode(&mut encoded).expect("a hash, and data within a plan's bound");
        let registrations = Registrations::read(1, &encoded).expect("it was just encoded");
        let Transfer { chain, key_version, reference, debit: owner, nonce, expiry, .. } = *transfer;
        let attest = Attest { chain, key_version, reference, owner, registrations, nonce, expiry };
        attest.sign(&self.network, |_| [0; 64]).expect("one fits into an envelope")
    }

    /// The opening of accounts with keys of their own, each with the signature that shows that somebody has it, and
    /// with room for the registrar's.
    fn opening(&self, transfer: &Transfer, seed: &[u8; 32], accounts: usize) -> Transaction {
        let Transfer { chain, key_version, reference, debit: registrar, nonce, expiry, .. } = *transfer;
        let account = |number: u32| {
            let key = SigningKey::from_seed(sha256_parts(&[seed, &number.to_le_bytes()]));
            let message = possession_message(&self.network, chain, registrar, &key.public_key());
            NewAccount { key: &key.public_key(), possession: &key.sign(&message) }.encode()
        };
        let encoded: Vec<_> = (0..accounts as u32).into_par_iter().map(account).collect();
        let accounts = NewAccounts::of(&encoded);
        let opening = Opening { chain, key_version, reference, registrar, accounts, nonce, expiry };
        opening.sign(&self.network, |_| [0; 64]).expect("a plan opens 1 to 680 accounts")
    }

    /// Signs whole transactions that lie side by side.
    fn sign_in_place(&self, bytes: &mut [u8]) {
        let runs: Vec<_> = PacketRun::all(Packet::slice(bytes)).collect();
        let messages: Vec<_> = runs.iter().map(|run| run.message(&self.network)).collect();
        let requests: Vec<_> = runs
            .iter()
            .zip(&messages)
            .map(|(run, message)| SignRequest { key: self.key_of(run), message })
            .collect();
        let mut signatures = vec![[0; 64]; requests.len()];
        sign_batch(&requests, &mut signatures);
        let lengths: Vec<usize> = runs.iter().map(|run| run.packets().len() * PACKET_BYTES).collect();
        let mut rest = bytes;
        for (length, signature) in lengths.into_iter().zip(signatures) {
            let transaction = rest.split_off_mut(..length).expect("the runs are all of the bytes");
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
