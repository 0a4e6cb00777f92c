//! Signatures that a job brings to the round.

use kernels::ed25519::{DecodedEntry, DecodedKey, Entry, Item};

use crate::execute::AccountKey;
use crate::limits::{PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SIGNED_MESSAGE_BYTES};
use crate::types::{Digest, Packet};
use crate::wire::{BATCH_MESSAGE_BYTES, Batch};

/// A signature that passed the cheap checks, and the key that must have made it.
pub(super) struct Signed<'a> {
    encoded: &'a [u8; PUBLIC_KEY_BYTES],
    decoded: Option<&'a DecodedKey>,
    message: Message<'a>,
    signature: &'a [u8; SIGNATURE_BYTES],
}

/// What is signed.
enum Message<'a> {
    /// The body of a packet, behind the network's id.
    Packet(&'a Packet),
    /// What an author signs of its batch.
    Author([u8; BATCH_MESSAGE_BYTES]),
}

impl<'a> Signed<'a> {
    pub(super) fn packet(key: AccountKey<'a>, packet: &'a Packet) -> Self {
        let AccountKey { encoded, decoded, .. } = key;
        Self { encoded, decoded, message: Message::Packet(packet), signature: packet.signature() }
    }

    pub(super) fn author(key: &'a [u8; PUBLIC_KEY_BYTES], batch: &'a Batch) -> Self {
        let message = Message::Author(batch.message());
        Self { encoded: key, decoded: None, message, signature: batch.signature() }
    }

    fn item<'b>(&'b self, message: &'b [u8]) -> Item<'b> {
        let Self { encoded, decoded, signature, .. } = *self;
        match decoded {
            Some(key) => Item::from(&DecodedEntry { key, message, signature }),
            None => Item::from(&Entry { key: encoded, message, signature }),
        }
    }
}

/// The entries for the kernel. `messages` keeps the messages of packets.
pub(super) fn items<'b>(
    signed: &'b [Signed<'b>],
    network: &Digest,
    messages: &'b mut Vec<[u8; SIGNED_MESSAGE_BYTES]>,
) -> Vec<Item<'b>> {
    messages.clear();
    messages.extend(signed.iter().filter_map(|signed| match signed.message {
        Message::Packet(packet) => Some(packet.message(network)),
        Message::Author(_) => None,
    }));
    let mut made = messages.iter();
    let item = |signed: &'b Signed<'b>| match &signed.message {
        Message::Packet(_) => signed.item(made.next().expect("a message for each packet")),
        Message::Author(message) => signed.item(message),
    };
    signed.iter().map(item).collect()
}
