use std::time::Duration;

use proptest::prelude::*;

use super::fair::{FairQueue, QUANTUM};
use super::lane::{BUSY_FOR, BUSY_PACKETS, LINGER_PACKETS};
use super::*;
use crate::availability::tests::batch_after;
use crate::limits::PACKET_BYTES;
use crate::types::{Head, Packet};

const AT_ONCE: Duration = Duration::ZERO;
/// Nothing in a test takes so long, unless it hangs.
const LONG: Duration = Duration::from_secs(600);

fn of(connection: u64, tag: u64, packets: usize) -> Submission {
    let packets = PacketSlab::copy_from(&vec![Packet([tag as u8; 128]); packets]);
    Submission { connection, tag, received_us: 5, packets, tell: false, hold: None }
}

fn submission(tag: u64, packets: usize) -> Submission {
    of(1, tag, packets)
}

fn batch(packets: usize) -> PeerBatch {
    let from = ValidatorIndex(1);
    let batch = batch_after(from, &Head::NONE, packets, 0).into_inner();
    PeerBatch { from, pushed: true, batch, hold: None }
}

fn bounds(packets: usize) -> Bounds {
    Bounds { submission_bytes_max: packets * PACKET_BYTES, batch_bytes_max: packets * PACKET_BYTES }
}

fn take(intake: &Intake, packets_max: usize) -> Round {
    intake.take(packets_max, AT_ONCE, || AT_ONCE).unwrap()
}

fn tags(round: &Round) -> Vec<u64> {
    round.submissions.iter().map(|submission| submission.tag).collect()
}

/// Until so many threads are parked and so many linger.
fn until_resting(intake: &Intake, resting: (usize, usize)) {
    while intake.0.resting() != resting {
        std::thread::yield_now();
    }
}

#[test]
fn submissions_come_out_whole_and_in_order() {
    let (submissions, _batches, intake) = open(bounds(100));
    for tag in 0..3 {
        submissions.offer(submission(tag, 10)).unwrap();
    }
    let round = take(&intake, 20);
    assert_eq!((tags(&round), round.packets()), (vec![0, 1], 20));
    assert_eq!(round.submissions[1].packets.packets(), [Packet([1; 128]); 10]);
    assert_eq!(tags(&take(&intake, 20)), [2]);
    assert!(take(&intake, 20).is_empty());
}

#[test]
fn what_does_not_fit_is_given_back_and_counted_and_is_nobody_elses_trouble() {
    let (submissions, _batches, intake) = open(bounds(20));
    for (tag, packets) in [(0, 9), (1, 5), (2, 7)] {
        assert!(submissions.offer(submission(tag, packets)).unwrap().is_empty());
    }
    let refused = submissions.offer(submission(3, 1)).unwrap_err();
    assert_eq!(refused.refusal(), Refusal::Busy);
    assert!(matches!(refused, Refused::Full(Submission { tag: 3, .. })));
    let evicted = submissions.offer(of(2, 4, 5)).unwrap();
    assert_eq!(evicted.iter().map(|item| (item.connection, item.tag)).collect::<Vec<_>>(), [(1, 2)]);
    let counters = LaneCounters { accepted_packets: 26, shed_packets: 1 + 7, queued_bytes: 19 * 128 };
    assert_eq!(submissions.counters(), counters);
    assert_eq!(take(&intake, 1).packets(), 9, "never less than one item");
    assert_eq!(submissions.counters().queued_bytes, 10 * 128);
    submissions.offer(submission(5, 7)).unwrap();
}

#[test]
fn each_lane_is_sure_of_half_a_round() {
    let (submissions, batches, intake) = open(bounds(1000));
    for tag in 0..20 {
        submissions.offer(submission(tag, 10)).unwrap();
        batches.offer(batch(10)).unwrap();
    }
    let round = take(&intake, 40);
    assert_eq!((round.batches.len(), round.submissions.len()), (2, 2));
    let (submissions, batches, intake) = open(bounds(1000));
    for tag in 0..4 {
        batches.offer(batch(10)).unwrap();
        submissions.offer(submission(tag, 1)).unwrap();
    }
    let round = take(&intake, 40);
    assert_eq!(
        (round.batches.len(), round.submissions.len()),
        (4, 4),
        "what one lane does not need the other gets"
    );
}

#[test]
fn the_end_is_seen_after_everything_is_taken() {
    let (submissions, batches, intake) = open(bounds(100));
    submissions.offer(submission(0, 1)).unwrap();
    batches.offer(batch(1)).unwrap();
    drop(submissions);
    assert_eq!(take(&intake, 10).packets(), 2);
    assert!(intake.take(10, AT_ONCE, || AT_ONCE).is_some(), "peers may still send");
    let others = batches.clone();
    drop(batches);
    others.offer(batch(1)).unwrap();
    drop(others);
    assert_eq!(take(&intake, 10).packets(), 1);
    assert!(intake.take(10, LONG, || AT_ONCE).is_none());
}

#[test]
fn nobody_takes_from_a_lane_whose_intake_is_gone_and_nothing_is_held() {
    let (submissions, _batches, intake) = open(bounds(100));
    let hold: Arc<dyn Any + Send + Sync> = Arc::new(());
    submissions.offer(Submission { hold: Some(Arc::clone(&hold)), ..submission(0, 1) }).unwrap();
    let other = intake.clone();
    drop(intake);
    submissions.offer(submission(0, 1)).unwrap();
    drop(other);
    let refused = submissions.offer(submission(0, 1)).unwrap_err();
    assert_eq!(refused.refusal(), Refusal::Stopping);
    assert_eq!(Arc::strong_count(&hold), 1, "budgets are given back");
}

#[test]
fn a_waiting_taker_is_woken_by_either_lane_and_by_the_end() {
    let (submissions, batches, intake) = open(bounds(100));
    let taker = |intake: &Intake| {
        let intake = intake.clone();
        std::thread::spawn(move || intake.take(10, LONG, || AT_ONCE).map(|round| round.packets()))
    };
    let waiting = taker(&intake);
    until_resting(&intake, (1, 0));
    batches.offer(batch(3)).unwrap();
    assert_eq!(waiting.join().unwrap(), Some(3));
    let waiting = taker(&intake);
    until_resting(&intake, (1, 0));
    submissions.offer(submission(0, 4)).unwrap();
    assert_eq!(waiting.join().unwrap(), Some(4));
    let waiting = [taker(&intake), taker(&intake)];
    until_resting(&intake, (2, 0));
    drop(submissions);
    drop(batches);
    assert_eq!(waiting.map(|thread| thread.join().unwrap()), [None, None]);
}

/// Whether a small round would linger that is taken so long after one of so many packets.
fn lingers(last_packets: usize, pause: Duration, waiting: usize) -> bool {
    let (submissions, _batches, intake) = open(bounds(100_000));
    submissions.offer(submission(0, last_packets)).unwrap();
    take(&intake, 4096);
    submissions.offer(submission(1, waiting)).unwrap();
    intake.0.would_linger(pause)
}

#[test]
fn a_round_waits_for_company_only_when_it_is_small_and_much_was_there_just_now() {
    assert!(lingers(BUSY_PACKETS, BUSY_FOR, LINGER_PACKETS - 1));
    assert!(!lingers(BUSY_PACKETS - 1, BUSY_FOR, LINGER_PACKETS - 1), "little to do: it answers at once");
    assert!(!lingers(BUSY_PACKETS, BUSY_FOR + Duration::from_micros(1), LINGER_PACKETS - 1), "long ago");
    assert!(!lingers(BUSY_PACKETS, BUSY_FOR, LINGER_PACKETS), "enough is there");
    let (submissions, _batches, intake) = open(bounds(100_000));
    submissions.offer(submission(0, 1)).unwrap();
    assert!(!intake.0.would_linger(AT_ONCE), "the first round ever");
}

#[test]
fn a_round_that_lingers_ends_with_what_there_is_or_with_enough() {
    let (submissions, batches, intake) = open(bounds(100_000));
    submissions.offer(submission(0, 1000)).unwrap();
    take(&intake, 4096);
    submissions.offer(submission(1, 5)).unwrap();
    assert_eq!(take(&intake, 4096).packets(), 5, "nothing more came");
    // However long the threads take, everything comes out once.
    let total: usize = std::thread::scope(|threads| {
        let takers = [(); 2].map(|()| {
            threads.spawn(|| {
                let mut packets = 0;
                while let Some(round) = intake.take(4096, LONG, || AT_ONCE) {
                    packets += round.packets();
                }
                packets
            })
        });
        for tag in 0..200 {
            submissions.offer(submission(tag, 100)).unwrap();
        }
        drop((submissions, batches));
        takers.map(|taker| taker.join().unwrap()).iter().sum()
    });
    assert_eq!(total, 20_000);
}

#[test]
fn an_empty_queue_leaves_no_trace() {
    let mut fair = FairQueue::new(1 << 20);
    for connection in 0..1000 {
        fair.offer(of(connection, 0, 1)).unwrap();
        fair.offer(of(connection, 0, 0)).unwrap();
        assert_eq!(fair.sources(), 1);
        fair.take(100, &mut Vec::new());
        assert_eq!((fair.sources(), fair.bytes(), fair.packets()), (0, 0, 0));
    }
}

#[test]
fn one_that_is_cut_off_leaves_nothing_and_the_others_what_they_had() {
    let (submissions, _batches, intake) = open(bounds(1000));
    for tag in 0..30 {
        submissions.offer(of(tag % 3, tag, 5)).unwrap();
    }
    intake.discard(Source::Connection(1));
    intake.discard(Source::Connection(9));
    assert_eq!(submissions.counters().queued_bytes, 20 * 5 * 128);
    let round = take(&intake, 1000);
    assert_eq!(round.submissions.iter().filter(|submission| submission.connection == 1).count(), 0);
    assert_eq!(round.packets(), 100);
}

#[test]
fn however_many_flood_one_more_gets_its_part_of_the_room() {
    let mut fair = FairQueue::new(1000 * PACKET_BYTES);
    for flooding in 0..50 {
        for _ in 0..2000 {
            let _turned_away = fair.offer(of(flooding, 0, 1));
        }
    }
    let mut evicted = 0;
    for _ in 0..1000_usize.div_ceil(51) {
        evicted += fair.offer(of(99, 0, 1)).unwrap().iter().filter(|item| item.connection < 50).count();
    }
    assert_eq!(evicted, 20);
    fair.offer(of(99, 0, 1)).unwrap_err();
    assert_eq!((fair.bytes(), fair.sources()), (1000 * PACKET_BYTES, 51));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One floods with whatever sizes it likes, the others always have something waiting: in any prefix of rounds each
    /// of them has had what the flooding one had, but for a turn and two items.
    #[test]
    fn a_flood_gets_its_share_and_no_more(
        honest in proptest::collection::vec(20..400_usize, 1..12),
        flood in proptest::collection::vec(1..4097_usize, 1..8),
        round_packets in 1..2000_usize,
    ) {
        let mut fair = FairQueue::new(usize::MAX);
        let largest = honest.iter().chain(&flood).copied().max().unwrap_or(1);
        let mut served = vec![0; honest.len() + 1];
        let made = |source: usize| honest.get(source).map_or(&flood[..], std::slice::from_ref);
        let items: Vec<Vec<Submission>> =
            (0..=honest.len()).map(|at| made(at).iter().map(|size| of(at as u64, 0, *size)).collect()).collect();
        let offer = |fair: &mut FairQueue<Submission>, source: usize, nth: usize| {
            fair.offer(items[source][nth % items[source].len()].clone()).unwrap();
        };
        // More than a round can take from one of them.
        for source in 0..=honest.len() {
            let packets = honest.get(source).copied().unwrap_or(100);
            (0..8000_usize.div_ceil(packets)).for_each(|nth| offer(&mut fair, source, nth));
        }
        for nth in 0..40 {
            let mut round = Vec::new();
            fair.take(round_packets, &mut round);
            prop_assert!(!round.is_empty());
            for item in round {
                served[item.connection as usize] += item.packets();
                // What was taken is replaced, so that everybody goes on waiting.
                offer(&mut fair, item.connection as usize, nth);
            }
            let flooded = served[honest.len()];
            for had in &served {
                prop_assert!(had + QUANTUM + 2 * largest >= flooded, "{served:?}");
            }
        }
    }

    /// Nothing is lost, doubled or reordered within a source, whatever comes and goes.
    #[test]
    fn everything_let_in_comes_out_once_and_in_order(
        steps in proptest::collection::vec((0..6_u64, 0..300_usize, any::<bool>()), 0..200),
    ) {
        let mut fair = FairQueue::new(2000 * PACKET_BYTES);
        let (mut let_in, mut out): (Vec<(u64, u64)>, Vec<Submission>) = Default::default();
        for (tag, (connection, packets, takes)) in (0..).zip(steps) {
            if let Ok(evicted) = fair.offer(of(connection, tag, packets)) {
                let_in.push((connection, tag));
                let_in.retain(|known| !evicted.iter().any(|item| (item.connection, item.tag) == *known));
            }
            prop_assert!(fair.bytes() <= (2000 + 300) * PACKET_BYTES);
            if takes {
                fair.take(packets, &mut out);
            }
        }
        fair.take(usize::MAX, &mut out);
        prop_assert_eq!((fair.bytes(), fair.packets(), fair.sources()), (0, 0, 0));
        let mut out: Vec<_> = out.iter().map(|item| (item.connection, item.tag)).collect();
        // A stable sort: the order within a source is that in which it came out.
        out.sort_by_key(|(connection, _)| *connection);
        let_in.sort_by_key(|(connection, _)| *connection);
        prop_assert_eq!(out, let_in);
    }
}

#[test]
fn another_bound_holds_for_those_that_come_then() {
    let (submissions, _batches, intake) = open(bounds(10));
    submissions.offer(submission(0, 10)).unwrap();
    assert!(submissions.offer(submission(1, 1)).is_err());
    submissions.set_bytes_max(20 * PACKET_BYTES);
    submissions.offer(submission(1, 10)).unwrap();
    submissions.set_bytes_max(5 * PACKET_BYTES);
    assert!(submissions.offer(submission(2, 1)).is_err());
    assert_eq!(tags(&take(&intake, 100)), [0, 1], "what waits stays");
    submissions.offer(submission(2, 1)).unwrap();
}
