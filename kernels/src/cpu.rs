//! What this CPU can do, as values: to hold a token proves that its instructions may run.
//!
//! Tokens have a private field and are made only by `detect`, so the unsafe step from "the program asked for AVX-512"
//! to "the CPU executes AVX-512" is taken in one place for each kind of instruction.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// AVX2 with FMA: what the 256-bit kernels name in their `target_feature`. Every CPU with the one but an early VIA has
/// both.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    /// The token, where the CPU and the operating system support both.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

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

/// The SHA extensions, with SSSE3 and SSE4.1, which every CPU that has them has.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShaNi(());

#[cfg(target_arch = "x86_64")]
impl ShaNi {
    /// The token, where the CPU supports them all.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1"))
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

/// Rows to columns of a 4×4 block of 64-bit words; its own inverse.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) fn transpose_4x4(r: [__m256i; 4]) -> [__m256i; 4] {
    // Columns 0 and 2 of two rows, then 1 and 3.
    let (a, b) = (_mm256_unpacklo_epi64(r[0], r[1]), _mm256_unpackhi_epi64(r[0], r[1]));
    let (c, d) = (_mm256_unpacklo_epi64(r[2], r[3]), _mm256_unpackhi_epi64(r[2], r[3]));
    [
        _mm256_permute2x128_si256::<0x20>(a, c),
        _mm256_permute2x128_si256::<0x20>(b, d),
        _mm256_permute2x128_si256::<0x31>(a, c),
        _mm256_permute2x128_si256::<0x31>(b, d),
    ]
}
