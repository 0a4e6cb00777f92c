use super::*;
use proptest::prelude::*;

fn uniform(dice: &mut Dice) -> f64 {
    (dice.next() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A rate of about 100,000 with noise that is mostly 1 %, and now and then a run that was disturbed.
fn noisy(dice: &mut Dice) -> f64 {
    let spread: f64 = (0..12).map(|_| uniform(dice)).sum::<f64>() - 6.0;
    let disturbed = if uniform(dice) < 0.1 { 1.0 - 0.15 * uniform(dice) } else { 1.0 };
    100_000.0 * (1.0 + 0.01 * spread) * disturbed
}

#[test]
fn the_interval_of_a_median_is_two_of_the_runs() {
    // From tables of the sign test: 1 - 2 / 2^6, and 1 - 2 (1 + 10) / 2^10.
    let six = median(&[3.0, 1.0, 2.0, 6.0, 5.0, 4.0]).unwrap();
    assert_eq!((six.low, six.estimate, six.high), (1.0, 3.5, 6.0));
    assert!((six.confidence - 0.96875).abs() < 1e-12);
    let runs: Vec<f64> = (1..=10).map(f64::from).collect();
    let ten = median(&runs).unwrap();
    assert_eq!((ten.low, ten.estimate, ten.high), (2.0, 5.5, 9.0));
    assert!((ten.confidence - 0.978_515_625).abs() < 1e-12);
    assert_eq!(median(&[1.0; 5]), None, "five are too few");
    assert_eq!(median(&[1.0, 2.0, 3.0, 4.0, 5.0, f64::NAN]), None);
}

#[test]
fn the_signed_ranks_are_those_of_the_tables() {
    // n = 8: a sum of at most 3 has probability 5 / 256, of at most 4 it has 7 / 256.
    let of_eight = signed_rank(8);
    assert!((of_eight[..=3].iter().sum::<f64>() - 5.0 / 256.0).abs() < 1e-12);
    assert!((of_eight[..=4].iter().sum::<f64>() - 7.0 / 256.0).abs() < 1e-12);
    assert!((of_eight.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let of_most = signed_rank(PAIRS_MAX);
    assert!((of_most.iter().sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn a_ratio_is_the_median_of_the_walsh_averages() {
    // Differences of the logarithms: 1 to 8. The averages of all pairs of them have the median 4.5, and the interval
    // leaves out three at either end.
    let pairs: Vec<(f64, f64)> = (1..=8).map(|of| (1.0, f64::from(of).exp())).collect();
    let found = ratio(&pairs).unwrap();
    assert!((found.estimate.ln() - 4.5).abs() < 1e-9, "{found:?}");
    assert!((found.low.ln() - 2.0).abs() < 1e-9 && (found.high.ln() - 7.0).abs() < 1e-9, "{found:?}");
    assert!((found.confidence - (1.0 - 10.0 / 256.0)).abs() < 1e-12);
    assert_eq!(ratio(&pairs[..7]), None, "seven are too few");
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut pairs = pairs.clone();
        pairs[3].1 = wrong;
        assert_eq!(ratio(&pairs), None, "{wrong}");
    }
}

#[test]
fn a_difference_must_be_sure_and_worth_it() {
    let of = |low, estimate, high| Interval { low, estimate, high, confidence: 0.96 };
    let judged = |ratio| [Good::More, Good::Less].map(|good| Comparison::of(&ratio, good, EFFECT_MIN));
    assert_eq!(judged(of(1.01, 1.03, 1.05)), [Comparison::Better, Comparison::Worse]);
    assert_eq!(judged(of(0.94, 0.96, 0.99)), [Comparison::Worse, Comparison::Better]);
    for unsure in [of(0.99, 1.03, 1.06), of(0.90, 0.96, 1.0), of(1.005, 1.01, 1.019), of(0.982, 0.99, 0.999)]
    {
        assert_eq!(judged(unsure), [Comparison::CannotTell; 2], "{unsure:?}");
    }
}

#[test]
fn every_pair_has_one_of_each_and_each_block_begins_and_ends_alike() {
    let (mut seen, mut starts) = (0, std::collections::BTreeSet::new());
    for seed in 0..20 {
        let order = order(8, seed);
        assert_eq!(order.len(), 16);
        for block in order.chunks(4) {
            assert!(block[0] == block[3] && block[1] == block[2] && block[0] != block[1]);
            seen += usize::from(block[0] == Side::A);
        }
        starts.insert(order.iter().map(|side| *side == Side::A).collect::<Vec<_>>());
        let figures: Vec<f64> = order.iter().map(|side| if *side == Side::A { 1.0 } else { 2.0 }).collect();
        assert_eq!(pairs(&order, &figures), [(1.0, 2.0); 8]);
    }
    assert!((20..60).contains(&seen) && starts.len() > 8, "{seen} of 80 blocks begin with A");
}

/// A comparison of a thing with itself, on a machine that gets slower by a fifth meanwhile.
fn compared(effect: f64, seed: u64) -> Comparison {
    let mut dice = Dice::new(!seed);
    let order = order(PAIRS_MIN, seed);
    let figures: Vec<f64> = (order.iter().enumerate())
        .map(|(at, side)| {
            let drift = 1.0 - 0.2 * at as f64 / order.len() as f64;
            noisy(&mut dice) * drift * if *side == Side::B { 1.0 + effect } else { 1.0 }
        })
        .collect();
    let ratio = ratio(&pairs(&order, &figures)).unwrap();
    Comparison::of(&ratio, Good::More, EFFECT_MIN)
}

#[test]
fn a_thing_is_no_better_than_itself_and_a_real_difference_is_found() {
    let told = |effect, wanted| (0..1_000).filter(|seed| compared(effect, *seed) == wanted).count();
    let (alike, better) = (told(0.0, Comparison::CannotTell), told(0.1, Comparison::Better));
    assert!(alike >= 950, "{alike} of 1,000");
    assert!(better >= 850, "{better} of 1,000");
    assert!(told(-0.1, Comparison::Worse) >= 850);
}

proptest! {
    #[test]
    fn an_interval_holds_its_estimate_and_turns_with_its_sides(
        figures in prop::collection::vec((0.1_f64..1e6, 0.1_f64..1e6), PAIRS_MIN..40)
    ) {
        let found = ratio(&figures).unwrap();
        prop_assert!(found.low <= found.estimate && found.estimate <= found.high);
        prop_assert!(found.confidence >= CONFIDENCE);
        let turned: Vec<_> = figures.iter().map(|(a, b)| (*b, *a)).collect();
        let turned = ratio(&turned).unwrap();
        prop_assert!((turned.estimate * found.estimate - 1.0).abs() < 1e-9);
        prop_assert!((turned.low * found.high - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_median_lies_in_its_interval(runs in prop::collection::vec(-1e6_f64..1e6, RUNS_MIN..60)) {
        let found = median(&runs).unwrap();
        prop_assert!(found.low <= found.estimate && found.estimate <= found.high);
        prop_assert!(found.confidence >= CONFIDENCE);
    }
}
