//! Opening accounts: the keys of new ones, in an envelope that the registrar of the chain signs.
//!
//! ```text
//! payload   | key (32) | possession (64) |..      one for each account, 1 to 680
//! possession: a signature of the new key under "millrace/account" || network || chain || registrar || key
//! ```
//!
//! The accounts get the next free ids of the chain, in this order. The possession shows that somebody has the secret of
//! the key and wants this registrar to open an account for it. Under a key of small order anybody could sign that, and
//! everything else: it is refused.

use kernels::ed25519::is_small_order;

use super::packet::{Body, OPEN_KIND};
use super::transaction::Malformed;
use super::{AccountId, ChainId, Digest, Height, PacketRun, Transaction};
use crate::limits::{OPENED_ACCOUNTS_MAX, PUBLIC_KEY_BYTES, SIGNATURE_BYTES};

const DOMAIN: &[u8; 16] = b"millrace/account";
const ACCOUNT_BYTES: usize = PUBLIC_KEY_BYTES + SIGNATURE_BYTES;

/// Bytes of the message under a proof of possession.
pub const POSSESSION_MESSAGE_BYTES: usize = DOMAIN.len() + 32 + 4 + 8 + PUBLIC_KEY_BYTES;

/// An account that is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewAccount<'a> {
    /// Its key.
    pub key: &'a [u8; PUBLIC_KEY_BYTES],
    /// The signature of that key under [`possession_message`].
    pub possession: &'a [u8; SIGNATURE_BYTES],
}

/// What the owner of a new key signs.
pub fn possession_message(
    network: &Digest,
    chain: ChainId,
    registrar: AccountId,
    key: &[u8; PUBLIC_KEY_BYTES],
) -> [u8; POSSESSION_MESSAGE_BYTES] {
    let mut message = [0; POSSESSION_MESSAGE_BYTES];
    message[..16].copy_from_slice(DOMAIN);
    message[16..48].copy_from_slice(&network.0);
    message[48..52].copy_from_slice(&chain.0.to_le_bytes());
    message[52..60].copy_from_slice(&registrar.0.to_le_bytes());
    message[60..].copy_from_slice(key);
    message
}

/// New accounts in their encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewAccounts<'a>(&'a [[u8; ACCOUNT_BYTES]]);

impl<'a> NewAccounts<'a> {
    /// Accounts for an [`Opening`], from what [`NewAccount::encode`] gave for each.
    pub fn of(encoded: &'a [[u8; ACCOUNT_BYTES]]) -> Self {
        Self(encoded)
    }

    /// Bytes of the payload of so many accounts.
    pub const fn payload_bytes(accounts: usize) -> usize {
        accounts * ACCOUNT_BYTES
    }

    /// The accounts, in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = NewAccount<'a>> + use<'a> {
        self.0.iter().map(|account| NewAccount {
            key: account.first_chunk().expect("the key is first"),
            possession: account.last_chunk().expect("the signature is last"),
        })
    }

    /// How many.
    pub fn count(self) -> usize {
        self.0.len()
    }
}

impl NewAccount<'_> {
    /// Key and possession.
    pub fn encode(&self) -> [u8; ACCOUNT_BYTES] {
        let mut bytes = [0; ACCOUNT_BYTES];
        bytes[..PUBLIC_KEY_BYTES].copy_from_slice(self.key);
        bytes[PUBLIC_KEY_BYTES..].copy_from_slice(self.possession);
        bytes
    }
}

/// The fields of an envelope that opens accounts, without the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening<'a> {
    /// The chain.
    pub chain: ChainId,
    /// The version of the registrar's key under which it is signed.
    pub key_version: u32,
    /// The registrar's own reference, opaque to the ledger.
    pub reference: [u8; 12],
    /// The account that opens and signs.
    pub registrar: AccountId,
    /// The accounts, 1 to [`OPENED_ACCOUNTS_MAX`].
    pub accounts: NewAccounts<'a>,
    /// The registrar's number for all of them, from the same window as its transfers; used once.
    pub nonce: u64,
    /// The last height at which they may be opened.
    pub expiry: Height,
}

impl<'a> Opening<'a> {
    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let (accounts, rest) = run.payload().as_chunks();
        if !rest.is_empty() || !(1..=OPENED_ACCOUNTS_MAX).contains(&accounts.len()) {
            return Err(Malformed);
        }
        let accounts = NewAccounts(accounts);
        if accounts.iter().any(|account| is_small_order(account.key)) {
            return Err(Malformed);
        }
        Ok(Self {
            chain: run.chain(),
            key_version: run.key_version(),
            reference: run.reference(),
            registrar: run.debit(),
            accounts,
            nonce: run.nonce(),
            expiry: run.expiry(),
        })
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: no account, more than [`OPENED_ACCOUNTS_MAX`], or a key of small order.
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        let payload = self.accounts.0.as_flattened();
        let body = Body {
            kind: OPEN_KIND,
            chain: self.chain,
            key_version: self.key_version,
            reference: self.reference,
            debit: self.registrar,
            credit: 0,
            value: 0,
            nonce: self.nonce,
            expiry: self.expiry,
        };
        Transaction::envelope(network, body, payload, sign)
    }
}
