//! The leaves under a chain's entry, and what the signed bytes of all kinds of transactions have.

use crate::Digest;
use crate::codec::{FormError, Reader};

/// Bytes of the leaf of an account.
pub const ACCOUNT_BYTES: usize = 8 + 32 + 4 + 8 + 8 + 8 + 4;
/// Bytes of a transaction's first packet that are signed, and hashed into its id.
pub const BODY_BYTES: usize = 64;
/// Nonces of an account's replay window.
const WINDOW: u64 = u64::BITS as u64;
/// The kind field of a transfer within a chain.
const TRANSFER_KIND: u16 = 1;
/// The same of a transfer to another chain.
const CROSS_TRANSFER_KIND: u16 = 2;
/// The first kind of an envelope.
const ENVELOPE_KIND_MIN: u16 = 16;

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

/// What is said of a transaction that has not been executed: fields that all kinds have. Of an envelope they stand in
/// its first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unexecuted {
    /// The signed bytes in which the fields stand.
    pub body: [u8; BODY_BYTES],
    /// The number of its kind; see [`kind_name`].
    pub kind: u16,
    /// The chain.
    pub chain: u32,
    /// The account that signs it.
    pub account: u64,
    /// The account's number for it.
    pub nonce: u64,
    /// The last height at which it could execute.
    pub expiry: u64,
    /// Its id: SHA-256 of the network id and the signed bytes. An envelope signs its payload, too, which is not here.
    pub id: Option<Digest>,
    /// What it would move, if it is a transfer.
    pub payment: Option<Payment>,
}

/// What a transfer would move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The chain of the account that receives, where it is another one.
    pub credit_chain: Option<u32>,
    /// The account that receives.
    pub credit: u64,
    /// How much would move.
    pub amount: u64,
}

impl Unexecuted {
    /// The fields of the signed bytes, if they begin a transaction of a kind that is known.
    pub(crate) fn parse(network: &Digest, body: &[u8; BODY_BYTES]) -> Result<Self, FormError> {
        let invalid = |reason| FormError::Invalid { what: "kind of the transaction", reason };
        let mut reader = Reader::new(body);
        let kind = reader.u16("kind of the transaction")?;
        if kind_name(kind).is_none() || reader.u16("reserved bytes of the transaction")? != 0 {
            return Err(invalid("it is unknown here"));
        }
        let chain = reader.u32("chain of the transaction")?;
        reader.take("key version and reference of the transaction", 4 + 12)?;
        let account = reader.u64("account of the transaction")?;
        let credit = reader.u64("credit account of the transaction")?;
        let amount = reader.u64("amount of the transaction")?;
        // The lower half is the other chain.
        let payment = match kind {
            TRANSFER_KIND => Some(Payment { credit_chain: None, credit, amount }),
            CROSS_TRANSFER_KIND if credit as u32 != chain => {
                Some(Payment { credit_chain: Some(credit as u32), credit: credit >> 32, amount })
            }
            CROSS_TRANSFER_KIND => return Err(invalid("it pays another chain, and names this one")),
            _ => None,
        };
        Ok(Self {
            body: *body,
            kind,
            chain,
            account,
            nonce: reader.u64("nonce of the transaction")?,
            expiry: reader.u64("expiry of the transaction")?,
            id: (kind < ENVELOPE_KIND_MIN).then(|| kernels::sha2::sha256_parts(&[network, body])),
            payment,
        })
    }
}

/// What transactions of a kind are: transfers and commands of one packet, and envelopes from number 16 on.
#[must_use]
pub fn kind_name(kind: u16) -> Option<&'static str> {
    const NAMES: [&str; 7] =
        ["transfer", "transfer to another chain", "issue", "burn", "freeze", "closing", "cancellation"];
    const ENVELOPES: [&str; 13] = [
        "linked transfers",
        "opening of accounts",
        "registration of fingerprints",
        "revocation of fingerprints",
        "re-key",
        "safeguards",
        "recovery",
        "proposal",
        "approval",
        "reservation",
        "settlement",
        "offer",
        "price of an offer",
    ];
    let (names, first) =
        if kind < ENVELOPE_KIND_MIN { (&NAMES[..], 1) } else { (&ENVELOPES[..], ENVELOPE_KIND_MIN) };
    names.get(usize::from(kind.checked_sub(first)?)).copied()
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
    const MORE: [&str; 24] = [
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
        "members fixed",
        "members changing",
        "unfit members",
        "fewer than four members",
        "too few consents",
        "needless consents",
        "other rules",
    ];
    let more = |code: usize| MORE.get(code.checked_sub(64)?);
    let code = usize::from(code);
    NAMES.get(code).or_else(|| more(code)).copied()
}
