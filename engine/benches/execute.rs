//! `cargo bench -p engine`: executing a block and taking it back, for much work on few accounts and for little work on
//! many. What a block costs must not depend on how many accounts there are. The same for money that is set aside, and
//! for the block in which the time of many reservations is over.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use engine::execute::{Chains, StateWriter};
use engine::ingress::Source;
use engine::types::{
    AccountGenesis, AccountId, Asset, ChainGenesis, ChainId, ChainKind, ChainTime, CryptoSuite, Digest,
    Envelope, Epoch, FIRST_KEY_VERSION, Head, Height, Packet, Reserve, Roles, Transfer, ValidatorIndex,
};
use engine::verify::{Checked, Job, Verified, Verifier};
use engine::wire::{Batch, BatchSection};
use kernels::ed25519::SigningKey;

const NETWORK: Digest = Digest([7; 32]);
const CHAIN: ChainId = ChainId(1);

/// A chain whose accounts all have one key.
fn chain(accounts: u64, key: &SigningKey) -> ChainGenesis {
    let account = AccountGenesis { public_key: key.public_key(), balance: 1_000_000 };
    let accounts = vec![account; accounts as usize];
    ChainGenesis {
        id: CHAIN,
        kind: ChainKind::Transfers,
        suite: CryptoSuite::Ed25519,
        asset: Asset::UNIT,
        roles: Roles::default(),
        threshold: 0,
        accounts,
    }
}

/// A batch of transfers between accounts all over the chain.
fn batch(writer: &StateWriter, key: &SigningKey, accounts: u64, transfers: u64) -> Verified<Batch> {
    let packet = |nonce: u64| {
        let place = |salt: u64| AccountId((nonce * 2 + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) % accounts);
        let transfer = Transfer {
            chain: CHAIN,
            key_version: FIRST_KEY_VERSION,
            reference: [0; 12],
            debit: place(0),
            credit_chain: None,
            credit: place(1),
            amount: 1,
            nonce: nonce % 64,
            expiry: Height(u64::MAX),
        };
        transfer.sign(&NETWORK, |message| key.sign(message))
    };
    sealed(writer, key, &(0..transfers).map(packet).collect::<Vec<_>>())
}

/// Reservations of one nonce, of this account and those behind it, for so many seconds.
fn reservations(
    writer: &StateWriter,
    key: &SigningKey,
    (first, count): (u64, u64),
    (nonce, seconds): (u64, u32),
) -> Verified<Batch> {
    let reserve = |payer: u64| {
        let envelope = Envelope {
            chain: CHAIN,
            key_version: FIRST_KEY_VERSION,
            reference: [0; 12],
            signer: AccountId(payer),
            nonce,
            expiry: Height(u64::MAX),
        };
        let (payee, settler) = (AccountId(0), AccountId(1));
        let reserve = Reserve { envelope, amount: 1, seconds, payee, settler, memo: b"" };
        reserve.sign(&NETWORK, |message| key.sign(message)).expect("it is a reservation")
    };
    let all: Vec<_> = (first..first + count).map(reserve).collect();
    let packets: Vec<_> = all.iter().flat_map(|one| one.run().packets()).copied().collect();
    sealed(writer, key, &packets)
}

/// A batch that was checked.
fn sealed(writer: &StateWriter, key: &SigningKey, packets: &[Packet]) -> Verified<Batch> {
    let sections = [BatchSection { chain: CHAIN, packets: packets.len() as u32 }];
    let author = ValidatorIndex(0);
    let batch = Batch::seal(
        &NETWORK,
        (Epoch(0), author),
        &Head::NONE,
        Height(0),
        &sections,
        packets.iter(),
        |message| key.sign(message),
    );
    let chains = Chains::new([Arc::clone(writer.state())]);
    let mut verifier = Verifier::new(NETWORK, chains, Arc::new([key.public_key()]), Arc::default());
    match verifier.check(Height(0), vec![Job::batch(Source::Own, batch)], [1; 32]).remove(0) {
        Checked::Batch(Ok(batch)) => batch,
        other => panic!("the batch is good: {other:?}"),
    }
}

fn blocks(c: &mut Criterion) {
    let key = SigningKey::from_seed([3; 32]);
    let mut group = c.benchmark_group("execute");
    group.measurement_time(Duration::from_secs(4)).sample_size(40);
    for (accounts, transfers) in [(100_000, 4_000), (100_000, 100), (4_000_000, 4_000), (4_000_000, 100)] {
        let mut writer = StateWriter::genesis(&chain(accounts, &key));
        let batches = [batch(&writer, &key, accounts, transfers)];
        let ids = vec![[0; 32]; transfers as usize];
        group.bench_function(format!("{accounts} accounts/{transfers} transfers"), |b| {
            b.iter(|| {
                let delta = writer.execute(ChainTime::new(Height(1), 0), &[], black_box(&batches), &ids);
                writer.undo(&delta);
            });
        });
    }
    group.finish();
}

fn set_aside(c: &mut Criterion) {
    const ACCOUNTS: u64 = 65_536;
    let key = SigningKey::from_seed([3; 32]);
    let mut group = c.benchmark_group("reservations");
    group.measurement_time(Duration::from_secs(4)).sample_size(40);
    let mut writer = StateWriter::genesis(&chain(ACCOUNTS, &key));
    let ids = vec![[0; 32]; ACCOUNTS as usize];
    let all: Vec<_> = (0..ACCOUNTS / 2_048)
        .map(|part| reservations(&writer, &key, (part * 2_048, 2_048), (0, 1)))
        .collect();
    writer.execute(ChainTime::new(Height(1), 1_000), &[], &all, &ids);
    let more = [reservations(&writer, &key, (0, 2_048), (1, 9))];
    group.bench_function("65,536 open/2,048 more", |b| {
        b.iter(|| {
            let delta = writer.execute(ChainTime::new(Height(2), 1_001), &[], black_box(&more), &ids);
            writer.undo(&delta);
        });
    });
    group.bench_function("65,536 open/the time of 4,096 is over", |b| {
        b.iter(|| {
            let delta = writer.execute(ChainTime::new(Height(2), 2_000), &[], black_box(&[]), &ids);
            assert_eq!(delta.changes().len(), 4_096);
            writer.undo(&delta);
        });
    });
    group.finish();
}

criterion_group!(benches, blocks, set_aside);
criterion_main!(benches);
