//! What this CPU can do, as values: to hold a token proves that its instructions may run.
//!
//! Tokens have a private field and are made only by `detect`, so the unsafe step from "the program asked for AVX-512" to
//! "the CPU executes AVX-512" is taken in one place for each kind of instruction.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// AVX-512 with F, DQ, VL, BW and IFMA: what the 512-bit kernels name in their `target_feature`.
///
/// BW and VL are named although some kernels would do without: with DQ they give the compiler `vpmullq` and masks.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    /// The token, where the CPU and the operating system support it all.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512ifma"))
        .then_some(Self(()))
    }
}

/// Rows to columns of an 8×8 block of 64-bit words; its own inverse.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
pub(crate) fn transpose_8x8(r: [__m512i; 8]) -> [__m512i; 8] {
    let zero = _mm512_setzero_si512();
    // Pairs of rows: even columns in the 128-bit quarters (0,2,4,6), odd columns in (1,3,5,7).
    let mut even = [zero; 4];
    let mut odd = [zero; 4];
    for i in 0..4 {
        even[i] = _mm512_unpacklo_epi64(r[2 * i], r[2 * i + 1]);
        odd[i] = _mm512_unpackhi_epi64(r[2 * i], r[2 * i + 1]);
    }
    let [c0, c2, c4, c6] = transpose_quarters(even);
    let [c1, c3, c5, c7] = transpose_quarters(odd);
    [c0, c1, c2, c3, c4, c5, c6, c7]
}

/// Rows to columns of a 4×4 block of 128-bit quarters; its own inverse.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
pub(crate) fn transpose_quarters(r: [__m512i; 4]) -> [__m512i; 4] {
    let a = _mm512_shuffle_i64x2::<0x88>(r[0], r[1]);
    let b = _mm512_shuffle_i64x2::<0xdd>(r[0], r[1]);
    let c = _mm512_shuffle_i64x2::<0x88>(r[2], r[3]);
    let d = _mm512_shuffle_i64x2::<0xdd>(r[2], r[3]);
    [
        _mm512_shuffle_i64x2::<0x88>(a, c),
        _mm512_shuffle_i64x2::<0x88>(b, d),
        _mm512_shuffle_i64x2::<0xdd>(a, c),
        _mm512_shuffle_i64x2::<0xdd>(b, d),
    ]
}
