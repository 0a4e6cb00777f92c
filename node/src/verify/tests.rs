//! A journal written from the fast path, audited by the slow one; then spoilt in every way that matters.

use std::sync::atomic::AtomicU64;

use engine::execute::Chains;
use engine::roots::Ledger;
use engine::store::Options;
use engine::types::{AccountId, ChainId, Sequence, Transfer, ValidatorIndex};
use engine::verify::{Checked as Judged, Job, Verifier};
use engine::wire::{Block, Certificate, Header, acknowledgement_message};
use kernels::ed25519::SigningKey;

use super::*;
use crate::config::Config;
use crate::network::{InitOptions, Network, init};
use crate::validator::journal::CommittedBlock;

const CHAIN: ChainId = ChainId(1);

/// A network of one, and what its validator would write.
struct Scene {
    directory: tempfile::TempDir,
    network: Network,
    key: SigningKey,
    ledger: Ledger,
    parent: Digest,
    roots: Vec<Digest>,
    sequence: u64,
    records: Vec<(u8, Vec<u8>)>,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = InitOptions { validators: 1, accounts: 20, balance: 1000, ..InitOptions::default() };
        let network = init(directory.path(), &options).unwrap();
        Self::of(directory, network)
    }

    fn of(directory: tempfile::TempDir, network: Network) -> Self {
        let config = Config::load(&network.members[0].config_file()).unwrap();
        Self {
            key: SigningKey::from_seed(config.consensus_seed.0),
            ledger: Ledger::genesis(&network.genesis),
            parent: *network.genesis.network(),
            roots: Vec::new(),
            sequence: 0,
            records: Vec::new(),
            network,
            directory,
        }
    }

    fn transfer(&self, debit: u64, amount: u64, nonce: u64) -> engine::types::Packet {
        let transfer = Transfer {
            chain: CHAIN,
            key_version: 1,
            reference: [0; 12],
            debit: AccountId(debit),
            credit: AccountId((debit + 1) % 20),
            amount,
            nonce,
            expiry: Height(100),
        };
        let key = self.network.customers.signing_key(CHAIN, AccountId(debit));
        transfer.sign(self.network.genesis.network(), |message| key.sign(message))
    }

    fn batch(&mut self, packets: &[engine::types::Packet]) -> Batch {
        self.sequence += 1;
        let id = BatchId { chain: CHAIN, author: ValidatorIndex(0), sequence: Sequence(self.sequence) };
        let batch = Batch::seal(id, packets.iter());
        self.records.push((KIND_BATCH, batch.bytes().to_vec()));
        batch
    }

    fn certificate(&self, batch: &Batch) -> Certificate {
        let message = acknowledgement_message(self.network.genesis.network(), &batch.id(), batch.digest());
        let signers = vec![(ValidatorIndex(0), self.key.sign(&message))];
        Certificate::new(batch.id(), *batch.digest(), batch.transactions(), signers).unwrap()
    }

    /// Executes a block and journals it, after `change` has had its way with the record.
    fn commit(&mut self, batches: &[Batch], change: impl FnOnce(&mut CommittedBlock)) {
        let genesis = &self.network.genesis;
        let height = Height(self.roots.len() as u64 + 1);
        let header = Header {
            height,
            view: height.0 * 2,
            parent: self.parent,
            proposer: ValidatorIndex(0),
            time_ms: height.0,
            roots_first: Height(height.0.max(2) - 1),
            roots: self.roots.last().copied().into_iter().collect(),
            sections: Vec::new(),
        };
        let certificates = batches.iter().map(|batch| self.certificate(batch)).collect();
        let block = Block::build(header, certificates).unwrap();
        let mut verifier =
            Verifier::new(*genesis.network(), Chains::from(&**genesis), Arc::new(AtomicU64::new(0)));
        let jobs = batches.iter().map(|batch| Job::Batch(batch.clone())).collect();
        let verified: Vec<_> = verifier
            .check(Height(0), jobs, [1; 32])
            .into_iter()
            .map(|judged| match judged {
                Judged::Batch(Ok(batch)) => batch,
                other => panic!("{other:?}"),
            })
            .collect();
        let executed = self.ledger.execute(height, &verified);
        let digests: Vec<u8> = executed.deltas.iter().flat_map(|delta| delta.digest().0).collect();
        let outcomes = executed.deltas[0].outcomes();
        let failed = (0..).zip(outcomes).filter(|(_, outcome)| **outcome != Outcome::Applied);
        let entry = executed.state_root.entries()[0];
        let mut record = CommittedBlock {
            height,
            delta_digest: Digest(kernels::sha2::sha256(&digests)),
            state_root: *executed.state_root.digest(),
            block: block.encode(),
            certificate: Vec::new(),
            chains: vec![ChainRecord {
                chain: CHAIN,
                transactions_root: entry.transactions_root,
                accounts_root: entry.accounts_root,
                transactions: entry.transactions,
                failures: failed.map(|(place, outcome)| (place, *outcome)).collect(),
            }],
        };
        change(&mut record);
        self.parent = *block.digest();
        self.roots.push(*executed.state_root.digest());
        self.records.push((KIND_COMMITTED, record.encode()));
    }

    /// Three blocks: transfers, a failed one among them, and an empty block.
    fn told(mut self) -> Self {
        let good: Vec<_> = (0..10).map(|at| self.transfer(at, 10 + at, 0)).collect();
        let first = self.batch(&good);
        self.commit(&[first], |_| {});
        let mixed = [self.transfer(3, 5, 1), self.transfer(4, 100_000, 1), self.transfer(3, 5, 1)];
        let (second, third) = (self.batch(&mixed), self.batch(&[self.transfer(9, 1, 7)]));
        self.commit(&[second, third], |_| {});
        self.commit(&[], |_| {});
        self
    }

    fn data(&self) -> PathBuf {
        self.network.members[0].data()
    }

    /// Writes the journal, with the consensus log that every validator has.
    fn write(&self) {
        for (log, records) in [("journal", &self.records[..]), ("consensus", &[])] {
            let mut options = Options::new(self.network.genesis.network().0);
            options.backend = engine::store::Backend::Portable;
            options.segment_bytes = 8 << 20;
            let (log, _) = Log::open(&self.data().join(log), options).unwrap();
            for (kind, bytes) in records {
                log.append(*kind, &[bytes]).unwrap();
            }
        }
    }

    fn audit(&self) -> AuditReport {
        self.write();
        let mut auditor = Auditor::new(Arc::clone(&self.network.genesis)).unwrap();
        auditor.audit(&self.data(), &|_, _| {}, &mut |_, _, _| {}).unwrap()
    }

    fn finding(&self) -> Finding {
        let report = self.audit();
        assert!(!report.ok);
        report.finding.expect("what is not ok has a finding")
    }
}

#[test]
fn what_the_fast_path_wrote_holds_by_the_slow_one() {
    let scene = Scene::new().told();
    let report = scene.audit();
    assert_eq!(report.finding, None);
    assert!(report.ok);
    assert_eq!(report.height, Height(3));
    assert_eq!(report.state_root, scene.roots[2]);
    assert_eq!((report.transactions, report.applied), (14, 12));
    assert_eq!(report.failed.values().sum::<u64>(), 2);
    assert_eq!((report.signatures, report.acknowledgements), (14, 3));
    assert_eq!(report.heights_without_certificate, 3);
    assert_eq!(report.supply, [Supply { chain: CHAIN, genesis: 20_000, found: 20_000 }]);
    let text = report.to_string();
    assert!(text.contains("holds") && text.contains("insufficient balance"), "{text}");
}

#[test]
fn visitors_see_every_transaction_of_every_directory() {
    let scene = Scene::new().told();
    scene.write();
    let mut auditor = Auditor::new(Arc::clone(&scene.network.genesis)).unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let visit = &mut |height: Height, packet: &engine::types::Packet, outcome: Outcome| {
            seen.push((height.0, packet.debit().0, outcome));
        };
        assert!(auditor.audit(&scene.data(), &|_, _| {}, visit).unwrap().ok);
    }
    assert_eq!(seen.len(), 28);
    assert_eq!(seen[..14], seen[14..]);
    assert_eq!(seen[11], (2, 4, Outcome::InsufficientBalance));
    assert_eq!(seen[12], (2, 3, Outcome::Replayed));
}

#[test]
fn a_forged_transaction_is_found() {
    let mut scene = Scene::new();
    let mut forged = scene.transfer(1, 5, 0);
    forged.0[40] += 1;
    let batch = scene.batch(&[scene.transfer(0, 5, 0), forged]);
    let finding = scene.finding();
    assert!(finding.what.contains("transaction 1 of batch"), "{finding}");
    assert!(finding.expected.contains("account 1"), "{finding}");
    assert_eq!(batch.transactions(), 2);
}

#[test]
fn a_forged_acknowledgement_is_found() {
    let mut scene = Scene::new();
    scene.key = SigningKey::from_seed([9; 32]);
    let batch = scene.batch(&[scene.transfer(0, 5, 0)]);
    scene.commit(&[batch], |_| {});
    let finding = scene.finding();
    assert!(finding.expected.contains("acknowledgement signed by validator 0"), "{finding}");
}

#[test]
fn a_certificate_that_is_none_is_found() {
    let mut scene = Scene::new();
    scene.commit(&[], |record| record.certificate = vec![7; 100]);
    let finding = scene.finding();
    assert!(finding.expected.contains("finalization certificate"), "{finding}");
}

type Change = fn(&mut CommittedBlock);

#[test]
fn every_wrong_figure_of_a_record_is_found_with_its_place() {
    let changes: [(Change, &str); 6] = [
        (|record| record.state_root.0[0] ^= 1, "the state root recorded"),
        (|record| record.delta_digest.0[0] ^= 1, "the delta digest"),
        (|record| record.chains[0].accounts_root.0[0] ^= 1, "the accounts root of chain 1"),
        (|record| record.chains[0].transactions_root.0[0] ^= 1, "the transactions root of chain 1"),
        (|record| record.chains[0].transactions += 1, "the number of transactions of chain 1"),
        (|record| record.chains[0].failures.clear(), "the outcomes of chain 1"),
    ];
    for (change, words) in changes {
        let mut scene = Scene::new();
        let batch = scene.batch(&[scene.transfer(0, 5, 0), scene.transfer(0, 5, 0)]);
        scene.commit(&[batch], change);
        let finding = scene.finding();
        assert!(finding.what.contains(words), "{words}: {finding}");
        assert!(finding.what.contains("height 1"), "{finding}");
        assert!(finding.file.ends_with("0000000000000000.segment"), "{finding}");
        assert!(finding.offset > 0, "the batch stands before it: {finding}");
    }
}

#[test]
fn gaps_are_found() {
    let mut scene = Scene::new().told();
    scene.records.remove(0);
    let finding = scene.finding();
    assert!(finding.found.contains("no such batch"), "{finding}");

    let mut scene = Scene::new().told();
    scene.records.retain(|(kind, _)| *kind != KIND_COMMITTED);
    scene.commit(&[], |_| {});
    let finding = scene.finding();
    assert!(finding.expected.contains("height 1") && finding.found.contains('4'), "{finding}");

    let mut scene = Scene::new();
    scene.batch(&[scene.transfer(0, 5, 0)]);
    let batch = scene.batch(&[scene.transfer(1, 5, 0)]);
    scene.commit(&[batch], |_| {});
    let finding = scene.finding();
    assert!(finding.expected.contains("sequence 1"), "{finding}");
}

#[test]
fn a_fork_between_directories_is_found() {
    let one = Scene::new().told();
    let mut other = Scene::of(tempfile::tempdir().unwrap(), one.network.clone());
    let batch = other.batch(&[other.transfer(7, 7, 0)]);
    other.commit(&[batch], |_| {});
    one.write();
    let mut auditor = Auditor::new(Arc::clone(&one.network.genesis)).unwrap();
    assert!(auditor.audit(&one.data(), &|_, _| {}, &mut |_, _, _| {}).unwrap().ok);
    other.network.members[0].directory = other.directory.path().to_owned();
    other.write();
    let report = auditor.audit(&other.data(), &|_, _| {}, &mut |_, _, _| {}).unwrap();
    assert_eq!(report.finding.unwrap().kind, FindingKind::Fork);
}

#[test]
fn a_rotten_byte_is_found_where_it_is() {
    let scene = Scene::new().told();
    scene.write();
    let file = scene.data().join("journal/0000000000000000.segment");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[700] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    let mut auditor = Auditor::new(Arc::clone(&scene.network.genesis)).unwrap();
    let report = auditor.audit(&scene.data(), &|_, _| {}, &mut |_, _, _| {}).unwrap();
    let finding = report.finding.unwrap();
    assert_eq!(finding.kind, FindingKind::Damage);
    assert_eq!(finding.file, file);
    assert!(finding.offset <= 700 && finding.offset + 4096 > 700, "{finding}");
}

#[test]
fn a_directory_of_another_network_is_no_finding_but_an_error() {
    let (one, other) = (Scene::new().told(), Scene::new());
    one.write();
    let mut auditor = Auditor::new(Arc::clone(&other.network.genesis)).unwrap();
    let error = auditor.audit(&one.data(), &|_, _| {}, &mut |_, _, _| {}).unwrap_err();
    let VerifyError::Store { source: StoreError::ForeignOwner { .. }, .. } = error else { panic!("{error}") };
    let nowhere = one.directory.path().join("nowhere");
    assert!(auditor.audit(&nowhere, &|_, _| {}, &mut |_, _, _| {}).is_err());
}
