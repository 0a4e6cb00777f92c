//! A transaction among packets: one packet, or an *envelope*, whose payload follows in further ones.
//!
//! ```text
//! kinds 1 to 7     | packet |
//! kinds from 16    | packet | payload ..  | .. payload, zeros |
//!                  the packet from byte 32 on: | payload bytes (4) | zeros (12) | nonce | expiry | signature |
//! signed           network id || body of the first packet || payload
//! transaction id   SHA-256 of what is signed
//! ```
//!
//! So everything that holds packets holds envelopes, too: a frame, a batch, a block, and their limits count packets.
//! An envelope of at most [`ENVELOPE_PACKETS_MAX`](crate::limits::ENVELOPE_PACKETS_MAX) packets is never split between
//! two of them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use kernels::sha2::sha256_parts;

use super::packet::{
    APPROVE_KIND, ATTEST_KIND, BURN_KIND, Body, CANCEL_KIND, CLOSE_KIND, FREEZE_KIND, ISSUE_KIND,
    LINKED_KIND, OFFER_KIND, OPEN_KIND, PROPOSE_KIND, PROTECT_KIND, RECOVER_KIND, REKEY_KIND, RESERVE_KIND,
    REVOKE_KIND, SETTLE_KIND, TAKE_KIND, TRANSFER_KIND, sign_body,
};
use super::{
    AccountId, Action, Approve, Attest, ChainId, Command, Digest, Frozen, Linked, Offer, Opening, Packet,
    Propose, Protect, Recover, Rekey, Reserve, Revoke, Settle, Take, TransactionId, Transfer,
};
use crate::limits::{PACKET_BYTES, PAYLOAD_BYTES_MAX, SIGNATURE_BYTES};

/// Packets that are no transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a transaction: the kind must be {TRANSFER_KIND} to {CANCEL_KIND} or {LINKED_KIND} to {TAKE_KIND}, and \
     every field one that the kind allows: a transfer of kind 2 names another chain, a burn its own account, a freeze \
     flags from 0 to 3; an envelope has as many packets as its payload needs, at most {PAYLOAD_BYTES_MAX} bytes, and zeros behind it"
)]
pub struct Malformed;

/// The packets of one transaction, where they stand: the first, and those that hold its payload. What they say are
/// claims. It stands for its first packet, which has the fields of all kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PacketRun<'a>(&'a [Packet]);

impl<'a> PacketRun<'a> {
    /// The first transaction of packets, and the packets behind it. An envelope that is cut off has what there is of
    /// it, and is no transaction.
    #[inline]
    pub fn split_first(packets: &'a [Packet]) -> Option<(Self, &'a [Packet])> {
        let length = 1 + packets.first()?.payload_packets();
        let (run, rest) = packets.split_at(length.min(packets.len()));
        Some((Self(run), rest))
    }

    /// All transactions of packets, in order.
    #[inline]
    pub fn all(packets: &'a [Packet]) -> Runs<'a> {
        Runs(packets)
    }

    /// A packet without any behind it.
    #[inline]
    pub(super) fn alone(packet: &'a Packet) -> Self {
        Self(std::slice::from_ref(packet))
    }

    /// The transaction, if these are the packets of exactly one.
    pub fn only(packets: &'a [Packet]) -> Result<Self, Malformed> {
        match Self::split_first(packets) {
            Some((run, [])) if run.is_transaction() => Ok(run),
            _ => Err(Malformed),
        }
    }

    /// Its packets, at least one.
    #[inline]
    pub fn packets(self) -> &'a [Packet] {
        self.0
    }

    /// Its first packet, for as long as the packets live.
    #[inline]
    pub fn first(self) -> &'a Packet {
        &self.0[0]
    }

    /// Its payload; empty where it is no envelope.
    pub fn payload(self) -> &'a [u8] {
        let bytes = Packet::bytes(&self.0[1..]);
        &bytes[..self.payload_bytes().min(bytes.len())]
    }

    /// Whether the kind is known and each field one that the kind allows.
    #[inline]
    pub fn is_transaction(self) -> bool {
        if self.is_envelope() { self.envelope().is_ok() } else { self.is_alone() }
    }

    /// How many signatures it carries, if it is a transaction: that of the account, and those of other
    /// keys.
    #[inline]
    pub fn signatures(self) -> usize {
        if !self.is_envelope() {
            return 1;
        }
        match self.envelope() {
            Ok(Content::Opening(opening)) => 1 + opening.accounts.count(),
            Ok(Content::Rekey(_)) => 2,
            Ok(Content::Recover(recover)) => 2 + usize::from(recover.recovery.is_some()),
            _ => 1,
        }
    }

    /// What it says, if it is a transaction.
    pub fn content(self) -> Result<Content<'a>, Malformed> {
        if self.is_envelope() {
            return self.envelope();
        }
        if !self.is_alone() {
            return Err(Malformed);
        }
        let (account, value) = (self.credit(), self.amount());
        let action = match self.kind() {
            ISSUE_KIND => Action::Issue { to: account, amount: value },
            BURN_KIND => Action::Burn { amount: value },
            FREEZE_KIND => Action::Freeze { account, frozen: Frozen::from_bits(value as u32) },
            CLOSE_KIND => Action::Close,
            CANCEL_KIND => Action::Cancel { change: value },
            _ => {
                return Ok(Content::Transfer(Transfer {
                    chain: self.chain(),
                    key_version: self.key_version(),
                    reference: self.reference(),
                    debit: self.debit(),
                    credit_chain: self.is_cross().then(|| self.credit_chain()),
                    credit: account,
                    amount: value,
                    nonce: self.nonce(),
                    expiry: self.expiry(),
                }));
            }
        };
        Ok(Content::Command(Command {
            chain: self.chain(),
            key_version: self.key_version(),
            reference: self.reference(),
            authority: self.debit(),
            action,
            nonce: self.nonce(),
            expiry: self.expiry(),
        }))
    }

    /// What an envelope says.
    #[cold]
    fn envelope(self) -> Result<Content<'a>, Malformed> {
        let (payload, all) = (self.payload(), Packet::bytes(&self.0[1..]));
        let is_whole = payload.len() == self.payload_bytes()
            && self.0.len() == 1 + self.payload_packets()
            && all[payload.len()..].iter().all(|byte| *byte == 0);
        if !is_whole || self.field::<2>(2) != [0; 2] || self.field::<12>(36) != [0; 12] {
            return Err(Malformed);
        }
        match self.kind() {
            LINKED_KIND => Linked::read(self).map(Content::Linked),
            OPEN_KIND => Opening::read(self).map(Content::Opening),
            ATTEST_KIND => Attest::read(self).map(Content::Attest),
            REVOKE_KIND => Revoke::read(self).map(Content::Revoke),
            REKEY_KIND => Rekey::read(self).map(Content::Rekey),
            PROTECT_KIND => Protect::read(self).map(Content::Protect),
            RECOVER_KIND => Recover::read(self).map(Content::Recover),
            PROPOSE_KIND => Propose::read(self).map(Content::Propose),
            APPROVE_KIND => Approve::read(self).map(Content::Approve),
            RESERVE_KIND => Reserve::read(self).map(Content::Reserve),
            SETTLE_KIND => Settle::read(self).map(Content::Settle),
            OFFER_KIND => Offer::read(self).map(Content::Offer),
            TAKE_KIND => Take::read(self).map(Content::Take),
            _ => Err(Malformed),
        }
    }

    /// The fields, if it is a transfer.
    pub fn transfer(self) -> Result<Transfer, Malformed> {
        match self.content()? {
            Content::Transfer(transfer) => Ok(transfer),
            _ => Err(Malformed),
        }
    }

    /// The chain to which its money goes, and the account that is to be credited there, if it
    /// [sends](Packet::sends) any.
    pub fn destination(self) -> Option<(ChainId, AccountId)> {
        match self.content() {
            Ok(Content::Transfer(of)) => of.credit_chain.map(|chain| (chain, of.credit)),
            Ok(Content::Take(of)) => Some((of.chain, of.credit)),
            _ => None,
        }
    }

    /// A copy that lives by itself, if it is a transaction.
    #[inline]
    pub fn transaction(self) -> Result<Transaction, Malformed> {
        if !self.is_transaction() {
            return Err(Malformed);
        }
        Ok(Transaction(match self.0 {
            [packet] => Packets::One(*packet),
            packets => Packets::Run(packets.into()),
        }))
    }

    /// What names its bytes.
    pub fn signed(self, network: &Digest) -> Signed {
        Signed { chain: self.chain(), id: self.id(network), signature: *self.first().signature() }
    }

    /// The message under the signature.
    pub fn message(self, network: &Digest) -> Vec<u8> {
        [&network.0[..], self.body(), self.payload()].concat()
    }

    /// The id: one hash of the message.
    pub fn id(self, network: &Digest) -> TransactionId {
        TransactionId(sha256_parts(&[&network.0, self.body(), self.payload()]))
    }
}

impl Deref for PacketRun<'_> {
    type Target = Packet;

    #[inline]
    fn deref(&self) -> &Packet {
        &self.0[0]
    }
}

impl fmt::Debug for PacketRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content() {
            Ok(content) => content.fmt(f),
            Err(_) => write!(f, "{} packets of kind {}, no transaction", self.0.len(), self.kind()),
        }
    }
}

/// The transactions of packets: see [`PacketRun::all`].
#[derive(Clone, Debug)]
pub struct Runs<'a>(&'a [Packet]);

impl<'a> Iterator for Runs<'a> {
    type Item = PacketRun<'a>;

    #[inline]
    fn next(&mut self) -> Option<PacketRun<'a>> {
        let (run, rest) = PacketRun::split_first(self.0)?;
        self.0 = rest;
        Some(run)
    }
}

/// What names the very bytes of a transaction: its id covers what is signed, and the signature is the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its chain.
    pub chain: ChainId,
    /// Its id.
    pub id: TransactionId,
    /// Its signature.
    pub signature: [u8; SIGNATURE_BYTES],
}

/// What a transaction says, by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A payment.
    Transfer(Transfer),
    /// What an authority orders.
    Command(Command),
    /// Payments of one payer, all or none.
    Linked(Linked<'a>),
    /// New accounts.
    Opening(Opening<'a>),
    /// Fingerprints that are registered.
    Attest(Attest<'a>),
    /// Attestations that are revoked.
    Revoke(Revoke<'a>),
    /// Another key for the account.
    Rekey(Rekey<'a>),
    /// Who may give the account another key.
    Protect(Protect<'a>),
    /// Another key for somebody else's account.
    Recover(Recover<'a>),
    /// What is to be decided about the chains.
    Propose(Propose<'a>),
    /// An administrator's approval of a proposal.
    Approve(Approve<'a>),
    /// Money that is set aside for a payment.
    Reserve(Reserve<'a>),
    /// What was set aside is paid or given back.
    Settle(Settle<'a>),
    /// Money that is set aside for whom pays a price on another chain.
    Offer(Offer<'a>),
    /// The price of an offer on another chain.
    Take(Take<'a>),
}

/// A transaction of a known kind. Its signature, accounts and amounts are claims until it is verified and executed. It
/// stands for its first packet. Clones share a payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Transaction(Packets);

#[derive(Clone, PartialEq, Eq)]
enum Packets {
    One(Packet),
    Run(Arc<[Packet]>),
}

impl Transaction {
    /// Signs an envelope. Its body says how long the payload is, whatever `body` has there.
    pub(super) fn envelope(
        network: &Digest,
        body: Body,
        payload: &[u8],
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Self, Malformed> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Malformed);
        }
        let body = Body { credit: payload.len() as u64, ..body };
        let mut bytes = sign_body(network, &body.encode(), payload, sign).0.to_vec();
        bytes.extend_from_slice(payload);
        bytes.resize(bytes.len().next_multiple_of(PACKET_BYTES), 0);
        PacketRun::only(Packet::slice(&bytes))?.transaction()
    }

    /// Its id.
    pub fn id(&self, network: &Digest) -> TransactionId {
        self.run().id(network)
    }

    /// Its bytes: those of its packets, one after the other.
    pub fn bytes(&self) -> &[u8] {
        Packet::bytes(self.run().packets())
    }

    /// The transaction of these bytes, if they are the packets of exactly one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        if !bytes.len().is_multiple_of(PACKET_BYTES) {
            return Err(Malformed);
        }
        PacketRun::only(Packet::slice(bytes))?.transaction()
    }

    /// Its packets.
    #[inline]
    pub fn run(&self) -> PacketRun<'_> {
        match &self.0 {
            Packets::One(packet) => PacketRun::alone(packet),
            Packets::Run(packets) => PacketRun(packets),
        }
    }
}

impl Deref for Transaction {
    type Target = Packet;

    #[inline]
    fn deref(&self) -> &Packet {
        &self.run().0[0]
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.run().fmt(f)
    }
}

#[cfg(test)]
mod tests;
