//! Money that is set aside and swapped while the network is full and loses its power.

use std::time::Duration;

use client::Client;
use client::ClientError;
use client::answers::TransactionAnswer;
use engine::types::{
    AccountId, Asset, ChainId, Envelope, FIRST_KEY_VERSION, Height, Offer, Outcome, Price, Refusal,
    ReservationId, Reserve, Settle, Take, Terms, Transaction, Verdict,
};
use loadgen::progress::Silent;
use loadgen::{ChainLoad, Start};
use node::network::{ChainDraft, InitOptions};

use crate::recovery::FULL_LOAD;
use crate::testbed::{CHAIN, PATIENCE, Testbed, wait};

/// The chain of the prices.
const OTHER: ChainId = ChainId(2);
const BALANCE: u64 = 1_000_000;
/// Accounts from here on get no load.
const FIRST: u64 = 3_000;
/// So many swaps, and as many reservations; every other offer is wanted by two.
const SWAPS: u64 = 40;

fn amount(swap: u64) -> u64 {
    100 + swap
}

fn price(swap: u64) -> u64 {
    10 + swap
}

/// Four validators, two chains with money of two assets.
fn testbed() -> Testbed {
    let mut chains = ChainDraft::alike(2, 4_000, BALANCE);
    chains[1].asset = Asset(*b"EUR\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let mut testbed = Testbed::with(&InitOptions { validators: 4, chains, ..InitOptions::default() });
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    testbed
}

fn envelope((chain, signer): (ChainId, u64), nonce: u64) -> Envelope {
    Envelope {
        chain,
        key_version: FIRST_KEY_VERSION,
        reference: [0; 12],
        signer: AccountId(signer),
        nonce,
        expiry: Height(1_000_000),
    }
}

/// What the account of an envelope signs.
fn signed<E>(
    testbed: &Testbed,
    of: &Envelope,
    sign: impl FnOnce(&dyn Fn(&[u8]) -> [u8; 64]) -> Result<Transaction, E>,
) -> Transaction {
    let key = testbed.network.client_seed().unwrap().signing_key(of.chain, of.signer);
    sign(&|message| key.sign(message)).ok().expect("it is well formed")
}

/// What was told of it already, wherever it was submitted.
fn earlier(client: &mut Client, transaction: &Transaction) -> Option<Verdict> {
    let id = transaction.id(client.network());
    match client.transaction(Some(transaction.chain()), &id) {
        Ok(found) => TransactionAnswer::final_outcome(&found.value.transaction).map(Verdict::from),
        Err(ClientError::NotFound { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Submits it, again where there was no room, until it is decided.
fn decided(client: &mut Client, transaction: &Transaction) -> Verdict {
    let mut verdict = None;
    wait("a verdict", || {
        let tag = client.submit(transaction.run().packets()).unwrap().start;
        let notices = client.notices(PATIENCE).unwrap();
        let told = notices.iter().find(|notice| notice.tag == tag).map(|notice| notice.verdict);
        verdict = match told {
            Some(Verdict::Refused(Refusal::Busy)) | None => None,
            Some(Verdict::Refused(Refusal::Replayed | Refusal::DuplicatePending))
            | Some(Verdict::Failed(Outcome::Replayed)) => earlier(client, transaction),
            told => told,
        };
        verdict.is_some()
    });
    verdict.expect("it was waited for")
}

fn balance(client: &mut Client, chain: ChainId, account: u64) -> u64 {
    client.account(chain, AccountId(account)).unwrap().value.proof.balance
}

#[test]
fn swaps_at_full_load_are_whole_after_a_power_cut_of_all() {
    let mut testbed = testbed();
    let network = *testbed.network.genesis.network();
    let plan = testbed.plan(&[0, 1, 2, 3], FULL_LOAD, 10, Start::Fresh);
    let chains = vec![ChainLoad { accounts: FIRST, ..testbed.chain_load(CHAIN) }];
    let plan = loadgen::LoadPlan { chains, ..plan };

    let offers: Vec<_> = (0..SWAPS)
        .map(|swap| {
            let envelope = envelope((CHAIN, FIRST + swap), 0);
            let to = AccountId(FIRST + swap);
            let price = Price { chain: OTHER, amount: price(swap), to, taker: None };
            let offer = Offer { envelope, amount: amount(swap), seconds: 3_600, price, memo: b"" };
            signed(&testbed, &envelope, |sign| offer.sign(&network, sign))
        })
        .collect();
    let reserved: Vec<_> = (0..SWAPS)
        .map(|swap| {
            let envelope = envelope((CHAIN, FIRST + 100 + swap), 0);
            let (payee, settler) = (AccountId(FIRST + 200 + swap), AccountId(FIRST + 300 + swap));
            let reserve =
                Reserve { envelope, amount: amount(swap), seconds: 3_600, payee, settler, memo: b"" };
            signed(&testbed, &envelope, |sign| reserve.sign(&network, sign))
        })
        .collect();
    let take = |swap: u64, taker: u64, credit: u64| {
        let envelope = envelope((OTHER, taker), 0);
        let offer = ReservationId { payer: AccountId(FIRST + swap), nonce: 0 };
        let terms = Terms { offer, amount: amount(swap), to: AccountId(FIRST + swap) };
        let (chain, credit) = (CHAIN, AccountId(credit));
        let take = Take { envelope, chain, terms, price: price(swap), credit, memo: b"" };
        signed(&testbed, &envelope, |sign| take.sign(&network, sign))
    };
    let takes: Vec<_> = (0..SWAPS).map(|swap| take(swap, FIRST + 400 + swap, FIRST + 500 + swap)).collect();
    let rivals: Vec<_> =
        (0..SWAPS).step_by(2).map(|swap| take(swap, FIRST + 600 + swap, FIRST + 700 + swap)).collect();
    let settled: Vec<_> = (0..SWAPS)
        .map(|swap| {
            let envelope = envelope((CHAIN, FIRST + 300 + swap), 0);
            let reservation = ReservationId { payer: AccountId(FIRST + 100 + swap), nonce: 0 };
            let payee = AccountId(FIRST + 200 + swap);
            let settle = Settle { envelope, reservation, payee, amount: amount(swap) / 2, memo: b"" };
            signed(&testbed, &envelope, |sign| settle.sign(&network, sign))
        })
        .collect();

    for transaction in offers.iter().chain(&reserved) {
        assert_eq!(decided(&mut testbed.client(0), transaction), Verdict::Committed);
    }
    let height = testbed.height(0);
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
    testbed.wait_height(0, height + 20);
    // Nobody waits for a verdict: some are in a block when the power fails, some on their way, some in a mempool.
    let mut clients: Vec<Client> = (0..4).map(|index| testbed.client(index)).collect();
    for (place, transaction) in takes.iter().chain(&rivals).chain(&settled).enumerate() {
        clients[place % 4].submit(transaction.run().packets()).unwrap();
    }
    std::thread::sleep(Duration::from_millis(u64::from(std::process::id()) % 400));
    (0..4).for_each(|index| testbed.kill(index));
    drop(clients);
    let told = load.join().unwrap();
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();

    let mut client = testbed.client(1);
    let mut all = |transactions: &[Transaction]| -> Vec<Verdict> {
        transactions.iter().map(|transaction| decided(&mut client, transaction)).collect()
    };
    let (of_takes, of_rivals, of_settled) = (all(&takes), all(&rivals), all(&settled));
    assert!(of_settled.iter().all(|verdict| *verdict == Verdict::Committed), "{of_settled:?}");
    let lost = Verdict::Failed(Outcome::NotReserved);
    testbed.settle();
    for index in 0..4 {
        let mut client = testbed.client(index);
        for swap in 0..SWAPS {
            let rival = (swap % 2 == 0).then(|| of_rivals[swap as usize / 2]);
            let won = of_takes[swap as usize] == Verdict::Committed;
            match rival {
                Some(rival) if won => assert_eq!(rival, lost, "swap {swap}"),
                Some(rival) => {
                    assert_eq!((rival, of_takes[swap as usize]), (Verdict::Committed, lost), "swap {swap}");
                }
                None => assert!(won, "swap {swap}: {:?}", of_takes[swap as usize]),
            }
            let mut has = |chain, account| balance(&mut client, chain, account) as i64 - BALANCE as i64;
            let (amount, price) = (amount(swap) as i64, price(swap) as i64);
            assert_eq!(has(CHAIN, FIRST + swap), -amount, "who offers");
            assert_eq!(has(OTHER, FIRST + swap), price, "the price of swap {swap}, once");
            let (winner, loser) = if won { (400, 600) } else { (600, 400) };
            assert_eq!(has(OTHER, FIRST + winner + swap), -price, "who takes swap {swap}");
            assert_eq!(has(OTHER, FIRST + loser + swap), 0, "who wanted swap {swap}");
            assert_eq!(has(CHAIN, FIRST + winner + 100 + swap), amount, "what swap {swap} gives");
            assert_eq!(has(CHAIN, FIRST + loser + 100 + swap), 0, "and to one alone");
            let half = amount / 2;
            assert_eq!((has(CHAIN, FIRST + 100 + swap), has(CHAIN, FIRST + 200 + swap)), (-half, half));
        }
    }
    testbed.all_alive();
    testbed.stop_all();
    testbed.audit(&[&told]);
}
