use std::time::Duration;

use super::*;
use crate::types::Packet;

const NOW: Duration = Duration::ZERO;

fn submission(tag: u64, packets: usize) -> Submission {
    let packets = PacketSlab::copy_from(&vec![Packet([tag as u8; 128]); packets]);
    Submission { connection: 1, tag, received_us: 5, packets, hold: None }
}

fn batch(packets: usize) -> PeerBatch {
    let bytes = vec![0; BATCH_HEADER_BYTES + packets * PACKET_BYTES].into();
    PeerBatch { from: ValidatorIndex(1), received_us: 5, bytes, hold: None }
}

fn bounds(packets: usize) -> Bounds {
    Bounds { submission_bytes_max: packets * PACKET_BYTES, batch_bytes_max: packets * PACKET_BYTES }
}

fn tags(round: &Round) -> Vec<u64> {
    round.submissions.iter().map(|submission| submission.tag).collect()
}

#[test]
fn submissions_come_out_whole_and_in_order() {
    let (submissions, _batches, intake) = open(bounds(100));
    for tag in 0..3 {
        submissions.offer(submission(tag, 10)).unwrap();
    }
    let round = intake.take(20, NOW).unwrap();
    assert_eq!((tags(&round), round.packets()), (vec![0, 1], 20));
    assert_eq!(round.submissions[1].packets.packets(), [Packet([1; 128]); 10]);
    assert_eq!(tags(&intake.take(20, NOW).unwrap()), [2]);
    assert!(intake.take(20, NOW).unwrap().is_empty());
}

#[test]
fn what_does_not_fit_is_given_back_and_counted() {
    let (submissions, _batches, intake) = open(bounds(20));
    submissions.offer(submission(0, 19)).unwrap();
    submissions.offer(submission(1, 5)).unwrap();
    let refused = submissions.offer(submission(2, 7)).unwrap_err();
    assert_eq!(refused.refusal(), Refusal::Busy);
    assert!(matches!(refused, Refused::Full(Submission { tag: 2, .. })));
    let counters = LaneCounters { accepted_packets: 24, shed_packets: 7, queued_bytes: 24 * 128 };
    assert_eq!(submissions.counters(), counters);
    assert_eq!(intake.take(1, NOW).unwrap().packets(), 19, "never less than one item");
    submissions.offer(submission(3, 7)).unwrap();
    assert_eq!(submissions.counters().queued_bytes, 12 * 128);
}

#[test]
fn each_lane_is_sure_of_half_a_round() {
    let (submissions, batches, intake) = open(bounds(1000));
    for tag in 0..20 {
        submissions.offer(submission(tag, 10)).unwrap();
        batches.offer(batch(10)).unwrap();
    }
    let round = intake.take(40, NOW).unwrap();
    assert_eq!((round.batches.len(), round.submissions.len()), (2, 2));
    let (submissions, batches, intake) = open(bounds(1000));
    for tag in 0..4 {
        batches.offer(batch(10)).unwrap();
        submissions.offer(submission(tag, 1)).unwrap();
    }
    let round = intake.take(40, NOW).unwrap();
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
    assert_eq!(intake.take(10, NOW).unwrap().packets(), 2);
    assert!(intake.take(10, NOW).is_some(), "peers may still send");
    batches.offer(batch(1)).unwrap();
    drop(batches);
    assert_eq!(intake.take(10, NOW).unwrap().packets(), 1);
    let mut rounds = 0;
    while intake.take(10, NOW).is_some() {
        rounds += 1;
        assert!(rounds < 3, "the end comes");
    }
}

#[test]
fn nobody_takes_from_a_lane_whose_intake_is_gone() {
    let (submissions, _batches, intake) = open(bounds(100));
    drop(intake);
    let refused = submissions.offer(submission(0, 1)).unwrap_err();
    assert_eq!(refused.refusal(), Refusal::Stopping);
    assert_eq!(submissions.counters(), LaneCounters::default());
}

#[test]
fn a_waiting_taker_is_woken_by_either_lane() {
    let (submissions, batches, intake) = open(bounds(100));
    let other = intake.clone();
    let taker = std::thread::spawn(move || other.take(10, Duration::from_secs(600)).unwrap().packets());
    batches.offer(batch(3)).unwrap();
    assert_eq!(taker.join().unwrap(), 3);
    let taker = std::thread::spawn(move || intake.take(10, Duration::from_secs(600)).unwrap().packets());
    submissions.offer(submission(0, 4)).unwrap();
    assert_eq!(taker.join().unwrap(), 4);
}
