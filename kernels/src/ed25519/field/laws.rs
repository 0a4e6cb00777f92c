//! What every backend must satisfy: agreement with schoolbook arithmetic on whole numbers, at random values and at
//! the bounds that the operations promise to accept, and the bounds that they promise to return.

use super::{
    ENTRIES, Field, LANES, LIMB_BITS, LIMB_MASK, LaneLimbs, Limbs, LookUp, Row, Work, portable::Portable,
};
use proptest::{prelude::*, test_runner::TestRunner};

/// A number below 2⁵⁷⁶, 64 bits to a word: the square of a loose element is a little above 2⁵¹².
pub(crate) type Wide = [u64; 9];

pub(super) fn wide(limbs: &Limbs) -> Wide {
    let mut out = [0; 9];
    for (i, limb) in limbs.iter().enumerate() {
        let bit = i * LIMB_BITS as usize;
        let mut carry = u128::from(*limb) << (bit % 64);
        for word in &mut out[bit / 64..] {
            carry += u128::from(*word);
            *word = carry as u64;
            carry >>= 64;
        }
    }
    out
}

pub(crate) fn product(a: &Wide, b: &Wide) -> Wide {
    let mut out = [0u64; 9];
    for i in 0..5 {
        let mut carry = 0u128;
        for j in 0..9 - i {
            carry += u128::from(out[i + j]) + u128::from(a[i]) * u128::from(b[j]);
            out[i + j] = carry as u64;
            carry >>= 64;
        }
    }
    out
}

/// Subtracts p until the number is below it, after folding 2²⁵⁵ = 19.
pub(crate) fn reduce(mut a: Wide) -> [u64; 4] {
    while a[4..] != [0; 5] || a[3] >> 63 != 0 {
        let mut high = [0u64; 9];
        for i in 0..6 {
            high[i] = a[i + 3] >> 63 | a.get(i + 4).map_or(0, |word| word << 1);
        }
        a[3] &= u64::MAX >> 1;
        a[4..].fill(0);
        let mut carry = 0u128;
        for i in 0..9 {
            carry += u128::from(a[i]) + 19 * u128::from(high[i]);
            a[i] = carry as u64;
            carry >>= 64;
        }
    }
    let p = [u64::MAX - 18, u64::MAX, u64::MAX, u64::MAX >> 1];
    let low = [a[0], a[1], a[2], a[3]];
    if low.iter().rev().ge(p.iter().rev()) { [low[0] - p[0], 0, 0, 0] } else { low }
}

pub(super) fn value(limbs: &Limbs) -> [u64; 4] {
    reduce(wide(limbs))
}

fn plus(a: &Limbs, b: &Limbs) -> [u64; 4] {
    value(&std::array::from_fn(|i| a[i] + b[i]))
}

/// The sum of a few products.
pub(crate) fn total(terms: &[Wide]) -> [u64; 4] {
    let mut out = [0; 9];
    for term in terms {
        let mut carry = 0u128;
        for (to, word) in out.iter_mut().zip(term) {
            carry += u128::from(*to) + u128::from(*word);
            *to = carry as u64;
            carry >>= 64;
        }
    }
    reduce(out)
}

const TIGHT: u64 = (1 << 51) + (1 << 15) - 1;
const LOOSE: u64 = (1 << 52) - 1;

fn lane(a: &LaneLimbs, l: usize) -> Limbs {
    a.map(|limb| limb[l])
}

fn is_tight(a: &LaneLimbs) -> bool {
    a.iter().flatten().all(|limb| *limb <= TIGHT)
}

/// Elements whose limbs are random, zero, or stand at an edge of what is allowed.
fn element(state: &mut u64, most: u64) -> LaneLimbs {
    let edges = [0, 1, LIMB_MASK, LIMB_MASK - 18, LIMB_MASK - 19, most, (1 << 51) + 1];
    std::array::from_fn(|_| {
        std::array::from_fn(|_| {
            let random = next(state);
            match random % 10 {
                i @ 0..7 => edges[i as usize],
                _ => (random >> 4) % (most + 1),
            }
        })
    })
}

/// SplitMix64: enough chance for operands.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let a = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ a >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ b >> 31
}

/// One set of operands through every operation.
struct Laws {
    tight: [LaneLimbs; 2],
    loose: [LaneLimbs; 2],
    lanes: u8,
    index: [u64; LANES],
}

/// A table whose words are all different.
fn table() -> LookUp {
    LookUp(std::array::from_fn(|word| std::array::from_fn(|entry| (word * ENTRIES + entry) as u64 + 1)))
}

/// What the operations gave.
#[derive(Debug)]
struct Results {
    add: LaneLimbs,
    sub: LaneLimbs,
    three: LaneLimbs,
    three_less: LaneLimbs,
    mul: LaneLimbs,
    mul_three: LaneLimbs,
    square: LaneLimbs,
    /// Of ad and bc, uncarried: ad, 2ad + bc, 2ad − bc and a² − bc, carried.
    carried: LaneLimbs,
    products: LaneLimbs,
    products_less: LaneLimbs,
    square_less: LaneLimbs,
    negated: LaneLimbs,
    selected: LaneLimbs,
    zero: u8,
    zero_product: u8,
    zero_difference: u8,
    odd: u8,
    gathered: [LaneLimbs; 3],
    rows: [Row; LANES],
    found: [LaneLimbs; 3],
}

impl Work for &Laws {
    type Output = Results;

    #[inline(always)]
    fn run<F: Field>(self, field: F) -> Results {
        let [a, b] = [field.load(&self.tight[0]), field.load(&self.tight[1])];
        let [c, d] = [field.load(&self.loose[0]), field.load(&self.loose[1])];
        let zero = field.splat(&[0; 5]);
        let three = field.add_loose(field.add_loose(a, b), a);
        let three_less = field.sub_loose(field.twice(a), b);
        let (ad, bc) = (field.product(a, d), field.product(b, c));
        let mut rows = [Row([0; 16]); LANES];
        field.scatter([a, b, a], rows.each_mut());
        Results {
            add: field.store(field.add(c, d)),
            sub: field.store(field.sub(c, d)),
            three: field.store(field.add(three, zero)),
            three_less: field.store(field.add(three_less, zero)),
            mul: field.store(field.mul(a, d)),
            mul_three: field.store(field.mul(a, three)),
            square: field.store(field.square(a)),
            carried: field.store(field.carried(ad)),
            products: field.store(field.add(field.twice(ad), bc)),
            products_less: field.store(field.sub(field.twice(ad), bc)),
            square_less: field.store(field.sub(field.square_product(a), bc)),
            negated: field.store(field.negate_where(self.lanes, a)),
            selected: field.store(field.select(self.lanes, a, b)),
            zero: field.zero_lanes(c),
            zero_product: field.zero_lanes(bc),
            zero_difference: field.zero_lanes(field.sub(field.add(a, b), field.add(b, a))),
            odd: field.odd_lanes(c),
            gathered: field
                .gather([0, 1, 2, 3, 4, 5, 6, 7].map(|l| &rows[(F::LIVE + 7 - l) % LANES]))
                .map(|e| field.store(field.add(e, zero))),
            rows,
            found: field.look_up(&table(), &self.index).map(|e| field.store(field.add(e, zero))),
        }
    }
}

impl Laws {
    /// Says which law the results break, if any.
    fn broken<F: Field>(&self, r: &Results) -> Result<(), String> {
        let law = |name: &str, holds: bool| if holds { Ok(()) } else { Err(name.to_owned()) };
        for l in 0..F::LIVE {
            let [a, b] = [lane(&self.tight[0], l), lane(&self.tight[1], l)];
            let [c, d] = [lane(&self.loose[0], l), lane(&self.loose[1], l)];
            let on = self.lanes >> l & 1 == 1;
            law("add", value(&lane(&r.add, l)) == plus(&c, &d))?;
            law("sub", plus(&lane(&r.sub, l), &d) == value(&c))?;
            let three: Limbs = std::array::from_fn(|i| 2 * a[i] + b[i]);
            law("three added", value(&lane(&r.three, l)) == value(&three))?;
            law("two less one", plus(&lane(&r.three_less, l), &b) == plus(&a, &a))?;
            law("mul", value(&lane(&r.mul, l)) == reduce(product(&wide(&a), &wide(&d))))?;
            law("mul three", value(&lane(&r.mul_three, l)) == reduce(product(&wide(&a), &wide(&three))))?;
            law("square", value(&lane(&r.square, l)) == reduce(product(&wide(&a), &wide(&a))))?;
            let (ad, bc) = (product(&wide(&a), &wide(&d)), product(&wide(&b), &wide(&c)));
            law("carried", value(&lane(&r.carried, l)) == reduce(ad))?;
            law("products", value(&lane(&r.products, l)) == total(&[ad, ad, bc]))?;
            law("products less", total(&[wide(&lane(&r.products_less, l)), bc]) == total(&[ad, ad]))?;
            law(
                "square less",
                total(&[wide(&lane(&r.square_less, l)), bc]) == total(&[product(&wide(&a), &wide(&a))]),
            )?;
            law("zero product", (r.zero_product >> l & 1 == 1) == (reduce(bc) == [0; 4]))?;
            if on {
                law("negate", plus(&lane(&r.negated, l), &a) == [0; 4])?;
            } else {
                law("negate elsewhere", value(&lane(&r.negated, l)) == value(&a))?;
            }
            law("negate is loose", lane(&r.negated, l).iter().all(|limb| *limb <= LOOSE))?;
            law("select", value(&lane(&r.selected, l)) == value(if on { &a } else { &b }))?;
            law("zero", (r.zero >> l & 1 == 1) == (value(&c) == [0; 4]))?;
            law("odd", (r.odd >> l & 1 == 1) == (value(&c)[0] & 1 == 1))?;
            let entry = self.index[l] as usize;
            let named: [u64; 15] = table().0.map(|word| word[entry]);
            let from = F::LIVE - 1 - l;
            for (i, expected) in [&self.tight[0], &self.tight[1], &self.tight[0]].into_iter().enumerate() {
                let [named, row]: [&Limbs; 2] =
                    [&named[..], &r.rows[l].0[..]].map(|words| words[5 * i..].first_chunk().unwrap());
                law("look up", value(&lane(&r.found[i], l)) == value(named))?;
                law("scatter", value(row) == value(&lane(expected, l)))?;
                law("a row is tight", row.iter().all(|limb| *limb <= TIGHT))?;
                law("gather", value(&lane(&r.gathered[i], l)) == value(&lane(expected, from)))?;
            }
        }
        law("a + b = b + a", r.zero_difference == u8::MAX >> (LANES - F::LIVE))?;
        let tight = [&r.add, &r.sub, &r.mul, &r.mul_three, &r.square];
        let from_products = [&r.carried, &r.products, &r.products_less, &r.square_less];
        law("results are tight", tight.into_iter().chain(from_products).all(is_tight))
    }
}

fn hold_for<F: Field>(field: F) {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1000));
    runner
        .run(&any::<u64>(), |mut state| {
            let laws = Laws {
                tight: [element(&mut state, TIGHT), element(&mut state, TIGHT)],
                loose: [element(&mut state, LOOSE), element(&mut state, LOOSE)],
                lanes: next(&mut state) as u8,
                index: std::array::from_fn(|_| next(&mut state) % ENTRIES as u64),
            };
            laws.broken::<F>(&field.enter(&laws)).map_err(TestCaseError::fail)
        })
        .unwrap();
    // All limbs at their bounds at once, and p itself with its neighbours.
    let p: Limbs = [LIMB_MASK - 18, LIMB_MASK, LIMB_MASK, LIMB_MASK, LIMB_MASK];
    let near = |delta: i64| -> Limbs { [p[0].wrapping_add_signed(delta), p[1], p[2], p[3], p[4]] };
    let twice: Limbs = p.map(|limb| 2 * limb);
    for c in [[LOOSE; 5], [0; 5], near(-1), near(0), near(1), near(18), twice] {
        let spread = |limbs: Limbs| limbs.map(|limb| [limb; LANES]);
        let laws = Laws {
            tight: [spread([TIGHT; 5]), spread(near(0))],
            loose: [spread(c); 2],
            lanes: 0x5a,
            index: [0; LANES],
        };
        assert_eq!(laws.broken::<F>(&field.enter(&laws)), Ok(()));
    }
}

#[test]
fn portable() {
    hold_for(Portable);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn avx2() {
    if let Some(token) = crate::cpu::Avx2::detect() {
        hold_for(token);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn avx512() {
    if let Some(token) = crate::cpu::Avx512::detect() {
        hold_for(token);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn quad() {
    if let Some(token) = crate::cpu::Avx512::detect() {
        hold_for(super::quad::Quad(token));
    }
}

/// The laws notice one lost carry.
#[test]
fn a_planted_wrong_carry_is_found() {
    let spread = |limbs: Limbs| limbs.map(|limb| [limb; LANES]);
    let laws = Laws {
        tight: [spread([TIGHT; 5]); 2],
        loose: [spread([LOOSE; 5]); 2],
        lanes: 3,
        index: [ENTRIES as u64 - 1; LANES],
    };
    let good = Portable.enter(&laws);
    assert_eq!(laws.broken::<Portable>(&good), Ok(()));
    for limb in 0..5 {
        for l in 0..LANES {
            let mut bad = Portable.enter(&laws);
            bad.mul[limb][l] ^= 1;
            assert_eq!(laws.broken::<Portable>(&bad), Err("mul".to_owned()));
            let mut bad = Portable.enter(&laws);
            bad.sub[limb][l] += 1 << 20;
            assert_eq!(laws.broken::<Portable>(&bad), Err("sub".to_owned()));
        }
    }
}
