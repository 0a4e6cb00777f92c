//! New keys for accounts, and who may give them: envelopes of the account itself, of its guardians, or of anybody who
//! brings what the recovery key has signed.
//!
//! ```text
//! rekey     payload   | key (32) | possession (64) |
//! protect   payload   | safeguards |                   as in an account's record
//! recover   payload   | account (8) | changes (8) | key (32) | possession (64) |          by a guardian, who signs
//!                     .. | recovery key (32) | signature (64) |                           by the recovery key
//! possession  of the new key, under      "millrace/new-key" || network || chain || account || key
//! signature   of the recovery key, under "millrace/recover" || network || chain || account || key || changes
//! ```
//!
//! *Changes* is how many changes the account's record counts: so what was signed once cannot be used again.

use kernels::ed25519::is_small_order;

use super::packet::{Body, PROTECT_KIND, RECOVER_KIND, REKEY_KIND};
use super::record::Safeguards;
use super::transaction::Malformed;
use super::{AccountId, ChainId, Digest, Height, PacketRun, Transaction};
use crate::limits::{PUBLIC_KEY_BYTES, SIGNATURE_BYTES};

const NEW_KEY_DOMAIN: &[u8; 16] = b"millrace/new-key";
const RECOVER_DOMAIN: &[u8; 16] = b"millrace/recover";

/// What the owner of a new key signs.
pub fn new_key_message(
    network: &Digest,
    (chain, account): (ChainId, AccountId),
    key: &[u8; PUBLIC_KEY_BYTES],
) -> Vec<u8> {
    let of = (&chain.0.to_le_bytes()[..], &account.0.to_le_bytes()[..]);
    [NEW_KEY_DOMAIN, &network.0[..], of.0, of.1, key].concat()
}

/// What a recovery key signs.
pub fn recovery_message(
    network: &Digest,
    (chain, account): (ChainId, AccountId),
    key: &[u8; PUBLIC_KEY_BYTES],
    changes: u64,
) -> Vec<u8> {
    let of = (&chain.0.to_le_bytes()[..], &account.0.to_le_bytes()[..]);
    [RECOVER_DOMAIN, &network.0[..], of.0, of.1, key, &changes.to_le_bytes()].concat()
}

/// An account wants another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rekey<'a> {
    /// The chain.
    pub chain: ChainId,
    /// The version of the key under which it is signed, which is the present one.
    pub key_version: u32,
    /// The account's own reference, opaque to the ledger.
    pub reference: [u8; 12],
    /// The account.
    pub account: AccountId,
    /// The new key.
    pub key: &'a [u8; PUBLIC_KEY_BYTES],
    /// The signature of that key under [`new_key_message`].
    pub possession: &'a [u8; SIGNATURE_BYTES],
    /// The account's number for it, from the same window as its transfers; used once.
    pub nonce: u64,
    /// The last height at which it may execute.
    pub expiry: Height,
}

/// An account says who may give it a new key when its own is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protect<'a> {
    /// The chain.
    pub chain: ChainId,
    /// The version of the key under which it is signed.
    pub key_version: u32,
    /// The account's own reference, opaque to the ledger.
    pub reference: [u8; 12],
    /// The account.
    pub account: AccountId,
    /// The safeguards.
    pub safeguards: EncodedSafeguards<'a>,
    /// The account's number for it, from the same window as its transfers; used once.
    pub nonce: u64,
    /// The last height at which it may execute.
    pub expiry: Height,
}

/// Somebody else wants an account to have another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recover<'a> {
    /// The chain.
    pub chain: ChainId,
    /// The version of the signer's key.
    pub key_version: u32,
    /// The signer's own reference, opaque to the ledger.
    pub reference: [u8; 12],
    /// The account that signs: a guardian, or any account with what the recovery key has signed.
    pub signer: AccountId,
    /// The account that is to have another key.
    pub account: AccountId,
    /// How many changes that account has begun so far.
    pub changes: u64,
    /// The new key.
    pub key: &'a [u8; PUBLIC_KEY_BYTES],
    /// The signature of that key under [`new_key_message`].
    pub possession: &'a [u8; SIGNATURE_BYTES],
    /// A recovery key and its signature under [`recovery_message`], unless a guardian approves.
    pub recovery: Option<(&'a [u8; PUBLIC_KEY_BYTES], &'a [u8; SIGNATURE_BYTES])>,
    /// The signer's number for it, from the same window as its transfers; used once.
    pub nonce: u64,
    /// The last height at which it may execute.
    pub expiry: Height,
}

/// Safeguards in their encoding, which was read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedSafeguards<'a>(&'a [u8]);

impl<'a> EncodedSafeguards<'a> {
    /// Those that [`Safeguards::encode`] gave.
    ///
    /// # Errors
    /// [`Malformed`]: they are not [valid](Safeguards::is_valid).
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        let is_read = Safeguards::read(&mut rest).is_some() && rest.is_empty();
        is_read.then_some(Self(bytes)).ok_or(Malformed)
    }

    /// The safeguards.
    pub fn get(self) -> Safeguards {
        let mut bytes = self.0;
        Safeguards::read(&mut bytes).expect("they were read before")
    }
}

fn split<'a, const N: usize>(bytes: &mut &'a [u8]) -> Result<&'a [u8; N], Malformed> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    *bytes = rest;
    Ok(taken)
}

/// A key under which a signature shows something.
fn split_key<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8; PUBLIC_KEY_BYTES], Malformed> {
    split(bytes).and_then(|key| if is_small_order(key) { Err(Malformed) } else { Ok(key) })
}

impl<'a> Rekey<'a> {
    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let mut payload = run.payload();
        let (key, possession) = (split_key(&mut payload)?, split(&mut payload)?);
        if !payload.is_empty() {
            return Err(Malformed);
        }
        Ok(Self {
            chain: run.chain(),
            key_version: run.key_version(),
            reference: run.reference(),
            account: run.debit(),
            key,
            possession,
            nonce: run.nonce(),
            expiry: run.expiry(),
        })
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: a key of small order, under which anybody could sign.
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        let body = Body {
            kind: REKEY_KIND,
            chain: self.chain,
            key_version: self.key_version,
            reference: self.reference,
            debit: self.account,
            credit: 0,
            value: 0,
            nonce: self.nonce,
            expiry: self.expiry,
        };
        Transaction::envelope(network, body, &[&self.key[..], self.possession].concat(), sign)
    }
}

impl<'a> Protect<'a> {
    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let safeguards = EncodedSafeguards::read(run.payload())?;
        if safeguards.get().guardians.contains(&run.debit()) {
            return Err(Malformed);
        }
        Ok(Self {
            chain: run.chain(),
            key_version: run.key_version(),
            reference: run.reference(),
            account: run.debit(),
            safeguards,
            nonce: run.nonce(),
            expiry: run.expiry(),
        })
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: the account would guard itself.
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        let body = Body {
            kind: PROTECT_KIND,
            chain: self.chain,
            key_version: self.key_version,
            reference: self.reference,
            debit: self.account,
            credit: 0,
            value: 0,
            nonce: self.nonce,
            expiry: self.expiry,
        };
        Transaction::envelope(network, body, self.safeguards.0, sign)
    }
}

impl<'a> Recover<'a> {
    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let mut payload = run.payload();
        let account = AccountId(u64::from_le_bytes(*split(&mut payload)?));
        let changes = u64::from_le_bytes(*split(&mut payload)?);
        let (key, possession) = (split_key(&mut payload)?, split(&mut payload)?);
        let recovery = match payload.is_empty() {
            true => None,
            false => Some((split_key(&mut payload)?, split(&mut payload)?)),
        };
        if !payload.is_empty() {
            return Err(Malformed);
        }
        Ok(Self {
            chain: run.chain(),
            key_version: run.key_version(),
            reference: run.reference(),
            signer: run.debit(),
            account,
            changes,
            key,
            possession,
            recovery,
            nonce: run.nonce(),
            expiry: run.expiry(),
        })
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: a key of small order, under which anybody could sign.
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        let mut payload = [&self.account.0.to_le_bytes()[..], &self.changes.to_le_bytes()].concat();
        payload.extend_from_slice(self.key);
        payload.extend_from_slice(self.possession);
        if let Some((key, signature)) = self.recovery {
            payload.extend_from_slice(key);
            payload.extend_from_slice(signature);
        }
        let body = Body {
            kind: RECOVER_KIND,
            chain: self.chain,
            key_version: self.key_version,
            reference: self.reference,
            debit: self.signer,
            credit: 0,
            value: 0,
            nonce: self.nonce,
            expiry: self.expiry,
        };
        Transaction::envelope(network, body, &payload, sign)
    }
}
