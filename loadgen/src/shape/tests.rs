use super::*;
use proptest::prelude::*;

fn instants(shape: &Shape, arrivals: Arrivals, seconds: u64, count: u64) -> Vec<u64> {
    Instants::new((shape, arrivals), 5_000_000, seconds, count, 7).collect()
}

/// How many lie in each second.
fn by_second(instants: &[u64], seconds: usize) -> Vec<usize> {
    let mut counts = vec![0; seconds];
    for instant in instants {
        counts[((instant - 5_000_000) / 1_000_000) as usize] += 1;
    }
    counts
}

#[test]
fn a_constant_rate_has_equal_distances() {
    let all = instants(&Shape::Constant, Arrivals::Even, 2, 2_000);
    assert_eq!(all, (0..2_000).map(|at| 5_000_000 + at * 1_000).collect::<Vec<_>>());
}

#[test]
fn each_shape_spreads_the_same_number_as_it_says() {
    let even = |shape: &Shape| by_second(&instants(shape, Arrivals::Even, 10, 10_000), 10);
    let ramp = even(&Shape::Ramp { from: 0.0, to: 2.0 });
    assert!((ramp[0] as i64 - 100).abs() <= 5 && (ramp[9] as i64 - 1_900).abs() <= 5, "{ramp:?}");
    assert_eq!(
        even(&Shape::Steps(vec![1.0, 3.0])),
        [500, 500, 500, 500, 500, 1_500, 1_500, 1_500, 1_500, 1_500]
    );
    let burst = even(&Shape::Burst { times: 6.0, seconds: 1, every: 5 });
    assert_eq!(burst, [3_000, 500, 500, 500, 500, 3_000, 500, 500, 500, 500]);
    let trace = even(&Shape::Trace(vec![0.0, 1.0, 0.0, 0.0, 1.0]));
    assert_eq!(trace, [0, 0, 2_500, 2_500, 0, 0, 0, 0, 2_500, 2_500], "a part of 0 is silent");
}

#[test]
fn drawn_arrivals_are_as_many_and_their_gaps_are_exponential() {
    let all = instants(&Shape::Constant, Arrivals::Poisson, 10, 100_000);
    assert_eq!(all.len(), 100_000);
    assert_eq!(all, instants(&Shape::Constant, Arrivals::Poisson, 10, 100_000), "the seed decides");
    let gaps: Vec<f64> = all.windows(2).map(|of| (of[1] - of[0]) as f64).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
    assert!((mean - 100.0).abs() < 1.0 && (deviation - 100.0).abs() < 3.0, "{mean} and {deviation} us");
    // Of an exponential distribution a share of 1/e is above the mean.
    let above = gaps.iter().filter(|gap| **gap > mean).count() as f64 / gaps.len() as f64;
    assert!((above - (-1.0_f64).exp()).abs() < 0.01, "{above}");
    // The shape holds for them, too.
    let stepped = instants(&Shape::Steps(vec![1.0, 3.0]), Arrivals::Poisson, 10, 100_000);
    let first = stepped.iter().filter(|instant| **instant < 10_000_000).count();
    assert!((24_000..26_000).contains(&first), "{first}");
}

#[test]
fn the_peak_is_a_multiple_of_the_mean() {
    let peak = |shape: Shape| shape.peak(10);
    assert!((peak(Shape::Constant) - 1.0).abs() < 1e-9);
    assert!((peak(Shape::Steps(vec![1.0, 3.0])) - 1.5).abs() < 1e-9);
    assert!((peak(Shape::Burst { times: 6.0, seconds: 1, every: 5 }) - 3.0).abs() < 1e-9);
}

#[test]
fn shapes_that_are_no_load_are_refused_with_what_to_do() {
    for good in [
        Shape::Constant,
        Shape::Ramp { from: 0.0, to: 1.0 },
        Shape::Steps(vec![0.0, 1.0]),
        Shape::Burst { times: 3.0, seconds: 1, every: 10 },
        Shape::Trace(vec![1.0; PARTS_MAX]),
    ] {
        assert!(good.check(10).is_ok(), "{good}");
    }
    for (bad, says) in [
        (Shape::Steps(vec![]), "1 to 86,400 parts"),
        (Shape::Trace(vec![1.0; PARTS_MAX + 1]), "1 to 86,400 parts"),
        (Shape::Steps(vec![0.0, 0.0]), "not all of them are 0"),
        (Shape::Ramp { from: -1.0, to: 1.0 }, "from 0 to 1e9"),
        (Shape::Steps(vec![f64::NAN]), "from 0 to 1e9"),
        (Shape::Burst { times: 2.0, seconds: 5, every: 5 }, "ends before the next"),
        (Shape::Burst { times: 2.0, seconds: 0, every: 5 }, "ends before the next"),
        (Shape::Burst { times: 2.0, seconds: 1, every: 11 }, "the window is shorter"),
    ] {
        let error = bad.check(10).unwrap_err().to_string();
        assert!(error.contains(says), "{bad}: {error}");
    }
}

proptest! {
    #[test]
    fn instants_are_in_order_and_in_the_window(
        weights in prop::collection::vec(0.0_f64..10.0, 1..50),
        poisson: bool,
        seconds in 1_u64..20,
        count in 1_u64..3_000,
    ) {
        let shape = Shape::Steps(weights);
        prop_assume!(shape.check(seconds).is_ok());
        let arrivals = if poisson { Arrivals::Poisson } else { Arrivals::Even };
        let all = instants(&shape, arrivals, seconds, count);
        prop_assert_eq!(all.len() as u64, count);
        prop_assert!(all.is_sorted());
        prop_assert!(all[0] >= 5_000_000 && all[all.len() - 1] < 5_000_000 + seconds * 1_000_000);
    }
}
