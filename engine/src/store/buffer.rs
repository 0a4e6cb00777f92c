//! Memory that O_DIRECT accepts: whole sectors, aligned to a sector.

use super::sector::SECTOR_BYTES;

/// One sector in memory; the alignment is what direct I/O asks for.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct Aligned([u8; SECTOR_BYTES]);

const _: () = assert!(size_of::<Aligned>() == SECTOR_BYTES && align_of::<Aligned>() == SECTOR_BYTES);

/// A run of aligned sectors, fixed in number.
pub(super) struct Buffer {
    sectors: Vec<Aligned>,
}

impl Buffer {
    /// A zeroed buffer of `sectors` sectors.
    pub(super) fn new(sectors: usize) -> Buffer {
        Buffer { sectors: vec![Aligned([0; SECTOR_BYTES]); sectors] }
    }

    /// How many sectors it holds.
    pub(super) fn sectors(&self) -> usize {
        self.sectors.len()
    }

    /// All bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `Aligned` is `repr(C)` with one byte array and no padding (asserted above), so the vector's
        // elements are exactly `len * SECTOR_BYTES` initialised bytes, borrowed as long as `self`.
        unsafe { std::slice::from_raw_parts(self.sectors.as_ptr().cast(), self.sectors.len() * SECTOR_BYTES) }
    }

    /// All bytes, to be written.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let bytes = self.sectors.len() * SECTOR_BYTES;
        // SAFETY: as in `bytes`, and every bit pattern is a valid `u8`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.sectors.as_mut_ptr().cast(), bytes) }
    }

    /// One sector.
    pub(super) fn sector(&self, index: usize) -> &[u8; SECTOR_BYTES] {
        &self.sectors[index].0
    }

    /// One sector, to be written.
    pub(super) fn sector_mut(&mut self, index: usize) -> &mut [u8; SECTOR_BYTES] {
        &mut self.sectors[index].0
    }
}
