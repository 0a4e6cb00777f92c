//! Spoils inputs, the same way for the same seed.

/// A generator of pseudo-random numbers: xorshift, good enough to spoil bytes.
pub(crate) struct Random(u64);

/// Numbers at which something often changes.
const EDGES: [u64; 12] = [0, 1, 2, 63, 64, 127, 128, 255, 4096, u16::MAX as u64, u32::MAX as u64, u64::MAX];
/// No input grows beyond this: lengths are refused by their fields, not by megabytes.
const BYTES_MAX: usize = 16 * 1024;

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`; 0 if there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % (end.max(1) as u64)) as usize
    }

    /// One of the inputs, with one to four changes.
    pub(crate) fn spoiled(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut input = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.below(4) {
            self.spoil(&mut input, inputs);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn spoil(&mut self, input: &mut Vec<u8>, others: &[Vec<u8>]) {
        let at = self.below(input.len());
        let length = self.below(input.len() - at.min(input.len()) + 1);
        match self.below(7) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = self.next() as u8,
            2 => {
                // A number of some width, at its edges.
                let edge = EDGES[self.below(EDGES.len())].wrapping_add(self.below(3) as u64).wrapping_sub(1);
                let width = [1, 2, 4, 8][self.below(4)].min(input.len() - at);
                input[at..at + width].copy_from_slice(&edge.to_le_bytes()[..width]);
            }
            3 => input.truncate(at),
            4 => {
                let copied = input[at..at + length].to_vec();
                input.splice(at..at, copied);
            }
            5 => drop(input.drain(at..at + length)),
            _ => {
                let other = &others[self.below(others.len())];
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
}
