//! `cargo bench -p proof`: what it costs to make a proof and to check one, and how large it is, with a million
//! accounts, 16 chains and 16 validators.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use proof::{CERTIFICATE_BYTES_MAX, verify};

#[path = "../src/tests/network.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the tests use more of their network than the bench does")]
mod network;

use network::Network;

fn proofs(c: &mut Criterion) {
    let chains: Vec<_> = (1..=16).map(|chain| (chain, if chain == 7 { 1 << 20 } else { 16 })).collect();
    let mut network = Network::new("bench", 16, &chains);
    let packets: Vec<_> = (0..64).map(|debit| network.transfer(7, debit, debit + 64, 0, 100)).collect();
    network.block(&packets);
    let (account, transaction) = (network.account(7, 777_777), network.transaction(6, 17));
    let header = network.genesis.header().to_vec();

    let mut group = c.benchmark_group("proof");
    group.measurement_time(Duration::from_secs(3)).sample_size(30);
    for (kind, open) in [("account", account), ("transaction", transaction)] {
        for more in [0, 1, 1_000] {
            let bytes = network.close(open.clone(), more).encode().expect("it fits");
            let statement = verify(&bytes, &header).expect("it holds");
            println!("{kind}, final {more} above: {} bytes: {statement}", bytes.len());
            group.bench_function(format!("verify/{kind}/{more}"), |b| {
                b.iter(|| verify(black_box(&bytes), black_box(&header)).expect("it holds"));
            });
        }
    }
    // The network's part: the paths of the account and of its chain, and the encoding.
    let closed = network.close(network.account(7, 777_777), 0);
    assert!(closed.finality.certificate.len() <= CERTIFICATE_BYTES_MAX);
    group.bench_function("make/account", |b| {
        b.iter(|| {
            let mut open = network.account(7, black_box(777_777));
            open.finality.clone_from(&closed.finality);
            open.encode().expect("it fits")
        });
    });
    // What the header adds to reading a genesis.
    let chain = network.genesis.chain(engine::types::ChainId(7)).expect("the large chain");
    group.sample_size(10).bench_function("accounts_root/1048576", |b| {
        b.iter(|| engine::roots::accounts_root(black_box(chain).account_states()));
    });
    group.finish();
}

criterion_group!(benches, proofs);
criterion_main!(benches);
