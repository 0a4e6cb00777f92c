//! The keys of the clients that the generator plays: one for each account of the genesis, none of them stored.
//!
//! ```text
//!   ClientSeed (32 secret bytes) + chain + account ── SHA-256, domain separated ──> Ed25519 seed ──> key pair
//! ```
//!
//! The seed of the key of account `a` on chain `c` is
//! `SHA-256("millrace/customer-key/1" || seed || c as u32 LE || a as u64 LE)`. With the seed, the generator
//! signs for every account, in any order and without a table; an account's key tells nothing about the seed
//! or about other keys. The separator keeps these keys apart from every other use of the same seed; it keeps
//! its first wording, because the accounts of every network that was made so far follow from it.

use std::ops::Range;

use engine::types::{AccountId, ChainId};
use kernels::ed25519::{SigningKey, public_keys};
use kernels::sha2::sha256_parts;
use rayon::prelude::*;
use zeroize::Zeroizing;

/// Keys that one core makes before another one may take over.
const KEYS_AT_ONCE: usize = 1_024;
const KEY_DOMAIN: &[u8] = b"millrace/customer-key/1";

/// The secret from which all client keys of a test network follow.
#[derive(Clone, Copy)]
pub struct ClientSeed(pub [u8; 32]);

impl ClientSeed {
    /// The signing key of one account.
    pub fn signing_key(&self, chain: ChainId, account: AccountId) -> SigningKey {
        SigningKey::from_seed(self.account_seed(chain, account))
    }

    /// The secret from which that signing key follows, as RFC 8032 has it.
    pub fn account_seed(&self, chain: ChainId, account: AccountId) -> [u8; 32] {
        let (chain, account) = (chain.0.to_le_bytes(), account.0.to_le_bytes());
        sha256_parts(&[KEY_DOMAIN, &self.0, &chain, &account])
    }

    /// The signing keys of accounts `0..accounts` of a chain, computed on all cores.
    pub fn signing_keys(&self, chain: ChainId, accounts: u64) -> Vec<SigningKey> {
        (0..accounts).into_par_iter().map(|a| self.signing_key(chain, AccountId(a))).collect()
    }

    /// The public keys of some accounts of a chain, as a genesis wants them.
    pub fn public_keys(&self, chain: ChainId, accounts: Range<u64>) -> Vec<[u8; 32]> {
        let ids: Vec<u64> = accounts.collect();
        let keys = ids.par_chunks(KEYS_AT_ONCE).flat_map_iter(|ids| {
            let seed = |id: &u64| self.account_seed(chain, AccountId(*id));
            public_keys(&Zeroizing::new(ids.iter().map(seed).collect::<Vec<_>>()))
        });
        keys.collect()
    }
}

impl std::fmt::Debug for ClientSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSeed(secret)")
    }
}

#[cfg(test)]
mod tests;
