//! Messages in words, for the trace.

use std::fmt;

use engine::types::{Digest, Head};
use engine::wire::{Batch, PeerMessage};

/// A message of a network in words.
pub(crate) struct Described<'a> {
    pub(crate) message: &'a PeerMessage,
    pub(crate) network: &'a Digest,
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message {
            PeerMessage::Batch(bytes) => match Batch::decode(self.network, bytes.clone()) {
                Ok(batch) => {
                    let (author, head, previous) = (batch.id().author, batch.head(), batch.previous());
                    write!(
                        f,
                        "batch {} of v{author} on {}, {} bytes",
                        Short(head),
                        Short(previous),
                        bytes.len()
                    )
                }
                Err(error) => write!(f, "{} bytes that are no batch: {error}", bytes.len()),
            },
            PeerMessage::Overloaded => f.write_str("is overloaded"),
            PeerMessage::Holding(heads) => {
                f.write_str("holds")?;
                heads.iter().try_for_each(|head| write!(f, " {}", Short(*head)))
            }
            PeerMessage::Block(block) => {
                let header = block.header();
                let (height, view, parent) = (header.height, header.view, header.parent);
                write!(
                    f,
                    "block {:.12} at height {height}, view {view}, on {parent:.12}, cut",
                    block.digest()
                )?;
                header.cut.iter().try_for_each(|head| write!(f, " {}", Short(*head)))
            }
            PeerMessage::BlocksReply(blocks) => write!(f, "{} final blocks", blocks.len()),
            PeerMessage::FetchBlock { digest } => write!(f, "wants block {digest:.12}"),
            PeerMessage::FetchBatches { author, above, head } => {
                write!(f, "wants batches of v{author} above {above} up to {}", Short(*head))
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// A head by its sequence and the first digits of its digest.
struct Short(Head);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Head::NONE => f.write_str("0"),
            Head { sequence, digest } => write!(f, "{sequence}:{digest:.4}"),
        }
    }
}
