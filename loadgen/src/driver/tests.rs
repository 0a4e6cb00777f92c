mod server;

use super::clock::Lateness;
use crate::client_keys::ClientSeed;
use crate::outcome::{EndedEarly, LoadOutcome};
use crate::plan::{ChainLoad, LoadError, LoadPlan, Rate, Start, Traffic};
use crate::progress::{Live, Observer, Phase, Silent};
use crate::run;
use crate::shape::{Arrivals, Shape};
use engine::types::{
    Asset, ChainId, ChainKind, Content, Digest, Height, Outcome, PacketRun, Refusal, Verdict,
};
use server::Server;
use std::time::Duration;

const NETWORK: Digest = Digest([5; 32]);

fn plan(servers: &[Server], rate: Rate) -> LoadPlan {
    let endpoints = servers.iter().map(Server::endpoint).collect();
    let mut plan = LoadPlan::new(NETWORK, endpoints, ClientSeed([1; 32]));
    plan.chains = vec![ChainLoad {
        chain: ChainId(1),
        kind: ChainKind::Transfers,
        accounts: 64,
        balance: 1_000_000_000,
        asset: Asset::UNIT,
    }];
    plan.rate = rate;
    plan.seconds = 1;
    plan.warm_up = Duration::from_millis(200);
    plan
}

/// A chain that takes fingerprints.
fn register(chain: u32) -> ChainLoad {
    ChainLoad {
        chain: ChainId(chain),
        kind: ChainKind::Attestations,
        accounts: 64,
        balance: 0,
        asset: Asset::NONE,
    }
}

fn balanced(outcome: &LoadOutcome) {
    let t = outcome.tally();
    assert_eq!(t.offered, t.accepted + t.rejected_total() + t.timed_out, "{t:?}");
}

#[test]
fn everything_that_is_acknowledged_is_in_the_figures_and_in_the_trail() {
    let servers = [0, 1, 2].map(|_| Server::start(NETWORK, |_| Some(Verdict::Committed)));
    let outcome = run(&plan(&servers, Rate::Fixed(3_000.0)), &mut Silent).unwrap();
    balanced(&outcome);
    assert_eq!(outcome.tally().offered, 3_000);
    assert_eq!(outcome.tally().accepted, 3_000);
    assert!(outcome.latency().p50 > 0 && outcome.latency().max < 10_000_000);
    assert_eq!(outcome.strange_notices(), 0);
    assert!(outcome.lost.is_empty());
    // Each send of the window has its delay, whatever it was.
    assert!(outcome.send_delay().max > 0 && outcome.sent_tps() > 0.0);
    assert!((0.0..=1.0).contains(&outcome.late_sends()), "{}", outcome.late_sends());
    let received: Vec<_> = servers.iter().flat_map(|s| s.received()).collect();
    // The warm-up is acknowledged too, and the network is held to it as well.
    assert!(received.len() >= 3_500, "{}", received.len());
    assert_eq!(outcome.acknowledged().count(), received.len());
    let mut trail = outcome.trail();
    for packet in &received[1..] {
        trail.applied(packet.run());
    }
    assert_eq!((trail.missing(None), trail.duplicated, trail.foreign), (1, 0, 0));
    assert_eq!(trail.missing_ids(&NETWORK, None, 5), [received[0].id(&NETWORK)]);
    trail.applied(received[0].run());
    trail.applied(received[7].run());
    let mut forged = received[3];
    forged.0[40] ^= 1;
    trail.applied(forged.run());
    assert_eq!((trail.missing(None), trail.duplicated, trail.foreign), (0, 1, 1));
}

#[test]
fn a_shaped_window_offers_what_its_shape_says() {
    let servers = [0, 1].map(|_| Server::start(NETWORK, |_| Some(Verdict::Committed)));
    let mut plan = plan(&servers, Rate::Fixed(1_000.0));
    (plan.seconds, plan.shape, plan.arrivals) = (2, Shape::Steps(vec![1.0, 3.0]), Arrivals::Poisson);
    let outcome = run(&plan, &mut Silent).unwrap();
    balanced(&outcome);
    assert_eq!((outcome.tally().offered, outcome.tally().accepted), (2_000, 2_000));
    let offered: Vec<u64> = outcome.rows().iter().map(|row| row.offered).collect();
    assert!((400..600).contains(&offered[0]) && offered[0] + offered[1] == 2_000, "{offered:?}");
    plan.rate = Rate::Max;
    let error = run(&plan, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("give --rate"), "{error}");
}

#[test]
fn what_reaches_a_validator_is_signed_for_this_network_and_belongs_there() {
    let servers = [0, 1].map(|_| Server::start(NETWORK, |_| Some(Verdict::Committed)));
    run(&plan(&servers, Rate::Fixed(500.0)), &mut Silent).unwrap();
    for (lane, server) in servers.iter().enumerate() {
        for packet in server.received() {
            let key = ClientSeed([1; 32]).signing_key(packet.chain(), packet.debit()).public_key();
            assert!(kernels::ed25519::verify(&key, &packet.message(&NETWORK), packet.signature()));
            assert_eq!(packet.debit().0 % 2, lane as u64);
        }
    }
}

#[test]
fn transactions_of_several_packets_are_counted_once_and_found_in_the_trail() {
    for (traffic, share) in [(Traffic::Attest, 1.0), (Traffic::Mixed, 0.5)] {
        let servers = [0, 1].map(|_| Server::start(NETWORK, |_| Some(Verdict::Committed)));
        let mut plan = plan(&servers, Rate::Fixed(1_000.0));
        plan.chains.push(register(2));
        plan.chains.retain(|chain| traffic.kinds().contains(&chain.kind));
        (plan.traffic, plan.data_bytes) = (traffic, 300);
        let outcome = run(&plan, &mut Silent).unwrap();
        balanced(&outcome);
        assert_eq!((outcome.tally().offered, outcome.tally().accepted), (1_000, 1_000), "{traffic:?}");
        assert_eq!(outcome.strange_notices(), 0);
        let (mut trail, mut transactions, mut registered) = (outcome.trail(), 0, 0);
        for server in &servers {
            for run in PacketRun::all(&server.received()) {
                trail.applied(run);
                transactions += 1;
                if let Content::Attest(attest) = run.content().unwrap() {
                    // 342 bytes behind the first packet.
                    assert_eq!((run.packets().len(), attest.registrations.count()), (4, 1));
                    registered += 1;
                }
            }
        }
        assert_eq!((trail.missing(None), trail.duplicated, trail.foreign), (0, 0, 0));
        assert_eq!(trail.acknowledged, transactions);
        let found = f64::from(registered) / transactions as f64;
        assert!((found - share).abs() < 0.05, "{traffic:?}: {found}");
    }
}

#[test]
fn refusals_failures_and_silence_are_told_apart_and_add_up() {
    let server = Server::start(NETWORK, |tag| match tag % 4 {
        0 => Some(Verdict::Committed),
        1 => Some(Verdict::Refused(Refusal::BadSignature)),
        2 => Some(Verdict::Failed(Outcome::InsufficientBalance)),
        _ => None,
    });
    let servers = [server];
    let mut plan = plan(&servers, Rate::Fixed(1_000.0));
    plan.timeout = Duration::from_millis(1_500);
    let outcome = run(&plan, &mut Silent).unwrap();
    balanced(&outcome);
    let t = outcome.tally();
    assert_eq!((t.offered, t.timed_out), (1_000, 250));
    assert_eq!(t.rejected, [(Refusal::BadSignature, 250)]);
    assert_eq!(t.failed, [(Outcome::InsufficientBalance, 250)]);
    // Three of four never committed, so the 90th percentile is the time-out.
    assert!(outcome.latency().p90 >= 1_500_000 * 999 / 1_000);
}

#[test]
fn the_search_finds_a_rate_and_the_window_is_measured_at_it() {
    struct Phases(Vec<String>, u64);
    impl Observer for Phases {
        fn phase(&mut self, phase: &Phase) {
            self.0.push(phase.to_string().split(' ').next().unwrap_or_default().into());
        }
        fn live(&mut self, _: &Live) {
            self.1 += 1;
        }
    }
    let servers = [Server::start(NETWORK, |_| Some(Verdict::Committed))];
    let mut plan = plan(&servers, Rate::Max);
    plan.search = Duration::from_millis(600);
    plan.search_packets = 20_000;
    let mut phases = Phases(Vec::new(), 0);
    let outcome = run(&plan, &mut phases).unwrap();
    balanced(&outcome);
    assert!(outcome.generator.rate_found.unwrap() > 500.0);
    assert!(outcome.tally().applied() > 0);
    assert!(phases.1 > 0);
    let expected =
        ["connecting", "signing", "searching", "signing", "warming", "measuring", "waiting", "done"];
    assert_eq!(phases.0, expected);
}

#[test]
fn a_validator_that_goes_away_is_named_and_its_transactions_time_out() {
    let good = Server::start(NETWORK, |_| Some(Verdict::Committed));
    let bad = Server::start(NETWORK, |_| Some(Verdict::Committed)).closes_after(100);
    let servers = [good, bad];
    let mut plan = plan(&servers, Rate::Fixed(1_000.0));
    plan.timeout = Duration::from_millis(500);
    let outcome = run(&plan, &mut Silent).unwrap();
    balanced(&outcome);
    assert_eq!(outcome.lost.len(), 1);
    assert_eq!(outcome.lost[0].lane, 1);
    assert!(outcome.lost[0].reason.contains("enough"), "{:?}", outcome.lost);
    assert!(outcome.tally().timed_out >= 400);
}

#[test]
fn a_load_without_any_validator_left_ends_with_what_it_has_measured() {
    // In the window, and before it. The validator takes each new connection, and closes it at the first transactions.
    let servers = || [Server::start(NETWORK, |_| Some(Verdict::Committed)).closes_after(500)];
    let with = |servers: &[Server], warm_up| {
        let mut plan = plan(servers, Rate::Fixed(1_000.0));
        (plan.seconds, plan.warm_up) = (600, warm_up);
        plan.timeout = Duration::from_millis(1_500);
        plan
    };
    let there = servers();
    let outcome = run(&with(&there, Duration::from_millis(100)), &mut Silent).unwrap();
    balanced(&outcome);
    let Some(EndedEarly::AllLost(reason)) = &outcome.ended_early else { panic!("{:?}", outcome.ended_early) };
    assert!(reason.contains("enough"), "{reason}");
    assert!(outcome.tally().accepted > 100 && outcome.seconds() < 600, "{:?}", outcome.tally());
    assert_eq!(outcome.rows().len() as u64, outcome.seconds());

    let there = servers();
    let error = run(&with(&there, Duration::from_secs(600)), &mut Silent).unwrap_err();
    assert!(matches!(&error, LoadError::AllLost(reason) if reason.contains("enough")), "{error}");
}

#[test]
fn a_load_that_is_cancelled_ends_with_what_it_has_measured() {
    /// After a few looks at a phase whose words begin so.
    struct Cancels(&'static str, u32);
    impl Observer for Cancels {
        fn phase(&mut self, phase: &Phase) {
            self.1 = if phase.to_string().starts_with(self.0) { 3 } else { 0 };
        }
        fn live(&mut self, _: &Live) {
            self.1 = self.1.saturating_sub(1).max(u32::from(self.1 > 0));
        }
        fn is_cancelled(&mut self) -> bool {
            self.1 == 1
        }
    }
    let servers = [Server::start(NETWORK, |_| Some(Verdict::Committed))];
    let mut plan = plan(&servers, Rate::Fixed(1_000.0));
    (plan.seconds, plan.warm_up) = (60, Duration::from_millis(100));
    let outcome = run(&plan, &mut Cancels("measuring", 0)).unwrap();
    balanced(&outcome);
    assert_eq!(outcome.ended_early, Some(EndedEarly::Cancelled));
    assert!(outcome.tally().accepted > 0 && outcome.tally().timed_out == 0, "{:?}", outcome.tally());
    plan.warm_up = Duration::from_secs(60);
    assert!(matches!(run(&plan, &mut Cancels("warming", 0)), Err(LoadError::Cancelled)));
}

#[test]
fn a_validator_of_another_network_or_with_another_certificate_is_refused() {
    let servers = [Server::start(Digest([6; 32]), |_| None)];
    let error = run(&plan(&servers, Rate::Max), &mut Silent).unwrap_err();
    assert!(matches!(error, LoadError::Connect { lane: 0, .. }), "{error}");
    assert!(error.to_string().contains("network"), "{error}");
    let mut plan = plan(&servers, Rate::Max);
    plan.endpoints[0].fingerprint = [9; 32];
    let error = run(&plan, &mut Silent).unwrap_err();
    assert!(matches!(error, LoadError::Connect { lane: 0, .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn a_load_waits_for_a_validator_that_is_behind() {
    struct Waits(Vec<Phase>);
    impl Observer for Waits {
        fn phase(&mut self, phase: &Phase) {
            self.0.extend(matches!(phase, Phase::CatchingUp { .. }).then(|| phase.clone()));
        }
    }
    let start =
        |height, behind| Server::start(NETWORK, |_| Some(Verdict::Committed)).stands_at(height, behind);
    let servers = [start(250, 0), start(50, 200)];
    let mut waits = Waits(Vec::new());
    let mut plan = plan(&servers, Rate::Fixed(200.0));
    plan.start = Start::Resume;
    let outcome = run(&plan, &mut waits).unwrap();
    balanced(&outcome);
    assert_eq!(outcome.tally().accepted, 200);
    // Told once, after a second of quiet.
    let address = plan.endpoints[1].address.clone();
    assert_eq!(waits.0, [Phase::CatchingUp { address, height: Height(150), goal: Height(250) }]);
}

#[test]
fn a_validator_that_dies_while_the_load_prepares_leaves_its_accounts_to_the_others() {
    let start = || Server::start(NETWORK, |_| Some(Verdict::Committed));
    // While accounts are asked for, and while it is waited for.
    for dies in [start().dies_after(5), start().stands_at(0, 100).dies_after(2)] {
        let servers = [start(), dies];
        let mut plan = plan(&servers, Rate::Fixed(500.0));
        plan.start = Start::Resume;
        plan.timeout = Duration::from_millis(500);
        let outcome = run(&plan, &mut Silent).unwrap();
        balanced(&outcome);
        assert_eq!(outcome.lost.iter().map(|lost| lost.lane).collect::<Vec<_>>(), [1]);
        assert!(outcome.tally().accepted >= 200, "{:?}", outcome.tally());
        for packet in servers.iter().flat_map(Server::received) {
            assert!(
                packet.nonce() >= 100 + packet.debit().0 + 3,
                "from where the other one says that it stands"
            );
        }
    }
    let servers = [start().dies_after(0), start().dies_after(3)];
    let mut plan = plan(&servers, Rate::Fixed(500.0));
    plan.start = Start::Resume;
    let error = run(&plan, &mut Silent).unwrap_err();
    assert!(matches!(error, LoadError::AllLost(_)), "{error}");
}

#[test]
fn a_load_gives_up_a_validator_that_stays_behind_with_clear_words() {
    let start =
        |height, behind| Server::start(NETWORK, |_| Some(Verdict::Committed)).stands_at(height, behind);
    // One that knows it, and one that does not: the others know the height of the network.
    for (height, behind) in [(50, 1 << 40), (90, 0)] {
        let servers = [start(100, 0), start(height, behind)];
        let mut plan = plan(&servers, Rate::Fixed(200.0));
        plan.catch_up = Duration::from_millis(300);
        let error = run(&plan, &mut Silent).unwrap_err();
        assert!(matches!(error, LoadError::Behind { lane: 1, .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("has not caught up within 300ms") && text.contains("millrace query"), "{text}");
    }
    let servers = [start(100, 0), start(100, u64::MAX)];
    let mut plan = plan(&servers, Rate::Fixed(200.0));
    plan.catch_up = Duration::from_millis(300);
    let error = run(&plan, &mut Silent).unwrap_err();
    assert!(matches!(error, LoadError::CannotTellIfBehind { lane: 1, .. }), "{error}");
    assert!(error.to_string().contains("answers of a quorum"), "{error}");
}

#[test]
fn a_resumed_load_goes_on_from_the_nonces_that_the_validators_tell() {
    let servers = [0, 1].map(|_| Server::start(NETWORK, |_| Some(Verdict::Committed)));
    let mut plan = plan(&servers, Rate::Fixed(500.0));
    plan.start = Start::Resume;
    run(&plan, &mut Silent).unwrap();
    for server in &servers {
        for packet in server.received() {
            // The server says: base 100 + account, the lowest three of the window are used.
            assert!(packet.nonce() >= 100 + packet.debit().0 + 3);
        }
        assert!(server.received().iter().any(|p| p.nonce() == 100 + p.debit().0 + 3));
    }
}

#[test]
fn plans_that_contradict_themselves_are_refused_before_anything_starts() {
    let server = [Server::start(NETWORK, |_| None)];
    let good = plan(&server, Rate::Max);
    assert!(good.check().is_ok());
    let spoiled: [fn(&mut LoadPlan); 6] = [
        |p| p.endpoints.clear(),
        |p| p.chains.clear(),
        |p| p.seconds = 0,
        |p| p.rate = Rate::Fixed(0.0),
        |p| p.rate = Rate::Fixed(f64::NAN),
        |p| p.tick = Duration::ZERO,
    ];
    for spoil in spoiled {
        let mut plan = good.clone();
        spoil(&mut plan);
        assert!(matches!(run(&plan, &mut Silent), Err(LoadError::Plan(_))));
    }
}

#[test]
fn a_workload_that_its_chains_or_its_options_do_not_take_is_refused_with_what_to_do() {
    let server = [Server::start(NETWORK, |_| None)];
    let mut both = plan(&server, Rate::Max);
    both.chains.push(register(2));
    for traffic in [Traffic::Transfer, Traffic::Attest, Traffic::Mixed, Traffic::Open] {
        let good = LoadPlan { traffic, ..both.clone() };
        assert!(good.check().is_ok(), "{traffic:?}");
    }
    type Spoil = fn(&mut LoadPlan);
    let spoiled: [(Spoil, &str); 16] = [
        (|p| p.traffic = Traffic::Transfer, "leave out --data-bytes"),
        (|p| p.data_bytes = 1_025, "0 to 1,024"),
        (|p| p.payments = 2, "leave out --linked"),
        (|p| p.payments = 0, "1 to 1,000 payments"),
        (|p| p.cross_percent = 101, "0 to 100"),
        (
            |p| (p.traffic, p.cross_percent) = (Traffic::Attest, 5),
            "leave out --cross-chain, or take --workload mixed",
        ),
        (|p| p.cross_percent = 5, "two chains of transfers"),
        (|p| p.chains.truncate(1), "\"attestations\""),
        (|p| p.chains.clear(), "\"transfers\""),
        (|p| (p.traffic, _) = (Traffic::Attest, p.chains.clear()), "\"attestations\""),
        (
            |p| (p.traffic, p.data_bytes, p.payments, p.cross_percent) = (Traffic::Transfer, 0, 2, 5),
            "leave out --linked or --cross-chain",
        ),
        (|p| p.opened = 0, "1 to 680 accounts"),
        (|p| p.opened = 681, "1 to 680 accounts"),
        (|p| p.opened = 2, "--opened goes with --workload open"),
        (|p| (p.traffic, p.data_bytes) = (Traffic::Open, 1), "leave out --data-bytes"),
        (|p| (p.traffic, p.data_bytes, p.cross_percent) = (Traffic::Open, 0, 5), "leave out --cross-chain"),
    ];
    for (spoil, says) in spoiled {
        let mut plan = LoadPlan { traffic: Traffic::Mixed, data_bytes: 40, ..both.clone() };
        assert!(plan.check().is_ok());
        spoil(&mut plan);
        let error = run(&plan, &mut Silent).unwrap_err();
        assert!(matches!(error, LoadError::Plan(_)) && error.to_string().contains(says), "{says}: {error}");
    }
}

#[test]
fn one_long_pause_weighs_as_much_as_the_ticks_that_it_swallowed() {
    let mut lateness = Lateness::default();
    for tick in 0..900u64 {
        lateness.tick(tick * 2_000, tick * 2_000 + 19_000 * (tick % 2), 2_000);
    }
    assert_eq!(lateness.share(), 0.0, "up to 20 ms is in time");
    let mut lateness = Lateness::default();
    for tick in 0..900u64 {
        lateness.tick(tick * 2_000, tick * 2_000 + 10, 2_000);
    }
    lateness.tick(1_800_000, 2_000_000, 2_000);
    assert!((lateness.share() - 101.0 / 1_001.0).abs() < 1e-9, "{}", lateness.share());
}
