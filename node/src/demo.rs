//! `millrace demo`: a network with some load, to look at. Nothing of it outlives the command, unless `--data` is given.
//!
//! ```text
//! Testbed (temporary directory, tied processes) ─▶ one worker a validator: sign ─▶ submit ─▶ verdict ─▶ pause ─▶ …
//! ```
//!
//! The workers do what a console has pages for: payments, payments between chains, some that fail, linked payments with
//! a memo, fingerprints. Each waits for its verdict, so a network that stands still is not flooded.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use client::{Client, ClientError};
use engine::types::{
    AccountId, Attest, ChainId, Consents, Data, Decision, EncodedDecision, Fingerprint, Genesis, Height,
    Link, Linked, Malformed, Payment, Payments, Propose, Registration, Registrations, Transaction, Transfer,
};
use kernels::sha2::sha256_parts;
use loadgen::client_keys::ClientSeed;

use crate::bench::Testbed;
use crate::cli::DemoArgs;
use crate::network::{ChainDraft, InitOptions, Member, Network};
use crate::validator::clock::Clock;

/// The chain of the kind governance, those of payments, and that of fingerprints.
const COUNCIL: ChainId = ChainId(0);
const MONEY: [ChainId; 2] = [ChainId(1), ChainId(2)];
const NOTARY: ChainId = ChainId(3);
/// Accounts of each chain.
const ACCOUNTS: u64 = 1_000;
/// What each holds.
const BALANCE: u64 = 1_000_000;
/// How long a worker waits for a verdict.
const VERDICT_PATIENCE: Duration = Duration::from_secs(10);
/// A worker whose validator is not there tries again after this time.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the command looks whether it is to end.
const POLL: Duration = Duration::from_millis(100);
/// No transaction of a demonstration expires.
const EXPIRY: Height = Height(u32::MAX as u64);
/// How long the proposal of a demonstration can be approved.
const OPEN_MS: u64 = 86_400_000;
/// What its transactions carry.
const REFERENCE: [u8; 12] = *b"demo\0\0\0\0\0\0\0\0";
/// Memos, one of which is what a hostile client would write.
const MEMOS: [&str; 3] =
    ["invoice 2026/117", "房租 五月", "<script>alert(1)</script> \" ' &amp; \u{202e}txt.exe\u{7}"];

/// Brings up a network, puts some load on it and says where its console is, until it is asked to stop.
///
/// # Errors
/// The network cannot be made, or does not come up.
pub fn demo(args: &DemoArgs) -> Result<bool> {
    let mut chains = vec![ChainDraft::governance(COUNCIL, 3, 2)];
    chains.extend(ChainDraft::alike(MONEY.len() as u32, ACCOUNTS, BALANCE));
    chains.push(ChainDraft::attestations(NOTARY, ACCOUNTS, 1_000_000));
    let options = InitOptions {
        name: "demo".into(),
        validators: args.validators,
        chains,
        base_port: args.base_port,
        gateway: true,
        ..InitOptions::default()
    };
    let mut testbed = Testbed::build(args.data.as_deref(), false, &options)?;
    println!("a network of {} validators starts in {}", args.validators, testbed.network.directory.display());
    testbed.start()?;
    for member in &testbed.network.members {
        println!("console of {:<10} http://{}/", member.name, member.clients);
    }
    if args.pause_ms > 0 {
        for (place, member) in testbed.network.members.iter().enumerate() {
            let worker = Worker::new(&testbed.network, member, place as u64, args.validators.into())?;
            let pause = Duration::from_millis(args.pause_ms);
            let name = format!("load-{place}");
            std::thread::Builder::new()
                .name(name)
                .spawn(move || worker.run(pause))
                .context("cannot start a thread")?;
        }
    }
    println!("Ctrl-C stops it{}.", if args.data.is_none() { " and removes it" } else { "" });
    while testbed.interrupt.signal().is_none() {
        for (_, died) in testbed.take_dead() {
            eprintln!("{died}");
        }
        std::thread::sleep(POLL);
    }
    testbed.clear();
    println!("stopped");
    Ok(true)
}

/// A client of one validator. Its accounts are those whose number leaves its place when it is divided by the
/// number of workers, so no two workers use the same nonces.
struct Worker {
    member: Member,
    genesis: Arc<Genesis>,
    seed: ClientSeed,
    directory: PathBuf,
    place: u64,
    workers: u64,
}

impl Worker {
    fn new(network: &Network, member: &Member, place: u64, workers: u64) -> Result<Self> {
        Ok(Self {
            member: member.clone(),
            genesis: network.genesis.clone(),
            seed: network.client_seed()?,
            directory: network.directory.clone(),
            place,
            workers,
        })
    }

    fn run(self, pause: Duration) {
        let mut turn = 0;
        loop {
            let ended = self.work(&mut turn, pause);
            // What was sent last may have been taken: its nonce is not used again.
            turn += 1;
            let Err(error) = ended;
            tracing::debug!(directory = %self.directory.display(), "a worker begins again: {error}");
            std::thread::sleep(AGAIN);
        }
    }

    fn work(&self, turn: &mut u64, pause: Duration) -> Result<Infallible, ClientError> {
        let form = "what a demonstration signs has the right form";
        let mut client = self.member.connect(&self.genesis)?;
        if self.place == 0 && *turn == 0 {
            self.act(&mut client, &self.proposal().expect(form))?;
        }
        loop {
            self.act(&mut client, &self.signed(*turn).expect(form))?;
            *turn += 1;
            std::thread::sleep(pause);
        }
    }

    fn act(&self, client: &mut Client, signed: &Transaction) -> Result<(), ClientError> {
        client.submit(signed.run().packets())?;
        match client.notices(VERDICT_PATIENCE) {
            Err(ClientError::Silent(_)) => Ok(()),
            told => told.map(drop),
        }
    }

    /// A proposal that nobody else approves, so it stays open.
    fn proposal(&self) -> Result<Transaction, Malformed> {
        let (consents, decision) = (Consents::encode(Vec::new()), Decision::Pause(MONEY[1]).encode());
        let propose = Propose {
            chain: COUNCIL,
            key_version: 1,
            reference: REFERENCE,
            administrator: AccountId(0),
            administrators: 1,
            until_ms: Clock::start().moment().unix_ms.saturating_add(OPEN_MS),
            consents: Consents::read(&consents)?,
            decision: EncodedDecision::read(&decision)?,
            nonce: 0,
            expiry: EXPIRY,
        };
        let key = self.seed.signing_key(COUNCIL, AccountId(0));
        propose.sign(self.genesis.network(), |message| key.sign(message))
    }

    /// The transaction of a turn.
    fn signed(&self, turn: u64) -> Result<Transaction, Malformed> {
        let network = self.genesis.network();
        let rounds = ACCOUNTS / self.workers;
        // Each kind has its own accounts' nonces: a turn uses one account of one chain.
        let debit = AccountId(turn % rounds * self.workers + self.place);
        let credit = AccountId((debit.0 + 7 * (turn % 13) + 1) % ACCOUNTS);
        let nonce = turn / rounds;
        let chain = MONEY[(turn % 2) as usize];
        let key = |chain| self.seed.signing_key(chain, debit);
        let reference = REFERENCE;
        match turn % 20 {
            7 => {
                let memo = MEMOS[(turn / 20 % MEMOS.len() as u64) as usize];
                let payments = [1, 2].map(|more| {
                    let to = AccountId((credit.0 + more) % ACCOUNTS);
                    Payment { to, amount: 10 * more }.encode()
                });
                let payments = Payments::of(&payments);
                let linked = Linked {
                    chain,
                    key_version: 1,
                    reference,
                    debit,
                    payments,
                    memo: memo.as_bytes(),
                    nonce,
                    expiry: EXPIRY,
                };
                linked.sign(network, |message| key(chain).sign(message))
            }
            11 => {
                let place = [self.place.to_le_bytes(), turn.to_le_bytes()];
                let fingerprint = Fingerprint(sha256_parts(&[b"demo", place.as_flattened()]));
                let mut encoded = Vec::new();
                let (link, data) = (Link::None, Data::Inline(b"a document of the demonstration"));
                Registration { fingerprint, kind: 1, link, data }.encode(&mut encoded)?;
                let registrations = Registrations::read(1, &encoded)?;
                let attest = Attest {
                    chain: NOTARY,
                    key_version: 1,
                    reference,
                    owner: debit,
                    registrations,
                    nonce,
                    expiry: EXPIRY,
                };
                attest.sign(network, |message| key(NOTARY).sign(message))
            }
            kind => {
                // Some go to the other chain, and some ask for more than there is.
                let crosses = matches!(kind, 3 | 14);
                let other = MONEY[((turn + 1) % 2) as usize];
                let amount = if kind == 17 { BALANCE * 10 } else { 1 + turn % 90 };
                let transfer = Transfer {
                    chain,
                    key_version: 1,
                    reference,
                    debit,
                    credit_chain: crosses.then_some(other),
                    credit,
                    amount,
                    nonce,
                    expiry: EXPIRY,
                };
                let packet = transfer.sign(network, |message| key(chain).sign(message));
                Transaction::from_bytes(&packet.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_never_use_a_nonce_twice() {
        let rounds = ACCOUNTS / 4;
        let used = |place: u64, turn: u64| (turn % rounds * 4 + place, turn / rounds);
        let all: std::collections::BTreeSet<_> =
            (0..4).flat_map(|place| (0..5_000).map(move |turn| used(place, turn))).collect();
        assert_eq!(all.len(), 4 * 5_000);
    }
}
