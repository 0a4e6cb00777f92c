//! Linked transfers: payments from one account to many on its chain, all or none, and a memo.
//!
//! ```text
//! payload   0                    2            4
//!           | payments, 1 to 1,000 | memo bytes | account, amount (16 bytes each).. | memo |
//! ```
//!
//! They have one signature and one nonce, and one outcome: either every payment is made or none. An account may be paid
//! several times, and the payer, too.

use super::packet::{Body, LINKED_KIND};
use super::transaction::Malformed;
use super::{AccountId, ChainId, Digest, Height, PacketRun, Transaction};
use crate::limits::{LINKED_PAYMENTS_MAX, MEMO_BYTES_MAX, SIGNATURE_BYTES};

const PAYMENT_BYTES: usize = 16;

/// One of linked payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The account that receives.
    pub to: AccountId,
    /// How much.
    pub amount: u64,
}

/// The fields of linked transfers, without the signature; payments and memo where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linked<'a> {
    /// The chain on which they execute.
    pub chain: ChainId,
    /// The version of the debit account's key under which they are signed.
    pub key_version: u32,
    /// The client's own reference, opaque to the ledger.
    pub reference: [u8; 12],
    /// The account that pays and signs.
    pub debit: AccountId,
    /// The payments, 1 to [`LINKED_PAYMENTS_MAX`].
    pub payments: Payments<'a>,
    /// What the payer adds, up to [`MEMO_BYTES_MAX`] bytes, or their hash; opaque to the ledger.
    pub memo: &'a [u8],
    /// The payer's number for all of them, from the same window as its transfers; used once.
    pub nonce: u64,
    /// The last height at which they may execute.
    pub expiry: Height,
}

/// Payments in their encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payments<'a>(&'a [[u8; PAYMENT_BYTES]]);

impl<'a> Payments<'a> {
    /// Payments for [`Linked`], from what [`Payment::encode`] gave for each.
    pub fn of(encoded: &'a [[u8; PAYMENT_BYTES]]) -> Self {
        Self(encoded)
    }

    /// The payments, in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Payment> + use<'a> {
        self.0.iter().map(Payment::decode)
    }

    /// The payment at a place.
    pub fn get(self, place: usize) -> Option<Payment> {
        self.0.get(place).map(Payment::decode)
    }

    /// How many.
    pub fn count(self) -> usize {
        self.0.len()
    }

    /// The sum of all amounts.
    pub fn total(self) -> u128 {
        self.iter().map(|payment| u128::from(payment.amount)).sum()
    }
}

impl Payment {
    fn decode(bytes: &[u8; PAYMENT_BYTES]) -> Self {
        let (account, amount) = bytes.split_at(8);
        let number = |half: &[u8]| u64::from_le_bytes(*half.first_chunk().expect("half of 16 bytes"));
        Self { to: AccountId(number(account)), amount: number(amount) }
    }

    /// Account and amount.
    pub fn encode(&self) -> [u8; PAYMENT_BYTES] {
        let mut bytes = [0; PAYMENT_BYTES];
        bytes[..8].copy_from_slice(&self.to.0.to_le_bytes());
        bytes[8..].copy_from_slice(&self.amount.to_le_bytes());
        bytes
    }
}

impl<'a> Linked<'a> {
    /// Bytes of the payload of so many payments with a memo.
    pub const fn payload_bytes(payments: usize, memo_bytes: usize) -> usize {
        4 + payments * PAYMENT_BYTES + memo_bytes
    }

    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let (counts, rest) = run.payload().split_at_checked(4).ok_or(Malformed)?;
        let number = |at: usize| usize::from(u16::from_le_bytes([counts[at], counts[at + 1]]));
        let (count, memo_bytes) = (number(0), number(2));
        let (payments, memo) = rest.split_at_checked(count * PAYMENT_BYTES).ok_or(Malformed)?;
        if !(1..=LINKED_PAYMENTS_MAX).contains(&count)
            || memo.len() != memo_bytes
            || memo.len() > MEMO_BYTES_MAX
        {
            return Err(Malformed);
        }
        Ok(Self {
            chain: run.chain(),
            key_version: run.key_version(),
            reference: run.reference(),
            debit: run.debit(),
            payments: Payments(payments.as_chunks().0),
            memo,
            nonce: run.nonce(),
            expiry: run.expiry(),
        })
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: no payment, or more than [`LINKED_PAYMENTS_MAX`], or a longer memo than [`MEMO_BYTES_MAX`].
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        let count = u16::try_from(self.payments.count()).map_err(|_| Malformed)?;
        let memo_bytes = u16::try_from(self.memo.len()).map_err(|_| Malformed)?;
        let (count, memo_bytes) = (count.to_le_bytes(), memo_bytes.to_le_bytes());
        let payload = [&count[..], &memo_bytes, self.payments.0.as_flattened(), self.memo].concat();
        let body = Body {
            kind: LINKED_KIND,
            chain: self.chain,
            key_version: self.key_version,
            reference: self.reference,
            debit: self.debit,
            credit: 0,
            value: 0,
            nonce: self.nonce,
            expiry: self.expiry,
        };
        Transaction::envelope(network, body, &payload, sign)
    }
}
