//! Messages in words, for the trace.

use std::fmt;

use engine::types::Head;
use engine::wire::PeerMessage;

/// A message in words.
pub(crate) struct Described<'a>(pub(crate) &'a PeerMessage);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sequences = |f: &mut fmt::Formatter<'_>, heads: &[Head]| {
            heads.iter().try_for_each(|head| write!(f, " {}", head.sequence))
        };
        match self.0 {
            PeerMessage::Batch(bytes) => write!(f, "a batch of {} bytes", bytes.len()),
            PeerMessage::Holding(heads) => {
                f.write_str("holds")?;
                sequences(f, heads)
            }
            PeerMessage::Block(block) => {
                let header = block.header();
                let (height, view, parent) = (header.height, header.view, header.parent);
                write!(
                    f,
                    "block {:.12} at height {height}, view {view}, on {parent:.12}, cut",
                    block.digest()
                )?;
                sequences(f, &header.cut)
            }
            PeerMessage::BlocksReply(blocks) => write!(f, "{} final blocks", blocks.len()),
            PeerMessage::FetchBlock { digest } => write!(f, "wants block {digest:.12}"),
            PeerMessage::FetchBatches { author, above, head } => {
                write!(f, "wants batches of v{author} above {above} up to {head}")
            }
            other => write!(f, "{other:?}"),
        }
    }
}
