//! What SHA-256 and SHA-512 have in common, and what sets them apart: the word.

use super::{
    constants::{ROUND_256, ROUND_512, START_256, START_512},
    lanes::Lanes,
};
use ::sha2::Digest as _;

/// A word of 32 bits makes SHA-256, one of 64 bits SHA-512. Functions are named as in FIPS 180-4, 4.1.
pub(super) trait Word: Copy + 'static {
    /// 32 or 64 bytes.
    type Digest;
    /// Bytes in a block.
    const BLOCK: usize;
    /// The state before the first block.
    const START: [Self; 8];
    /// The constants of the rounds.
    const ROUNDS: &'static [[Self; 16]];

    /// Σ₀
    fn sum0<L: Lanes<Self>>(lanes: L, x: L::Vector) -> L::Vector;
    /// Σ₁
    fn sum1<L: Lanes<Self>>(lanes: L, x: L::Vector) -> L::Vector;
    /// σ₀
    fn mix0<L: Lanes<Self>>(lanes: L, x: L::Vector) -> L::Vector;
    /// σ₁
    fn mix1<L: Lanes<Self>>(lanes: L, x: L::Vector) -> L::Vector;

    /// One message in parts, through the `sha2` crate.
    fn plain(prefix: &[u8], parts: &[&[u8]]) -> Self::Digest;
}

impl Word for u32 {
    type Digest = [u8; 32];
    const BLOCK: usize = 64;
    const START: [u32; 8] = START_256;
    const ROUNDS: &'static [[u32; 16]] = ROUND_256.as_chunks().0;

    #[inline(always)]
    fn sum0<L: Lanes<u32>>(lanes: L, x: L::Vector) -> L::Vector {
        lanes.xor3(lanes.rotate::<2>(x), lanes.rotate::<13>(x), lanes.rotate::<22>(x))
    }

    #[inline(always)]
    fn sum1<L: Lanes<u32>>(lanes: L, x: L::Vector) -> L::Vector {
        lanes.xor3(lanes.rotate::<6>(x), lanes.rotate::<11>(x), lanes.rotate::<25>(x))
    }

    #[inline(always)]
    fn mix0<L: Lanes<u32>>(lanes: L, x: L::Vector) -> L::Vector {
        lanes.xor3(lanes.rotate::<7>(x), lanes.rotate::<18>(x), lanes.shift::<3>(x))
    }

    #[inline(always)]
    fn mix1<L: Lanes<u32>>(lanes: L, x: L::Vector) -> L::Vector {
        lanes.xor3(lanes.rotate::<17>(x), lanes.rotate::<19>(x), lanes.shift::<10>(x))
    }

    fn plain(prefix: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let hasher = ::sha2::Sha256::new_with_prefix(prefix);
        parts.iter().fold(hasher, |hasher, part| hasher.chain_update(part)).finalize().into()
    }
}

impl Word for u64 {
    type Digest = [u8; 64];
    const BLOCK: usize = 128;
    const START: [u64; 8] = START_512;
    const ROUNDS: &'static [[u64; 16]] = ROUND_512.as_chunks().0;

    #[inline(always)]
    fn sum0<L: Lanes<u64>>(lanes: L, x: L::Vector) -> L::Vector {
        lanes.xor3(lanes.rotate::<28>(x), lanes.rotate::<34>(x), lanes.rotate::<39>(x))
    }

    #[inline(always)]
    fn sum1<L: Lanes<u64>>(lanes: L, x: L::Vector) -> L::Vector {
        lanes.xor3(lanes.rotate::<14>(x), lanes.rotate::<18>(x), lanes.rotate::<41>(x))
    }

    #[inline(always)]
    fn mix0<L: Lanes<u64>>(lanes: L, x: L::Vector) -> L::Vector {
        lanes.xor3(lanes.rotate::<1>(x), lanes.rotate::<8>(x), lanes.shift::<7>(x))
    }

    #[inline(always)]
    fn mix1<L: Lanes<u64>>(lanes: L, x: L::Vector) -> L::Vector {
        lanes.xor3(lanes.rotate::<19>(x), lanes.rotate::<61>(x), lanes.shift::<6>(x))
    }

    fn plain(prefix: &[u8], parts: &[&[u8]]) -> [u8; 64] {
        let hasher = ::sha2::Sha512::new_with_prefix(prefix);
        parts.iter().fold(hasher, |hasher, part| hasher.chain_update(part)).finalize().into()
    }
}
