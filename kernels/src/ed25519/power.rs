//! Fixed powers of field elements, `N` vectors side by side, so that one's latency hides behind another.

use super::field::Field;

#[inline(always)]
fn squares<F: Field, const N: usize>(f: F, mut a: [F::Fe; N], times: usize) -> [F::Fe; N] {
    for _ in 0..times {
        for a in &mut a {
            *a = f.square(*a);
        }
    }
    a
}

#[inline(always)]
fn muls<F: Field, const N: usize>(f: F, mut a: [F::Fe; N], b: [F::Fe; N]) -> [F::Fe; N] {
    for (a, b) in a.iter_mut().zip(b) {
        *a = f.mul(*a, b);
    }
    a
}

/// a^(2²⁵⁰ − 1) and a¹¹, with which the powers below end. `e(n)` stands for a^(2ⁿ − 1), and
/// e(m + n) = e(m)^(2ⁿ) · e(n).
#[inline(always)]
fn climb<F: Field, const N: usize>(f: F, a: [F::Fe; N]) -> ([F::Fe; N], [F::Fe; N]) {
    let a2 = squares(f, a, 1);
    let a9 = muls(f, squares(f, a2, 2), a);
    let a11 = muls(f, a9, a2);
    let e5 = muls(f, squares(f, a11, 1), a9);
    let e10 = muls(f, squares(f, e5, 5), e5);
    let e20 = muls(f, squares(f, e10, 10), e10);
    let e40 = muls(f, squares(f, e20, 20), e20);
    let e50 = muls(f, squares(f, e40, 10), e10);
    let e100 = muls(f, squares(f, e50, 50), e50);
    let e200 = muls(f, squares(f, e100, 100), e100);
    (muls(f, squares(f, e200, 50), e50), a11)
}

/// a^((p − 5)/8) = a^(2²⁵² − 3).
#[inline(always)]
pub(super) fn pow_p58<F: Field, const N: usize>(f: F, a: [F::Fe; N]) -> [F::Fe; N] {
    muls(f, squares(f, climb(f, a).0, 2), a)
}

/// 1/a = a^(p − 2) = a^(2²⁵⁵ − 21), and 0 for 0.
#[inline(always)]
pub(super) fn invert<F: Field>(f: F, a: F::Fe) -> F::Fe {
    let (e250, a11) = climb(f, [a]);
    let [inverse] = muls(f, squares(f, e250, 5), a11);
    inverse
}
