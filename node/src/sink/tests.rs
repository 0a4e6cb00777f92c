use std::time::Duration;

use client::{Client, ClientError};
use engine::types::{Asset, ChainId, ChainKind};
use engine::wire::Query;
use loadgen::client_keys::ClientSeed;
use loadgen::progress::Silent;
use loadgen::{ChainLoad, LoadError, LoadPlan, Rate, Start, Traffic};
use net::Fingerprint;

use super::*;

const OF: Digest = Digest([9; 32]);

fn plan(sink: &Sink) -> LoadPlan {
    let mut plan = LoadPlan::new(sink.network(), sink.endpoints().to_vec(), ClientSeed([1; 32]));
    let chain =
        |chain, kind, asset| ChainLoad { chain: ChainId(chain), kind, accounts: 60, balance: 1 << 40, asset };
    plan.chains =
        vec![chain(1, ChainKind::Transfers, Asset::UNIT), chain(2, ChainKind::Attestations, Asset::NONE)];
    (plan.rate, plan.seconds, plan.warm_up) = (Rate::Fixed(2_000.0), 1, Duration::from_millis(200));
    plan
}

#[test]
fn each_submission_of_the_real_generator_is_answered_once_and_the_counts_agree() {
    let sink = Sink::start(&OF, 3).unwrap();
    // Transactions of one packet and of several, from nonces that the sink tells.
    let plan = LoadPlan { traffic: Traffic::Mixed, data_bytes: 300, start: Start::Resume, ..plan(&sink) };
    let outcome = loadgen::run(&plan, &mut Silent).unwrap();
    let tally = outcome.tally();
    assert_eq!((tally.offered, tally.accepted, tally.timed_out), (2_000, 2_000, 0), "{tally:?}");
    assert_eq!((outcome.strange_notices(), outcome.late_commits()), (0, 0));
    let sent = outcome.acknowledged().count() as u64;
    assert!(sent >= 2_000);
    assert_eq!(sink.counted(), (sent, sent));
}

#[test]
fn a_client_of_a_real_network_is_told_what_this_is_and_refused() {
    let sink = Sink::start(&OF, 1).unwrap();
    let Endpoint { address, fingerprint } = &sink.endpoints()[0];
    let open = |network| Client::connect(address, Fingerprint(*fingerprint), network);
    for network in [OF, Digest([8; 32])] {
        match open(network) {
            Err(ClientError::Rejected(reason)) => assert!(reason.contains("this is a null sink"), "{reason}"),
            other => panic!("{:?}", other.map(drop)),
        }
    }
    let wrong = LoadPlan { network: OF, ..plan(&sink) };
    let error = loadgen::run(&wrong, &mut Silent).unwrap_err();
    assert!(matches!(error, LoadError::Connect { .. }), "{error}");
    assert!(error.to_string().contains("null sink"), "{error}");
    assert_eq!(sink.counted(), (0, 0));

    let mut client = open(sink.network()).unwrap();
    let status = client.status().unwrap().value;
    assert_eq!((status.name.as_str(), status.network_name.as_str()), ("null sink", "null sink"));
    assert!(status.storage.contains("nothing is written"), "{status:?}");
    let block = client.ask::<serde_json::Value>(Query::Block { height: engine::types::Height(1) });
    assert!(block.unwrap_err().to_string().contains("a null sink keeps nothing"));
}

#[test]
fn the_network_of_a_sink_is_never_a_real_one_and_differs_between_networks() {
    let ids = [OF, Digest([8; 32]), network_of_sink(&OF)].map(|of| network_of_sink(&of));
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[0] != OF);
}

#[test]
fn the_ceiling_of_a_load_is_measured_with_its_connections_and_beyond_its_rate() {
    let sink = Sink::start(&OF, 2).unwrap();
    let real = LoadPlan { network: OF, start: Start::Resume, ..plan(&sink) };
    let ceiling = real.against_sink(sink.network(), sink.endpoints().to_vec(), 7);
    assert_eq!((ceiling.network, ceiling.start, ceiling.seconds), (sink.network(), Start::Fresh, 7));
    assert_eq!((ceiling.chains.len(), ceiling.endpoints.len(), ceiling.rate), (2, 2, Rate::Fixed(20_000.0)));
    let fast = LoadPlan { rate: Rate::Fixed(100_000.0), ..real.clone() };
    let fast = fast.against_sink(sink.network(), sink.endpoints().to_vec(), 1);
    assert_eq!(fast.rate, Rate::Fixed(150_000.0));
    let found = LoadPlan { rate: Rate::Max, ..real };
    assert_eq!(found.against_sink(sink.network(), sink.endpoints().to_vec(), 1).rate, Rate::Max);
}
