use crate::silences::Silence;

use super::*;

fn calm() -> Seen {
    Seen {
        now: Duration::from_secs(100),
        unix: 1_000_000,
        me: 0,
        is_member: true,
        members: 4,
        quorum: 3,
        connected: vec![1, 2, 3],
        behind: Some(0),
        free: Some(1 << 40),
        memory: Some(Memory { available: 8 << 30, of: 16 << 30 }),
        certificate_until: Some(1_000_000 + 31 * DAY),
        ..Seen::default()
    }
}

/// What is found of the second sight, so many seconds after the first.
fn found(first: &Seen, second: Seen, seconds: u64) -> Vec<(AlarmKind, Option<u16>)> {
    let mut past = Past::default();
    past.judge(first);
    let later = Seen { now: first.now + Duration::from_secs(seconds), ..second };
    past.judge(&later).into_iter().map(|((kind, about), _)| (kind, about.map(|of| of.0))).collect()
}

#[test]
fn nothing_is_said_of_a_validator_that_is_well() {
    assert_eq!(found(&calm(), calm(), 1_000), []);
    let observer = Seen { is_member: false, me: 4, connected: vec![0, 1, 2, 3], ..calm() };
    assert_eq!(found(&observer.clone(), observer, 1_000), []);
    let alone = Seen { members: 1, quorum: 1, connected: Vec::new(), ..calm() };
    assert_eq!(found(&alone.clone(), alone, 1_000), []);
}

#[test]
fn who_is_missing_is_told_and_whether_the_others_are_enough() {
    let one = Seen { connected: vec![1, 2], ..calm() };
    assert_eq!(found(&one.clone(), one.clone(), 2), [], "it may be back in a moment");
    let edge = [(AlarmKind::QuorumAtEdge, None), (AlarmKind::PeerUnreachable, Some(3))];
    assert_eq!(found(&one.clone(), one.clone(), 3), edge);
    let two = Seen { connected: vec![1], ..calm() };
    let lost = (AlarmKind::QuorumLost, None);
    let both = [lost, (AlarmKind::PeerUnreachable, Some(2)), (AlarmKind::PeerUnreachable, Some(3))];
    assert_eq!(found(&two.clone(), two, 3), both);
    assert_eq!(found(&one, calm(), 3), [], "it is back");
    let seven = Seen { members: 7, quorum: 5, connected: vec![1, 2, 3, 4, 5], ..calm() };
    assert_eq!(found(&seven.clone(), seven, 3), [(AlarmKind::PeerUnreachable, Some(6))], "two more may fail");
    let starting = Seen { now: Duration::ZERO, connected: Vec::new(), ..calm() };
    assert_eq!(found(&starting.clone(), starting, 9), [], "it has just begun to call the others");
}

#[test]
fn transactions_that_wait_without_a_block_are_told() {
    let waiting = Seen { pending: 3, committed: 7, ..calm() };
    assert_eq!(found(&waiting.clone(), waiting.clone(), 4), []);
    assert_eq!(found(&waiting.clone(), waiting.clone(), 5), [(AlarmKind::NoCommits, None)]);
    assert_eq!(found(&waiting.clone(), Seen { committed: 8, ..waiting.clone() }, 5), [], "blocks come");
    assert_eq!(found(&waiting.clone(), Seen { pending: 0, ..waiting }, 5), [], "nothing waits");
}

#[test]
fn each_other_trouble_is_told_by_itself() {
    type Spoil = fn(&mut Seen);
    let cases: [(AlarmKind, Spoil); 9] = [
        (AlarmKind::Lagging, |seen| seen.behind = Some(BEHIND_MAX + 1)),
        (AlarmKind::CannotCatchUp, |seen| seen.needs = Some("height 7".to_owned())),
        (AlarmKind::StreamLost, |seen| seen.stream_lost = true),
        (AlarmKind::VotesForgotten, |seen| seen.votes_forgotten = true),
        (AlarmKind::DiskFills, |seen| seen.free = Some(ROOM_LOW_BYTES - 1)),
        (AlarmKind::MemoryLow, |seen| seen.memory = Some(Memory { available: 1 << 20, of: 1 << 30 })),
        (AlarmKind::DiskRots, |seen| seen.rotten = 1),
        (AlarmKind::BackendFallback, |seen| seen.fallback = Some("it is forbidden".to_owned())),
        (AlarmKind::CertificateEnds, |seen| seen.certificate_until = Some(seen.unix + 30 * DAY)),
    ];
    for (kind, spoil) in cases {
        let mut seen = calm();
        spoil(&mut seen);
        assert_eq!(found(&calm(), seen, 1), [(kind, None)]);
    }
    let judged = |seen: Seen| Past::default().judge(&seen).remove(0).1.0;
    assert_eq!(judged(Seen { free: Some(1), ..calm() }), Severity::Critical);
    assert_eq!(judged(Seen { certificate_until: Some(1), ..calm() }), Severity::Critical);
}

#[test]
fn another_process_with_this_identity_is_told_of_for_a_while() {
    let mut past = Past::default();
    let met = |seconds: u64, clones: &[(u16, u64)]| Seen {
        now: Duration::from_secs(100 + seconds),
        clones: clones.iter().copied().collect(),
        ..calm()
    };
    let of = |index| (AlarmKind::ClonedIdentity, Some(ValidatorIndex(index)));
    let mut told = |seen: Seen| past.judge(&seen).into_iter().map(|(what, _)| what).collect::<Vec<_>>();
    assert_eq!(told(met(0, &[(2, 2)])), [of(2)]);
    assert_eq!(told(met(200, &[(0, 1), (2, 2)])), [of(0), of(2)], "of this validator, too");
    assert_eq!(told(met(299, &[(0, 1), (2, 2)])), [of(0), of(2)]);
    assert_eq!(told(met(300, &[(0, 1), (2, 2)])), [of(0)]);
    assert_eq!(told(met(500, &[(0, 1), (2, 2)])), []);
    assert_eq!(told(met(501, &[(0, 1), (2, 3)])), [of(2)], "it is there again");
}

#[test]
fn an_alarm_keeps_the_time_at_which_it_was_raised() {
    let (board, none) = (Board::default(), Silences::default());
    let finding = |severity| ((AlarmKind::DiskFills, None), (severity, "little".to_owned()));
    board.update(vec![finding(Severity::Warning)], &none, 5);
    board.update(vec![finding(Severity::Critical)], &none, 9);
    let [alarm] = &board.now()[..] else { panic!("one") };
    assert_eq!((alarm.since, alarm.severity), (5, Severity::Critical));
    board.update(Vec::new(), &none, 10);
    assert_eq!(board.now(), []);
    board.update(vec![finding(Severity::Warning)], &none, 11);
    assert_eq!(board.now()[0].since, 11, "it is another one");
}

#[test]
fn a_silenced_alarm_is_shown_with_its_silence_until_that_ends() {
    let (board, mut silences) = (Board::default(), Silences::default());
    let silence =
        Silence { alarm: AlarmKind::DiskFills, about: None, until: 20, reason: "a disk comes".into() };
    silences.add(silence, 5).unwrap();
    let finding = || vec![((AlarmKind::DiskFills, None), (Severity::Warning, "little".to_owned()))];
    board.update(finding(), &silences, 5);
    let silenced = board.now()[0].silenced.clone().expect("it is silenced");
    assert_eq!((silenced.until, silenced.reason.as_str()), (20, "a disk comes"));
    board.update(finding(), &silences, 20);
    assert_eq!((board.now()[0].since, &board.now()[0].silenced), (5, &None));
}

#[test]
fn a_device_that_is_out_is_told_of_and_so_are_too_many_devices() {
    let out = (Severity::Warning, "none is there".to_owned());
    assert_eq!(found(&calm(), Seen { device: Some(out), ..calm() }, 1), [(AlarmKind::DeviceOut, None)]);
    let four = |by_device: &[u16]| Seen { by_device: by_device.to_vec(), ..calm() };
    assert_eq!(calm().members, 4, "one of which may be faulty");
    assert_eq!(found(&calm(), four(&[2]), 1), []);
    assert_eq!(found(&calm(), four(&[0, 2]), 1), [(AlarmKind::DevicesDecide, None)]);
}

#[test]
fn the_page_has_every_alarm_and_no_other() {
    let page = include_str!("../../../../docs/ALARMS.md");
    let told: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`')).collect();
    let known: Vec<&str> = AlarmKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(told, known);
}
