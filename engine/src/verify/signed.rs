//! Signatures that a job brings to the round.

use kernels::ed25519::{DecodedEntry, DecodedKey, Entry, Item};

use crate::execute::AccountKey;
use crate::limits::{PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SIGNED_MESSAGE_BYTES};
use crate::types::{
    AccountId, ChainId, Content, Digest, NewAccount, POSSESSION_MESSAGE_BYTES, Packet, PacketRun, Recover,
    Rekey, new_key_message, possession_message, recovery_message,
};
use crate::wire::{BATCH_MESSAGE_BYTES, Batch};

/// A signature that passed the cheap checks, and the key that must have made it.
pub(super) struct Signed<'a> {
    encoded: [u8; PUBLIC_KEY_BYTES],
    decoded: Option<&'a DecodedKey>,
    message: Message<'a>,
    signature: &'a [u8; SIGNATURE_BYTES],
}

/// What is signed.
enum Message<'a> {
    /// The body of a packet, behind the network's id.
    Packet(&'a Packet),
    /// Body and payload of an envelope, behind the network's id.
    Envelope(PacketRun<'a>),
    /// What the owner of a new key signs, whom the opening envelope names.
    Possession(&'a Packet, &'a [u8; PUBLIC_KEY_BYTES]),
    /// What the owner of a new key for this account signs.
    NewKey((ChainId, AccountId), &'a [u8; PUBLIC_KEY_BYTES]),
    /// What a recovery key signs, after so many changes of the account.
    Recovery((ChainId, AccountId), &'a [u8; PUBLIC_KEY_BYTES], u64),
    /// What an author signs of its batch.
    Author([u8; BATCH_MESSAGE_BYTES]),
}

impl<'a> Signed<'a> {
    pub(super) fn transaction(key: AccountKey<'a>, run: PacketRun<'a>) -> Self {
        let AccountKey { encoded, decoded, .. } = key;
        let first = run.first();
        let message = match run.packets() {
            [_] => Message::Packet(first),
            _ => Message::Envelope(run),
        };
        Self { encoded, decoded, message, signature: first.signature() }
    }

    /// Adds what stands beside the signer's signature: possessions of new keys, and what a recovery key has signed. As
    /// many as [`PacketRun::signatures`] counts beside the first one.
    #[inline]
    pub(super) fn add_others(run: PacketRun<'a>, signed: &mut Vec<Self>) {
        if run.is_envelope() {
            Self::add_others_of_envelope(run, signed);
        }
    }

    #[cold]
    fn add_others_of_envelope(run: PacketRun<'a>, signed: &mut Vec<Self>) {
        let of = |key: &'a [u8; PUBLIC_KEY_BYTES], signature, message| Self {
            encoded: *key,
            decoded: None,
            message,
            signature,
        };
        let chain = run.chain();
        match run.content() {
            Ok(Content::Opening(opening)) => {
                signed.extend(opening.accounts.iter().map(|NewAccount { key, possession }| {
                    of(key, possession, Message::Possession(run.first(), key))
                }));
            }
            Ok(Content::Rekey(Rekey { account, key, possession, .. })) => {
                signed.push(of(key, possession, Message::NewKey((chain, account), key)));
            }
            Ok(Content::Recover(Recover { account, changes, key, possession, recovery, .. })) => {
                signed.push(of(key, possession, Message::NewKey((chain, account), key)));
                signed.extend(recovery.map(|(recovery_key, signature)| {
                    of(recovery_key, signature, Message::Recovery((chain, account), key, changes))
                }));
            }
            _ => {}
        }
    }

    pub(super) fn author(key: &[u8; PUBLIC_KEY_BYTES], batch: &'a Batch) -> Self {
        let message = Message::Author(batch.message());
        Self { encoded: *key, decoded: None, message, signature: batch.signature() }
    }

    fn item<'b>(&'b self, message: &'b [u8]) -> Item<'b> {
        let Self { encoded, decoded, signature, .. } = self;
        match *decoded {
            Some(key) => Item::from(&DecodedEntry { key, message, signature }),
            None => Item::from(&Entry { key: encoded, message, signature }),
        }
    }
}

/// What is signed, put together for one round; the memory is kept for the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages {
    packets: Vec<[u8; SIGNED_MESSAGE_BYTES]>,
    long: Vec<Vec<u8>>,
    possessions: Vec<[u8; POSSESSION_MESSAGE_BYTES]>,
}

/// The entries for the kernel.
pub(super) fn items<'b>(
    signed: &'b [Signed<'b>],
    network: &Digest,
    messages: &'b mut Messages,
) -> Vec<Item<'b>> {
    messages.packets.clear();
    messages.long.clear();
    messages.possessions.clear();
    for signed in signed {
        match signed.message {
            Message::Packet(packet) => messages.packets.push(packet.message(network)),
            Message::Envelope(run) => messages.long.push(run.message(network)),
            Message::NewKey(account, key) => messages.long.push(new_key_message(network, account, key)),
            Message::Recovery(account, key, changes) => {
                messages.long.push(recovery_message(network, account, key, changes));
            }
            Message::Possession(by, key) => {
                messages.possessions.push(possession_message(network, by.chain(), by.debit(), key));
            }
            Message::Author(_) => {}
        }
    }
    let (mut packets, mut long) = (messages.packets.iter(), messages.long.iter());
    let mut possessions = messages.possessions.iter();
    let item = |signed: &'b Signed<'b>| match &signed.message {
        Message::Packet(_) => signed.item(packets.next().expect("a message for each packet")),
        Message::Envelope(_) | Message::NewKey(..) | Message::Recovery(..) => {
            signed.item(long.next().expect("a message for each of them"))
        }
        Message::Possession(..) => signed.item(possessions.next().expect("a message for each possession")),
        Message::Author(message) => signed.item(message),
    };
    signed.iter().map(item).collect()
}
