//! A transaction as it travels: 128 bytes, read in place.
//!
//! ```text
//! 0      2         4      8            12          24     32      40      48     56      64         128
//! | kind | reserved | chain | key version | reference | debit | credit | amount | nonce | expiry | signature |
//!                                                             kind 1: account (8)
//!                                                             kind 2: chain (4), account (4)
//! ```
//!
//! Kind 2 pays an account of another chain; within its own chain a transfer is always of kind 1, so that each transfer
//! has one encoding. Kinds 3 to 7 are commands of an authority or an owner ([`Command`](super::Command)), with the same
//! fields in the same places. A packet of a kind from 16 on is the first of an envelope: see
//! [`PacketRun`](super::PacketRun).

use std::fmt;

use bytes::Bytes;

use super::{AccountId, ChainId, Digest, Frozen, Height, PacketRun, Runs, TransactionId};
use crate::limits::{BODY_BYTES, PACKET_BYTES, PAYLOAD_BYTES_MAX, SIGNATURE_BYTES, SIGNED_MESSAGE_BYTES};

/// The kind field of a transfer within a chain.
pub const TRANSFER_KIND: u16 = 1;
/// The kind field of a transfer to another chain.
pub const CROSS_TRANSFER_KIND: u16 = 2;
/// The kind field of a command that issues.
pub const ISSUE_KIND: u16 = 3;
/// The kind field of a command that burns.
pub const BURN_KIND: u16 = 4;
/// The kind field of a command that freezes or unfreezes.
pub const FREEZE_KIND: u16 = 5;
/// The kind field of a command that closes the account that gives it.
pub const CLOSE_KIND: u16 = 6;
/// The kind field of a command that cancels a change of the account that gives it.
pub const CANCEL_KIND: u16 = 7;
/// The first kind of an envelope: the packets that follow hold its payload.
pub const ENVELOPE_KIND_MIN: u16 = 16;
/// The kind field of linked transfers.
pub const LINKED_KIND: u16 = ENVELOPE_KIND_MIN;
/// The kind field of an envelope that opens accounts.
pub const OPEN_KIND: u16 = 17;
/// The kind field of an envelope that registers fingerprints.
pub const ATTEST_KIND: u16 = 18;
/// The kind field of an envelope that revokes attestations.
pub const REVOKE_KIND: u16 = 19;
/// The kind field of an envelope that gives the account another key.
pub const REKEY_KIND: u16 = 20;
/// The kind field of an envelope that says who may give the account another key.
pub const PROTECT_KIND: u16 = 21;
/// The kind field of an envelope that gives somebody else's account another key.
pub const RECOVER_KIND: u16 = 22;

/// The kind field of an envelope with which an administrator proposes.
pub const PROPOSE_KIND: u16 = 23;
/// The kind field of an envelope with which an administrator approves.
pub const APPROVE_KIND: u16 = 24;
/// The kind field of an envelope that sets money aside for a payment.
pub const RESERVE_KIND: u16 = 25;
/// The kind field of an envelope that settles what was set aside.
pub const SETTLE_KIND: u16 = 26;
/// The kind field of an envelope that offers money for money of another chain.
pub const OFFER_KIND: u16 = 27;
/// The kind field of an envelope that pays the price of an offer on another chain.
pub const TAKE_KIND: u16 = 28;

/// The bytes of one transaction as they arrived: nothing in them is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Packet(pub [u8; PACKET_BYTES]);

/// The fields of a transfer, without its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The chain on which it executes.
    pub chain: ChainId,
    /// The version of the debit account's key under which it is signed.
    pub key_version: u32,
    /// The client's own reference, opaque to the ledger.
    pub reference: [u8; 12],
    /// The account that pays and signs.
    pub debit: AccountId,
    /// The chain of the account that receives, where it is not the same one.
    pub credit_chain: Option<ChainId>,
    /// The account that receives. On another chain it is at most 2^32 - 1.
    pub credit: AccountId,
    /// How much moves.
    pub amount: u64,
    /// The sender's number for this transfer; used once.
    pub nonce: u64,
    /// The last height at which it may execute.
    pub expiry: Height,
}

impl Transfer {
    /// The 64 signed bytes.
    ///
    /// # Panics
    /// The credit account on another chain does not fit into 32 bits.
    pub fn body(&self) -> [u8; BODY_BYTES] {
        let (kind, credit) = match self.credit_chain {
            None => (TRANSFER_KIND, self.credit.0),
            Some(chain) => {
                let account = u32::try_from(self.credit.0).expect("accounts of another chain have 32 bits");
                (CROSS_TRANSFER_KIND, u64::from(chain.0) | u64::from(account) << 32)
            }
        };
        Body {
            kind,
            chain: self.chain,
            key_version: self.key_version,
            reference: self.reference,
            debit: self.debit,
            credit,
            value: self.amount,
            nonce: self.nonce,
            expiry: self.expiry,
        }
        .encode()
    }

    /// The message that the debit account's key signs: it binds the network, and through the body the chain, nonce and
    /// expiry.
    pub fn message(&self, network: &Digest) -> [u8; SIGNED_MESSAGE_BYTES] {
        message(network, &self.body())
    }

    /// The packet, signed by `sign`, which is given the message and returns a signature.
    pub fn sign(&self, network: &Digest, sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES]) -> Packet {
        sign_body(network, &self.body(), &[], sign)
    }
}

/// The fields of every kind of packet, in their order.
pub(super) struct Body {
    pub kind: u16,
    pub chain: ChainId,
    pub key_version: u32,
    pub reference: [u8; 12],
    pub debit: AccountId,
    pub credit: u64,
    pub value: u64,
    pub nonce: u64,
    pub expiry: Height,
}

impl Body {
    pub fn encode(&self) -> [u8; BODY_BYTES] {
        let mut body = [0; BODY_BYTES];
        body[0..2].copy_from_slice(&self.kind.to_le_bytes());
        body[4..8].copy_from_slice(&self.chain.0.to_le_bytes());
        body[8..12].copy_from_slice(&self.key_version.to_le_bytes());
        body[12..24].copy_from_slice(&self.reference);
        body[24..32].copy_from_slice(&self.debit.0.to_le_bytes());
        body[32..40].copy_from_slice(&self.credit.to_le_bytes());
        body[40..48].copy_from_slice(&self.value.to_le_bytes());
        body[48..56].copy_from_slice(&self.nonce.to_le_bytes());
        body[56..64].copy_from_slice(&self.expiry.0.to_le_bytes());
        body
    }
}

/// The first packet of what is signed: its body, and the payload that follows.
pub(super) fn sign_body(
    network: &Digest,
    body: &[u8; BODY_BYTES],
    payload: &[u8],
    sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
) -> Packet {
    let mut packet = [0; PACKET_BYTES];
    packet[..BODY_BYTES].copy_from_slice(body);
    packet[BODY_BYTES..].copy_from_slice(&sign(&[&message(network, body), payload].concat()));
    Packet(packet)
}

impl Packet {
    /// Whether the kind is known and the transaction one packet, the reserved field 0, and each field one that the kind
    /// allows. Every other bit pattern of a packet is meaningful.
    #[inline]
    pub(super) fn is_alone(&self) -> bool {
        let (kind, reserved) = (self.kind(), self.field::<2>(2));
        reserved == [0; 2]
            && match kind {
                TRANSFER_KIND | ISSUE_KIND => true,
                CROSS_TRANSFER_KIND => self.field::<4>(32) != self.field::<4>(4),
                BURN_KIND | CANCEL_KIND => self.field::<8>(32) == self.field::<8>(24),
                CLOSE_KIND => self.field::<8>(32) == self.field::<8>(24) && self.amount() == 0,
                FREEZE_KIND => self.amount() <= u64::from(Frozen::BOTH.bits()),
                _ => false,
            }
    }

    #[inline]
    pub(crate) fn kind(&self) -> u16 {
        u16::from_le_bytes(self.field(0))
    }

    /// Whether the credit account is on another chain.
    #[inline]
    pub fn is_cross(&self) -> bool {
        self.kind() == CROSS_TRANSFER_KIND
    }

    /// Whether money leaves the chain, if it applies.
    #[inline]
    pub fn sends(&self) -> bool {
        self.is_cross() || self.kind() == TAKE_KIND
    }

    /// Whether an authority or an owner orders something, instead of paying.
    #[inline]
    pub fn is_command(&self) -> bool {
        (ISSUE_KIND..=CANCEL_KIND).contains(&self.kind())
    }

    /// Whether it is the first packet of an envelope.
    #[inline]
    pub fn is_envelope(&self) -> bool {
        self.kind() >= ENVELOPE_KIND_MIN
    }

    /// Bytes of the payload that follows the first packet of an envelope.
    #[inline]
    pub(super) fn payload_bytes(&self) -> usize {
        u32::from_le_bytes(self.field(32)) as usize
    }

    /// How many packets after this one hold its payload. An envelope that names more bytes than any may have has none:
    /// it is no transaction.
    #[inline]
    pub fn payload_packets(&self) -> usize {
        match self.payload_bytes() {
            bytes if self.is_envelope() && bytes <= PAYLOAD_BYTES_MAX => bytes.div_ceil(PACKET_BYTES),
            _ => 0,
        }
    }

    /// The transaction of this packet alone.
    #[inline]
    pub fn run(&self) -> PacketRun<'_> {
        PacketRun::alone(self)
    }

    /// The chain field.
    #[inline]
    pub fn chain(&self) -> ChainId {
        ChainId(u32::from_le_bytes(self.field(4)))
    }

    /// The key version field.
    #[inline]
    pub fn key_version(&self) -> u32 {
        u32::from_le_bytes(self.field(8))
    }

    /// The reference field.
    #[inline]
    pub fn reference(&self) -> [u8; 12] {
        self.field(12)
    }

    /// The debit field: who pays, or orders; who signs in any case.
    #[inline]
    pub fn debit(&self) -> AccountId {
        AccountId(u64::from_le_bytes(self.field(24)))
    }

    /// The chain of the credit account.
    #[inline]
    pub fn credit_chain(&self) -> ChainId {
        if self.is_cross() { ChainId(u32::from_le_bytes(self.field(32))) } else { self.chain() }
    }

    /// The credit account.
    #[inline]
    pub fn credit(&self) -> AccountId {
        let credit = u64::from_le_bytes(self.field(32));
        AccountId(if self.is_cross() { credit >> 32 } else { credit })
    }

    /// The amount field; of a freeze, the flags, and of a cancellation, the number of the change.
    #[inline]
    pub fn amount(&self) -> u64 {
        u64::from_le_bytes(self.field(40))
    }

    /// The nonce field.
    #[inline]
    pub fn nonce(&self) -> u64 {
        u64::from_le_bytes(self.field(48))
    }

    /// The expiry field.
    #[inline]
    pub fn expiry(&self) -> Height {
        Height(u64::from_le_bytes(self.field(56)))
    }

    /// The signed bytes.
    #[inline]
    pub fn body(&self) -> &[u8; BODY_BYTES] {
        self.0.first_chunk().expect("a body is shorter than a packet")
    }

    /// The signature.
    #[inline]
    pub fn signature(&self) -> &[u8; SIGNATURE_BYTES] {
        self.0.last_chunk().expect("a signature is shorter than a packet")
    }

    /// The message under the signature of a transaction of one packet.
    ///
    /// # Panics
    /// It is the first packet of an envelope, whose message has the payload, too.
    #[inline]
    pub fn message(&self, network: &Digest) -> [u8; SIGNED_MESSAGE_BYTES] {
        assert!(!self.is_envelope(), "the message of an envelope has its payload");
        message(network, self.body())
    }

    /// The id of a transaction of one packet. For many at once the trees of a block have a batched path.
    ///
    /// # Panics
    /// It is the first packet of an envelope, whose id covers the payload, too.
    pub fn id(&self, network: &Digest) -> TransactionId {
        assert!(!self.is_envelope(), "the id of an envelope covers its payload");
        self.run().id(network)
    }

    /// Bytes as packets, in place. What is left over after the last whole packet is not looked at.
    #[inline]
    pub fn slice(bytes: &[u8]) -> &[Packet] {
        let (chunks, _) = bytes.as_chunks::<PACKET_BYTES>();
        // SAFETY: `Packet` is a transparent wrapper of `[u8; PACKET_BYTES]`, so both slices have the same layout,
        // length and (lack of) validity requirements; the lifetime is that of `bytes`.
        unsafe { std::slice::from_raw_parts(chunks.as_ptr().cast::<Packet>(), chunks.len()) }
    }

    /// Packets as bytes, in place.
    #[inline]
    pub fn bytes(packets: &[Packet]) -> &[u8] {
        // SAFETY: `Packet` is a transparent wrapper of `[u8; PACKET_BYTES]`, so a slice of packets is as many bytes in
        // a row, all of them initialized; the lifetime is that of `packets`.
        unsafe { std::slice::from_raw_parts(packets.as_ptr().cast::<u8>(), size_of_val(packets)) }
    }

    #[inline]
    pub(super) fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        *self.0[at..].first_chunk().expect("a field lies inside the packet")
    }
}

#[inline]
fn message(network: &Digest, body: &[u8; BODY_BYTES]) -> [u8; SIGNED_MESSAGE_BYTES] {
    let mut message = [0; SIGNED_MESSAGE_BYTES];
    message[..32].copy_from_slice(&network.0);
    message[32..].copy_from_slice(body);
    message
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.run().content() {
            Ok(content) => content.fmt(f),
            Err(_) => write!(f, "Packet(kind {})", self.kind()),
        }
    }
}

/// Packets as they arrived in one frame: shared bytes, whole packets, no copy.
#[derive(Clone, PartialEq, Eq)]
pub struct PacketSlab(Bytes);

impl PacketSlab {
    /// The slab, if the bytes are whole packets.
    pub fn new(bytes: Bytes) -> Option<Self> {
        bytes.len().is_multiple_of(PACKET_BYTES).then_some(Self(bytes))
    }

    /// A slab of copies.
    pub fn copy_from(packets: &[Packet]) -> Self {
        Self(Bytes::copy_from_slice(Packet::bytes(packets)))
    }

    /// The packets.
    #[inline]
    pub fn packets(&self) -> &[Packet] {
        Packet::slice(&self.0)
    }

    /// The transactions that the packets are, in order.
    pub fn runs(&self) -> Runs<'_> {
        PacketRun::all(self.packets())
    }

    /// How many packets.
    pub fn len(&self) -> usize {
        self.0.len() / PACKET_BYTES
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of all packets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PacketSlab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketSlab({} packets)", self.len())
    }
}
