//! The leaves under a chain's entry, and the signed bytes of a transfer. Those of a command are not read here: no proof
//! speaks of one by its fields.

use crate::Digest;
use crate::codec::{FormError, Reader};

/// Bytes of the leaf of an account.
pub const ACCOUNT_BYTES: usize = 8 + 32 + 4 + 8 + 8 + 8 + 4;
/// Bytes of a transfer that are signed, and hashed into its id.
pub const BODY_BYTES: usize = 64;
/// Nonces of an account's replay window.
const WINDOW: u64 = u64::BITS as u64;
/// The kind field of a transfer within a chain, with the reserved field behind it.
const TRANSFER_KIND: u32 = 1;
/// The same of a transfer to another chain.
const CROSS_TRANSFER_KIND: u32 = 2;

/// An account as its leaf has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: u64,
    /// Its current public key.
    pub key: Digest,
    /// The version of the key, from 1.
    pub key_version: u32,
    /// What it holds.
    pub balance: u64,
    /// The lowest nonce that may still be unspent.
    pub window_base: u64,
    /// Which of the 64 nonces from there on are spent: bit i is that of nonce `window_base + i`.
    pub window_used: u64,
    /// Which ways it is closed to money: bit 0 means that nothing leaves it, bit 1 that nothing new comes to it, bit 2
    /// that it is closing, bit 3 that it is closed for good. Other bits have no meaning yet.
    pub flags: u32,
}

/// What is known of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nonce {
    Unspent,
    Spent,
    /// The window has moved past it. It can never be used, but perhaps it was.
    Passed,
}

impl Account {
    /// The leaf.
    #[must_use]
    pub fn encode(&self) -> [u8; ACCOUNT_BYTES] {
        let mut leaf = [0; ACCOUNT_BYTES];
        leaf[0..8].copy_from_slice(&self.id.to_le_bytes());
        leaf[8..40].copy_from_slice(&self.key);
        leaf[40..44].copy_from_slice(&self.key_version.to_le_bytes());
        leaf[44..52].copy_from_slice(&self.balance.to_le_bytes());
        leaf[52..60].copy_from_slice(&self.window_base.to_le_bytes());
        leaf[60..68].copy_from_slice(&self.window_used.to_le_bytes());
        leaf[68..72].copy_from_slice(&self.flags.to_le_bytes());
        leaf
    }

    /// The inverse of [`Self::encode`]. Every leaf is the leaf of some account.
    #[must_use]
    pub fn decode(leaf: &[u8; ACCOUNT_BYTES]) -> Self {
        Self::read(&mut Reader::new(leaf)).expect("a leaf has every field of an account")
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(Self {
            id: reader.u64("account")?,
            key: reader.array("key of the account")?,
            key_version: reader.u32("key version of the account")?,
            balance: reader.u64("balance of the account")?,
            window_base: reader.u64("nonce window of the account")?,
            window_used: reader.u64("nonce window of the account")?,
            flags: reader.u32("flags of the account")?,
        })
    }

    pub(crate) fn nonce(&self, nonce: u64) -> Nonce {
        match nonce.checked_sub(self.window_base) {
            None => Nonce::Passed,
            Some(ahead) if ahead < WINDOW && self.window_used >> ahead & 1 == 1 => Nonce::Spent,
            Some(_) => Nonce::Unspent,
        }
    }
}

/// The fields of a transfer that an absence speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its id: SHA-256 of the network id and the signed bytes.
    pub id: Digest,
    /// The chain.
    pub chain: u32,
    /// The account that pays and signs.
    pub debit: u64,
    /// The chain of the account that receives, where it is another one.
    pub credit_chain: Option<u32>,
    /// The account that receives.
    pub credit: u64,
    /// How much would move.
    pub amount: u64,
    /// The sender's number for it.
    pub nonce: u64,
    /// The last height at which it could execute.
    pub expiry: u64,
}

impl Transfer {
    /// The fields of the signed bytes, if they are those of a transfer.
    pub(crate) fn parse(network: &Digest, body: &[u8; BODY_BYTES]) -> Result<Self, FormError> {
        let mut reader = Reader::new(body);
        let kind = reader.u32("kind of the transaction")?;
        let chain = reader.u32("chain of the transfer")?;
        reader.take("key version and reference of the transfer", 4 + 12)?;
        let debit = reader.u64("debit account of the transfer")?;
        let credit = reader.u64("credit account of the transfer")?;
        // The lower half is the other chain.
        let (credit_chain, credit) = match kind {
            TRANSFER_KIND => (None, credit),
            CROSS_TRANSFER_KIND if credit as u32 != chain => (Some(credit as u32), credit >> 32),
            _ => {
                let reason = "it is not that of a transfer";
                return Err(FormError::Invalid { what: "kind of the transaction", reason });
            }
        };
        Ok(Self {
            id: kernels::sha2::sha256_parts(&[network, body]),
            chain,
            debit,
            credit_chain,
            credit,
            amount: reader.u64("amount of the transfer")?,
            nonce: reader.u64("nonce of the transfer")?,
            expiry: reader.u64("expiry of the transfer")?,
        })
    }
}

/// The leaf of a transaction: its id and the code of its outcome.
pub(crate) fn transaction_leaf(id: &Digest, outcome: u8) -> [u8; 33] {
    let mut leaf = [outcome; 33];
    leaf[..32].copy_from_slice(id);
    leaf
}

/// What the code of an outcome means. Code 0 took effect, and code 9 took it from the payer: whether the payee or the
/// payer has it in the end is not said. Each other one left the balances as they were.
#[must_use]
pub fn outcome_name(code: u8) -> Option<&'static str> {
    const NAMES: [&str; 32] = [
        "applied",
        "expired",
        "replayed",
        "nonce too far",
        "unknown debit account",
        "unknown credit account",
        "wrong key version",
        "insufficient balance",
        "credit overflow",
        "sent to another chain",
        "unknown credit chain",
        "another asset",
        "role not held",
        "debit account frozen",
        "credit account frozen",
        "issuance cap reached",
        "accounts cap reached",
        "another kind of chain",
        "fingerprint registered already",
        "unknown fingerprint",
        "another owner",
        "not in force",
        "chain full",
        "debit account closed",
        "credit account closed",
        "change pending",
        "unknown change",
        "not a guardian",
        "account not empty",
        "role held",
        "chain paused",
        "chain closed",
    ];
    /// From code 64 on.
    const MORE: [&str; 17] = [
        "unknown proposal",
        "proposed already",
        "proposal expired",
        "decided already",
        "approved already",
        "other administrators",
        "chain id taken",
        "unknown chain",
        "another state of the chain",
        "too many chains",
        "unfit roles",
        "too many proposals",
        "no such reservation",
        "not for this account",
        "more than is reserved",
        "too many reservations",
        "other terms",
    ];
    let more = |code: usize| MORE.get(code.checked_sub(64)?);
    let code = usize::from(code);
    NAMES.get(code).or_else(|| more(code)).copied()
}
