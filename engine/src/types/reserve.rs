//! What transactions say about money that is set aside: an account reserves some, for a payment or for a swap, and
//! somebody settles it. All are envelopes, each with a memo of up to 256 bytes behind the fields of its payload.
//!
//! ```text
//! reserve   payload   | amount (8) | seconds (4) | payee (4) | settler (4) | memo |
//! offer     payload   | amount (8) | seconds (4) | chain (4) | price (8) | to (4) | 1 taker, or 0 (1) | taker (4) | memo |
//! settle    payload   | payer (4) | nonce (8) | payee (4) | amount (8) | memo |   the amount 0 gives all back
//! take      payload   | chain (4) | payer (4) | nonce (8) | amount (8) | credit (4) | price (8) | to (4) | memo |
//! ```

use super::packet::{Body, OFFER_KIND, RESERVE_KIND, SETTLE_KIND, TAKE_KIND};
use super::record::{number, take};
use super::reservation::{ACCOUNT_MAX, Price, ReservationId, account, account_bytes};
use super::transaction::Malformed;
use super::{AccountId, ChainId, Digest, Height, PacketRun, Transaction};
use crate::limits::{LOCK_WINDOW_SECONDS_MAX, MEMO_BYTES_MAX, SIGNATURE_BYTES};

/// What every envelope says before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The chain on which it executes.
    pub chain: ChainId,
    /// The version of the signer's key under which it is signed.
    pub key_version: u32,
    /// The signer's own reference, opaque to the ledger.
    pub reference: [u8; 12],
    /// The account that signs.
    pub signer: AccountId,
    /// The signer's number for it, from the same window as its transfers; used once.
    pub nonce: u64,
    /// The last height at which it may execute.
    pub expiry: Height,
}

/// An account sets money aside for a payment on its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve<'a> {
    /// Chain, payer, nonce and the rest.
    pub envelope: Envelope,
    /// How much, at least 1.
    pub amount: u64,
    /// After so many seconds of the lock clock the payer has it back: 1 to [`LOCK_WINDOW_SECONDS_MAX`].
    pub seconds: u32,
    /// Who receives.
    pub payee: AccountId,
    /// Who says how much is paid.
    pub settler: AccountId,
    /// What the payer adds, up to [`MEMO_BYTES_MAX`] bytes, or their hash; opaque to the ledger.
    pub memo: &'a [u8],
}

/// An account sets money aside for those who pay a price on another chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer<'a> {
    /// Chain, payer, nonce and the rest.
    pub envelope: Envelope,
    /// How much, at least 1.
    pub amount: u64,
    /// After so many seconds of the lock clock the payer has it back: 1 to [`LOCK_WINDOW_SECONDS_MAX`].
    pub seconds: u32,
    /// What it costs: at least 1, on another chain.
    pub price: Price,
    /// What the payer adds, up to [`MEMO_BYTES_MAX`] bytes, or their hash; opaque to the ledger.
    pub memo: &'a [u8],
}

/// What was set aside is paid, in part or in full, or given back. It can be settled once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settle<'a> {
    /// Chain, settler, nonce and the rest.
    pub envelope: Envelope,
    /// The reservation.
    pub reservation: ReservationId,
    /// Whom it is for; of an offer who made it. So who settles says what, and whose history has it follows from the
    /// bytes.
    pub payee: AccountId,
    /// How much is paid; the payer has the rest back, and with 0 all of it.
    pub amount: u64,
    /// What the settler adds, up to [`MEMO_BYTES_MAX`] bytes, or their hash; opaque to the ledger.
    pub memo: &'a [u8],
}

/// An account pays the price of an offer on another chain. What it signs are the terms: it gets nothing, and pays
/// nothing, where the offer has others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take<'a> {
    /// Chain, taker, nonce and the rest.
    pub envelope: Envelope,
    /// The chain of the offer, another one.
    pub chain: ChainId,
    /// The offer.
    pub terms: Terms,
    /// How much it costs on this chain, at least 1.
    pub price: u64,
    /// The account there that gets what is offered.
    pub credit: AccountId,
    /// What the taker adds, up to [`MEMO_BYTES_MAX`] bytes, or their hash; opaque to the ledger.
    pub memo: &'a [u8],
}

/// What a taker says of an offer, beside the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The offer.
    pub offer: ReservationId,
    /// How much is offered.
    pub amount: u64,
    /// The account on the taker's chain that the price is for.
    pub to: AccountId,
}

impl Envelope {
    pub(super) fn of(run: PacketRun<'_>) -> Self {
        Self {
            chain: run.chain(),
            key_version: run.key_version(),
            reference: run.reference(),
            signer: run.debit(),
            nonce: run.nonce(),
            expiry: run.expiry(),
        }
    }

    /// The transaction with this payload and memo, signed by `sign`.
    fn sign(
        &self,
        network: &Digest,
        (kind, mut payload, memo): (u16, Vec<u8>, &[u8]),
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        let Self { chain, key_version, reference, signer: debit, nonce, expiry } = *self;
        let body = Body { kind, chain, key_version, reference, debit, credit: 0, value: 0, nonce, expiry };
        payload.extend_from_slice(memo);
        Transaction::envelope(network, body, &payload, sign)
    }
}

/// Whether all accounts can be named.
fn fit(accounts: &[AccountId]) -> Result<(), Malformed> {
    accounts.iter().all(|account| account.0 <= ACCOUNT_MAX).then_some(()).ok_or(Malformed)
}

/// An amount that is something, for a time that ends.
fn is_set_aside(amount: u64, seconds: u32) -> bool {
    amount > 0 && (1..=LOCK_WINDOW_SECONDS_MAX).contains(&seconds)
}

/// All that is left.
fn memo<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let memo = std::mem::take(bytes);
    (memo.len() <= MEMO_BYTES_MAX).then_some(memo)
}

fn seconds(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes).map(u32::from_le_bytes)
}

impl<'a> Reserve<'a> {
    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let read = |bytes: &mut &'a [u8]| {
            let (amount, seconds) = (number(bytes)?, seconds(bytes)?);
            let (payee, settler, memo) = (account(bytes)?, account(bytes)?, memo(bytes)?);
            Some(Self { envelope: Envelope::of(run), amount, seconds, payee, settler, memo })
        };
        read(&mut run.payload()).filter(|of| is_set_aside(of.amount, of.seconds)).ok_or(Malformed)
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: nothing is set aside, or for no time or too long a one; the memo is longer than
    /// [`MEMO_BYTES_MAX`]; or an account exceeds [`ACCOUNT_MAX`].
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        fit(&[self.envelope.signer, self.payee, self.settler])?;
        let accounts = [self.payee, self.settler].map(account_bytes);
        let payload = [&self.amount.to_le_bytes()[..], &self.seconds.to_le_bytes(), accounts.as_flattened()];
        self.envelope.sign(network, (RESERVE_KIND, payload.concat(), self.memo), sign)
    }

    /// The reservation that it makes.
    pub fn id(&self) -> ReservationId {
        ReservationId { payer: self.envelope.signer, nonce: self.envelope.nonce }
    }
}

impl<'a> Offer<'a> {
    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let read = |bytes: &mut &'a [u8]| {
            let (amount, seconds) = (number(bytes)?, seconds(bytes)?);
            let (price, memo) = (Price::read(bytes)?, memo(bytes)?);
            Some(Self { envelope: Envelope::of(run), amount, seconds, price, memo })
        };
        let costs = |of: &Self| of.price.amount > 0 && of.price.chain != of.envelope.chain;
        let offer = read(&mut run.payload()).filter(|of| is_set_aside(of.amount, of.seconds));
        offer.filter(costs).ok_or(Malformed)
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: nothing is offered, or for nothing, for no time or too long a one, or for money of the same
    /// chain; the memo is longer than [`MEMO_BYTES_MAX`]; or an account exceeds [`ACCOUNT_MAX`].
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        fit(&[self.envelope.signer, self.price.to, self.price.taker.unwrap_or(AccountId(0))])?;
        let mut payload = [&self.amount.to_le_bytes()[..], &self.seconds.to_le_bytes()].concat();
        self.price.write(&mut payload);
        self.envelope.sign(network, (OFFER_KIND, payload, self.memo), sign)
    }

    /// The reservation that it makes.
    pub fn id(&self) -> ReservationId {
        ReservationId { payer: self.envelope.signer, nonce: self.envelope.nonce }
    }
}

impl<'a> Settle<'a> {
    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let read = |bytes: &mut &'a [u8]| {
            let reservation = ReservationId { payer: account(bytes)?, nonce: number(bytes)? };
            let (payee, amount, memo) = (account(bytes)?, number(bytes)?, memo(bytes)?);
            Some(Self { envelope: Envelope::of(run), reservation, payee, amount, memo })
        };
        read(&mut run.payload()).ok_or(Malformed)
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: the memo is longer than [`MEMO_BYTES_MAX`], or payer or payee exceed [`ACCOUNT_MAX`].
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        let ReservationId { payer, nonce } = self.reservation;
        fit(&[payer, self.payee])?;
        let payload = [
            &account_bytes(payer)[..],
            &nonce.to_le_bytes(),
            &account_bytes(self.payee),
            &self.amount.to_le_bytes(),
        ];
        self.envelope.sign(network, (SETTLE_KIND, payload.concat(), self.memo), sign)
    }
}

impl<'a> Take<'a> {
    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let read = |bytes: &mut &'a [u8]| {
            let chain = ChainId(u32::from_le_bytes(take(bytes)?));
            let offer = ReservationId { payer: account(bytes)?, nonce: number(bytes)? };
            let (amount, credit) = (number(bytes)?, account(bytes)?);
            let (price, to, memo) = (number(bytes)?, account(bytes)?, memo(bytes)?);
            let terms = Terms { offer, amount, to };
            Some(Self { envelope: Envelope::of(run), chain, terms, price, credit, memo })
        };
        let pays = |of: &Self| of.price > 0 && of.terms.amount > 0 && of.chain != of.envelope.chain;
        read(&mut run.payload()).filter(pays).ok_or(Malformed)
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: it costs nothing or gives nothing, or the offer is on the same chain; the memo is longer than
    /// [`MEMO_BYTES_MAX`]; or an account exceeds [`ACCOUNT_MAX`].
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        let Terms { offer, amount, to } = self.terms;
        fit(&[self.envelope.signer, offer.payer, self.credit, to])?;
        let payload = [
            &self.chain.0.to_le_bytes()[..],
            &account_bytes(offer.payer),
            &offer.nonce.to_le_bytes(),
            &amount.to_le_bytes(),
            &account_bytes(self.credit),
            &self.price.to_le_bytes(),
            &account_bytes(to),
        ];
        self.envelope.sign(network, (TAKE_KIND, payload.concat(), self.memo), sign)
    }
}
