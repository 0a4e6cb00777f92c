//! Messages of one shape, padded on the fly: no copy of a message is made to hash it.
//!
//! ```text
//!          row 0                 row 1               …          a row is 64 bytes: one vector of AVX-512
//! ┌────────────────────┬────────────────────┬──────────────
//! │ prefix │ part 0 │ part 1 …                │80 00 … length │  same places in every message of the shape, therefore
//! └────────────────────┴────────────────────┴──────────────     a row is a mask for each part, and a filling for the rest
//! ```

use super::word::Word;

/// Bytes in a row.
pub(super) const ROW: usize = 64;

/// Where the bytes of padded messages come from, if part `p` has `lens[p]` bytes in each of them.
pub(super) struct Shape<const PARTS: usize> {
    prefix: Vec<u8>,
    lens: [usize; PARTS],
    rows: Vec<Row<PARTS>>,
}

/// 64 bytes of a padded message.
pub(super) struct Row<const PARTS: usize> {
    /// Prefix and padding; zeros where a part stands.
    pub(super) fill: [u8; ROW],
    /// What each part gives.
    pub(super) pieces: [Piece; PARTS],
}

/// What a part gives to a row: its byte `skip + j` (modulo 2⁶⁴) where bit `j` of the mask is set.
///
/// Invariant: for those `j` that is a byte of the part. The set bits are consecutive.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) mask: u64,
    pub(super) skip: usize,
}

impl<const PARTS: usize> Shape<PARTS> {
    pub(super) fn new<W: Word>(prefix: &[u8], lens: [usize; PARTS]) -> Self {
        let whole = prefix.len() + lens.iter().sum::<usize>();
        // One byte 0x80, and an eighth of a block of length, behind the message.
        let padded = (whole + 1 + W::BLOCK / 8).next_multiple_of(W::BLOCK);
        let mut rows = Vec::with_capacity(padded / ROW);
        for start in (0..padded).step_by(ROW) {
            let mut fill = [0; ROW];
            for (at, byte) in (start..).zip(&mut fill) {
                if let Some(prefix) = prefix.get(at) {
                    *byte = *prefix;
                } else if at == whole {
                    *byte = 0x80;
                }
            }
            if start + ROW == padded {
                fill[ROW - 8..].copy_from_slice(&(whole as u64 * 8).to_be_bytes());
            }
            let mut part_start = prefix.len();
            let pieces = lens.map(|len| {
                let below = |end: usize| mask_below(end.saturating_sub(start).min(ROW));
                let piece = Piece {
                    mask: below(part_start + len) & !below(part_start),
                    skip: start.wrapping_sub(part_start),
                };
                part_start += len;
                piece
            });
            rows.push(Row { fill, pieces });
        }
        Self { prefix: prefix.to_vec(), lens, rows }
    }

    /// What stands before the parts of every message.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Whether the message has this shape.
    pub(super) fn fits(&self, message: &[&[u8]; PARTS]) -> bool {
        self.lens.iter().zip(message).all(|(len, part)| *len == part.len())
    }
}

/// The lowest `count` bits.
fn mask_below(count: usize) -> u64 {
    u64::MAX.checked_shr(ROW as u32 - count as u32).unwrap_or(0)
}

/// Messages that have a shape; at least one.
pub(super) struct Group<'a, const PARTS: usize> {
    shape: &'a Shape<PARTS>,
    messages: &'a [[&'a [u8]; PARTS]],
}

impl<'a, const PARTS: usize> Group<'a, PARTS> {
    /// # Panics
    ///
    /// If there is no message, or one of another shape.
    pub(super) fn new(shape: &'a Shape<PARTS>, messages: &'a [[&'a [u8]; PARTS]]) -> Self {
        assert!(!messages.is_empty() && messages.iter().all(|message| shape.fits(message)), "one shape");
        Self { shape, messages }
    }

    /// Rows of each message; whole blocks.
    pub(super) fn rows(&self) -> usize {
        self.shape.rows.len()
    }

    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &Row<PARTS> {
        &self.shape.rows[row]
    }

    /// The message of a lane; lanes without one of their own work on the last.
    #[inline(always)]
    pub(super) fn message(&self, lane: usize) -> &[&'a [u8]; PARTS] {
        &self.messages[lane.min(self.messages.len() - 1)]
    }

    /// A row of a lane, put together.
    #[inline(always)]
    pub(super) fn bytes(&self, row: usize, lane: usize) -> [u8; ROW] {
        let Row { fill, pieces } = self.row(row);
        let mut bytes = *fill;
        for (piece, part) in pieces.iter().zip(self.message(lane)) {
            if piece.mask == u64::MAX {
                bytes.copy_from_slice(&part[piece.skip..piece.skip + ROW]);
            } else if piece.mask != 0 {
                let at = piece.mask.trailing_zeros() as usize;
                let from = piece.skip.wrapping_add(at);
                let count = piece.mask.count_ones() as usize;
                bytes[at..at + count].copy_from_slice(&part[from..from + count]);
            }
        }
        bytes
    }
}
