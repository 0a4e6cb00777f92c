//! A journal written from the fast path, audited by the slow one; then spoilt in every way that matters.

mod epochs;
mod pruned;
mod keys;

use kernels::ed25519::SigningKey;
use kernels::merkle::Frontier;
use kernels::sha2::sha256;

use super::*;
use crate::execute::Delivery;
use crate::roots::Ledger;
use crate::store::{Backend, Log, LogKind, Options, Owner, Position};
use crate::types::{
    AccountGenesis, AccountId, Action, Asset, ChainGenesis, ChainId, ChainKind, Command, CryptoSuite, Effect,
    Epoch, Frozen, LockWindows, NewAccount, NewAccounts, Opening, Packet, PacketRun, Quota, RULES_TRIAL,
    Registrar, Roles, Support, Transaction, Transfer, ValidatorGenesis, ValidatorIndex, possession_message,
};
use crate::verify::Verified;
use crate::wire::{BatchSection, Block, Header};

const CHAIN: ChainId = ChainId(1);
/// Another chain of the same asset.
const OTHER: ChainId = ChainId(2);
const ACCOUNTS: u64 = 20;

/// Records that are numbers: the place of an entry in here.
#[derive(Clone, Default)]
struct Numbered(Vec<Entry>, Option<BaseCheckpoint>);

impl JournalFormat for Numbered {
    fn base_checkpoint(
        &self,
        data: &Path,
        _owner: &Owner,
        _first: Position,
    ) -> Result<Box<BaseCheckpoint>, Finding> {
        let none = || Wrong::new("the checkpoint", "a file", "none").at(data.to_owned(), 0);
        self.1.clone().map(Box::new).ok_or_else(none)
    }

    fn origin_state(&self, archive: &Path) -> Result<Box<BaseCheckpoint>, Finding> {
        let none = || Wrong::new("the state of the origin", "a file", "none").at(archive.to_owned(), 0);
        self.1.clone().map(Box::new).ok_or_else(none)
    }

    fn read(&self, kind: u8, bytes: Vec<u8>) -> Result<Entry, Wrong> {
        assert_eq!(kind, 7, "what the journal was written with");
        let place = usize::from(u16::from_le_bytes(bytes.try_into().unwrap()));
        let entry = self.0.get(place).cloned();
        entry.ok_or_else(|| Wrong::new("a record", "the number of an entry", place))
    }
}

/// Certificates that are a view, a digest and that of the members.
struct Trusting;

impl FinalityCheck for Trusting {
    fn check(&self, members: &Members, certificate: &[u8]) -> Result<FinalBlock, String> {
        let (view, digests) = certificate.split_first_chunk().ok_or("no view")?;
        let (digest, by) = digests.split_first_chunk().ok_or("no digest")?;
        let digest = Digest(*digest);
        if by != members.digest().0 {
            return Err("it is of other members".into());
        }
        Ok(FinalBlock { view: u64::from_le_bytes(*view), digest })
    }
}

/// The certificate of a block by these members, so many views after that of its header.
fn certificate(block: &Block, later: u64, members: &Members) -> Vec<u8> {
    let view = block.header().view.wrapping_add(later);
    [&view.to_le_bytes()[..], &block.digest().0, &members.digest().0].concat()
}

fn signing_key(number: u64) -> SigningKey {
    SigningKey::from_seed(sha256(&number.to_le_bytes()))
}

fn genesis() -> Arc<Genesis> {
    let account = |id| AccountGenesis { public_key: signing_key(id).public_key(), balance: 1000 };
    let chain = |id| ChainGenesis {
        id,
        kind: ChainKind::Transfers,
        suite: CryptoSuite::Ed25519,
        asset: Asset::UNIT,
        roles: Roles {
            issuer: Some(AccountId(1)),
            issuance_cap: 5_000,
            freezer: Some(AccountId(2)),
            registrar: Registrar::Account(AccountId(3)),
            accounts_cap: ACCOUNTS + 5,
            windows: LockWindows { rekey_seconds: 1, recovery_seconds: 2 },
            quota: Quota::LEAST,
            ..Roles::default()
        },
        threshold: 0,
        accounts: (0..ACCOUNTS).map(account).collect(),
    };
    let validator = ValidatorGenesis {
        name: "one".into(),
        public_key: signing_key(1000).public_key(),
        certificate_fingerprint: [2; 32],
    };
    Arc::new(Genesis::new("audited".into(), vec![validator], vec![chain(CHAIN), chain(OTHER)]).unwrap())
}

/// Spoils the record of a block.
type Change = fn(&mut Committed);

/// A network of one, and what its validator would write.
struct Scene {
    directory: tempfile::TempDir,
    genesis: Arc<Genesis>,
    key: SigningKey,
    ledger: Ledger,
    /// Who validates, and the last height of the epoch before.
    members: Members,
    begun: Height,
    parent: Digest,
    /// The log of the headers so far.
    log: Frontier,
    roots: Vec<Digest>,
    /// The last batch that was sealed, and the last that a block took, of the one author.
    author: ValidatorIndex,
    sealed: Head,
    cut: Head,
    entries: Vec<Entry>,
    /// What the last block sent to other chains.
    outboxes: Vec<Vec<Delivery>>,
    /// How far the times of blocks are apart.
    block_ms: u64,
}

impl Scene {
    fn new() -> Self {
        Self::of(genesis(), signing_key(1000))
    }

    /// A network with this genesis, whose first validator has this key.
    fn of(genesis: Arc<Genesis>, key: SigningKey) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            key,
            members: Members::of_genesis(&genesis),
            begun: Height(0),
            author: ValidatorIndex(0),
            ledger: Ledger::genesis(&genesis),
            parent: *genesis.network(),
            log: crate::order::Position::genesis(*genesis.network(), 1).log,
            roots: Vec::new(),
            sealed: Head::NONE,
            cut: Head::NONE,
            entries: Vec::new(),
            outboxes: Vec::new(),
            block_ms: 1,
            genesis,
        }
    }

    fn transfer(&self, debit: u64, amount: u64, nonce: u64) -> Packet {
        let transfer = Transfer {
            chain: CHAIN,
            key_version: 1,
            reference: [0; 12],
            debit: AccountId(debit),
            credit_chain: None,
            credit: AccountId((debit + 1) % ACCOUNTS),
            amount,
            nonce,
            expiry: Height(100),
        };
        transfer.sign(self.genesis.network(), |message| signing_key(debit).sign(message))
    }

    /// A payment to an account of the other chain.
    fn crossing(&self, debit: u64, payee: u64, nonce: u64) -> Packet {
        let transfer = self.transfer(debit, 10, nonce).run().transfer().unwrap();
        let transfer = Transfer { credit_chain: Some(OTHER), credit: AccountId(payee), ..transfer };
        transfer.sign(self.genesis.network(), |message| signing_key(debit).sign(message))
    }

    fn batch(&mut self, packets: &[Packet]) -> Batch {
        self.batch_as_of(packets, 0)
    }

    fn batch_as_of(&mut self, packets: &[Packet], as_of: u64) -> Batch {
        self.batch_on(CHAIN, packets, as_of)
    }

    fn batch_on(&mut self, chain: ChainId, packets: &[Packet], as_of: u64) -> Batch {
        let sections = [BatchSection { chain, packets: packets.len() as u32 }];
        let (network, of) = (self.genesis.network(), (self.members.epoch, self.author));
        let sign = |message: &[u8]| self.key.sign(message);
        let batch = Batch::seal(network, of, &self.sealed, Height(as_of), &sections, packets.iter(), sign);
        self.sealed = batch.head();
        self.entries.push(Entry::Batch(batch.clone()));
        batch
    }

    /// Executes a block and journals it, after `change` has had its way with the record.
    fn commit(&mut self, batches: &[Batch], change: impl FnOnce(&mut Committed)) {
        self.commit_as(batches, |_| {}, change);
    }

    /// The same with another header.
    fn commit_as(
        &mut self,
        batches: &[Batch],
        other: impl FnOnce(&mut Header),
        change: impl FnOnce(&mut Committed),
    ) {
        let height = Height(self.roots.len() as u64 + 1);
        let mut cut = vec![Head::NONE; self.members.list.len()];
        cut[usize::from(self.author.0)] = batches.last().map_or(self.cut, Batch::head);
        let (epoch, roots_first) = (self.members.epoch, Height(height.0.max(2) - 1));
        let roots: Vec<_> = self.roots.last().copied().into_iter().collect();
        let mut header = Header {
            epoch,
            height,
            view: (height.0 - self.begun.0) * 2,
            parent: self.parent,
            proposer: ValidatorIndex(0),
            time_ms: height.0 * self.block_ms,
            roots_first,
            next_members: self.ledger.next_members(epoch).due(roots_first, roots.len()),
            roots,
            cut,
            log: self.log.clone(),
        };
        other(&mut header);
        let block = Block::new(header).unwrap();
        let verified: Vec<_> = batches.iter().cloned().map(Verified::assumed).collect();
        let executed = self.ledger.execute(block.chain_time(), &verified);
        let digests: Vec<u8> = executed.deltas.iter().flat_map(|delta| delta.digest().0).collect();
        let chain = |(entry, delta): (&crate::roots::ChainEntry, &crate::execute::Delta)| {
            let failed = (0..).zip(delta.outcomes()).filter(|(_, outcome)| outcome.is_failure());
            let failures = failed.map(|(place, outcome)| (place, *outcome)).collect();
            let back = delta.inbox().iter().filter(|came| came.outcome.is_failure());
            let returned = back.map(|came| (came.delivery.crossing.transaction, came.outcome)).collect();
            CommittedChain { entry: *entry, failures, returned, effects: delta.effects().to_vec() }
        };
        let mut record = Committed {
            height,
            certificate: certificate(&block, 0, &self.members),
            members: block.next_members().map(|_| self.ledger.members()),
            state_root: *executed.state_root.digest(),
            delta_digest: Digest(sha256(&digests)),
            chains: executed.state_root.entries().iter().zip(&executed.deltas).map(chain).collect(),
            block,
        };
        change(&mut record);
        self.parent = *record.block.digest();
        self.log = record.block.log();
        self.cut = record.block.cut()[usize::from(self.author.0)];
        if record.block.next_members().is_some() {
            (self.members, self.begun) = (self.ledger.members(), height);
            (self.sealed, self.cut) = (Head::NONE, Head::NONE);
        }
        self.roots.push(*executed.state_root.digest());
        self.outboxes = executed.deltas.iter().map(|delta| delta.outbox().to_vec()).collect();
        self.entries.push(Entry::Committed(Box::new(record)));
    }

    /// Three blocks: transfers, failed ones among them, and an empty block.
    fn told(mut self) -> Self {
        let good: Vec<_> = (0..10).map(|at| self.transfer(at, 10 + at, 0)).collect();
        let first = self.batch(&good);
        self.commit(&[first], |_| {});
        let mixed = [self.transfer(3, 5, 1), self.transfer(4, 100_000, 1), self.transfer(3, 5, 1)];
        let (second, third) = (self.batch(&mixed), self.batch(&[self.transfer(9, 1, 7)]));
        self.commit(&[second, third], |_| {});
        self.commit(&[], |record| record.certificate.clear());
        self
    }

    /// Writes the journal, with the vote log that every validator has.
    fn write(&self) {
        let parts =
            [("journal", LogKind::Journal, self.entries.len() as u16), ("consensus", LogKind::Votes, 0)];
        for (log, kind, records) in parts {
            let validator = self.genesis.validators()[0].public_key;
            let mut options = Options::new(Owner { network: self.genesis.network().0, validator, log: kind });
            options.backend = Backend::Portable;
            options.segment_bytes = 8 << 20;
            let (log, _) = Log::open(&self.directory.path().join(log), options).unwrap();
            for number in 0..records {
                log.append(7, &[&number.to_le_bytes()]).unwrap();
            }
        }
    }

    /// An auditor that can read what stands in the scene's journal.
    fn auditor(&self) -> Auditor {
        self.auditor_of(Support::OURS)
    }

    /// One of a program that runs these rules.
    fn auditor_of(&self, support: Support) -> Auditor {
        let format = Box::new(Numbered(self.entries.clone(), None));
        Auditor::new((Arc::clone(&self.genesis), support), [3; 32], format, Box::new(Trusting))
    }

    fn audit(&self) -> AuditReport {
        self.write();
        self.auditor().audit(self.directory.path(), &|_, _| {}, &mut |_, _, _| {}).unwrap()
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
    assert_eq!((report.signatures, report.author_signatures), (14, 3));
    assert_eq!((report.finalizations, report.heights_without_certificate), (2, 1));
    assert_eq!(
        report.supply,
        [Supply {
            asset: "UNIT".into(),
            genesis: 40_000,
            balances: 40_000,
            reserved: 0,
            in_flight: 0,
            issued: 0,
            burned: 0
        }]
    );
    assert_eq!(
        report.failed.keys().map(String::as_str).collect::<Vec<_>>(),
        ["insufficient balance", "replayed"]
    );
}

#[test]
fn a_block_that_takes_more_than_a_quota_is_found_unless_it_is_one_batch() {
    let mut scene = Scene::new();
    let one = scene.transfer(1, 1, 0);
    let (large, small) = (scene.batch(&[one; 513]), scene.batch(&[one; 300]));
    scene.commit(&[large], |_| {});
    scene.commit(&[small], |_| {});
    let two = [scene.batch(&[one; 300]), scene.batch(&[one; 213])];
    scene.commit(&two, |_| {});
    let finding = scene.finding();
    assert_eq!((finding.kind, &*finding.what), (FindingKind::Wrong, "the block at height 3"));
    assert!(finding.expected.contains("65536 bytes of chain"), "{}", finding.expected);
    assert_eq!(finding.found, "65664 bytes");
}

#[test]
fn visitors_see_every_transaction_of_every_directory() {
    let scene = Scene::new().told();
    scene.write();
    let mut auditor = scene.auditor();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let visit = &mut |height: Height, transaction: PacketRun<'_>, outcome: Outcome| {
            seen.push((height.0, transaction.debit().0, outcome));
        };
        assert!(auditor.audit(scene.directory.path(), &|_, _| {}, visit).unwrap().ok);
    }
    assert_eq!(seen.len(), 28);
    assert_eq!(seen[..14], seen[14..]);
    assert_eq!(seen[11], (2, 4, Outcome::InsufficientBalance));
    assert_eq!(seen[12], (2, 3, Outcome::Replayed));
}

#[test]
fn commands_are_counted_and_what_is_issued_and_burned_is_in_the_sum() {
    let mut scene = Scene::new();
    let ordered = |scene: &Scene, authority, action, nonce| {
        let command = crate::execute::tests::command(authority, action, nonce);
        let command = Command { chain: CHAIN, ..command };
        command.sign(scene.genesis.network(), |message| signing_key(authority).sign(message))
    };
    let packets = [
        ordered(&scene, 1, Action::Issue { to: AccountId(7), amount: 4_000 }, 0),
        ordered(&scene, 1, Action::Burn { amount: 300 }, 1),
        ordered(&scene, 2, Action::Freeze { account: AccountId(5), frozen: Frozen::DEBIT }, 0),
        ordered(&scene, 3, Action::Burn { amount: 1 }, 0),
        scene.transfer(5, 1, 0),
        scene.transfer(4, 1, 0),
    ];
    let batch = scene.batch(&packets);
    scene.commit(&[batch], |_| {});
    let report = scene.audit();
    assert_eq!(report.finding, None);
    assert_eq!((report.transactions, report.applied, report.commands), (6, 1, 3));
    assert_eq!(
        report.failed.keys().map(String::as_str).collect::<Vec<_>>(),
        ["debit account frozen", "role not held"]
    );
    let [supply] = &report.supply[..] else { panic!("one asset") };
    assert_eq!((supply.issued, supply.burned, supply.balances), (4_000, 300, 43_700));
    assert_eq!((supply.expected(), supply.found()), (43_700, 43_700));

    // A record that hides what was issued does not lead to the oracle's entry.
    let mut scene = Scene::new();
    let batch = scene.batch(&packets[..1]);
    scene.commit(&[batch], |record| record.chains[0].entry.issuance.issued = 0);
    assert!(scene.finding().what.contains("entry"), "{:?}", scene.finding());
}

#[test]
fn payments_between_chains_are_followed_to_their_end() {
    let mut scene = Scene::new();
    let packets = [scene.crossing(1, 2, 0), scene.crossing(3, 1 << 20, 0), scene.transfer(5, 7, 0)];
    let batch = scene.batch(&packets);
    scene.commit(&[batch], |_| {});
    let report = scene.audit();
    assert_eq!(report.finding, None);
    let supply = |balances, in_flight| Supply {
        asset: "UNIT".into(),
        genesis: 40_000,
        balances,
        reserved: 0,
        in_flight,
        issued: 0,
        burned: 0,
    };
    assert_eq!(report.supply, [supply(39_980, 20)]);

    scene.directory = tempfile::tempdir().unwrap();
    scene.commit(&[], |_| {});
    scene.commit(&[], |_| {});
    scene.write();
    let mut seen = Vec::new();
    let visit = &mut |height: Height, transaction: PacketRun<'_>, outcome: Outcome| {
        seen.push((height.0, transaction.debit().0, outcome));
    };
    let report = scene.auditor().audit(scene.directory.path(), &|_, _| {}, visit).unwrap();
    assert_eq!(report.finding, None);
    let of_debit = [(1, 5, Outcome::Applied), (2, 1, Outcome::Applied), (3, 3, Outcome::UnknownCredit)];
    assert_eq!(seen, of_debit);
    assert_eq!((report.applied, report.crossed, report.refunded["unknown credit account"]), (1, 1, 1));
    assert_eq!(report.supply, [supply(40_000, 0)]);
}

#[test]
fn what_a_record_says_of_payments_between_chains_is_compared() {
    let changes: [(Change, &str); 4] = [
        (|record| record.chains[1].returned.clear(), "the payments from other chains of chain 2"),
        (|record| record.chains[1].entry.inbox_root.0[3] ^= 1, "the entry of chain 2"),
        (|record| record.chains[1].entry.outbox += 1, "the entry of chain 2"),
        (|record| record.chains[0].entry.accounts += 1, "the entry of chain 1"),
    ];
    for (change, words) in changes {
        let mut scene = Scene::new();
        let batch = scene.batch(&[scene.crossing(3, 1 << 20, 0)]);
        scene.commit(&[batch], |_| {});
        scene.commit(&[], change);
        let finding = scene.finding();
        assert!(finding.what.contains(words), "{finding}");
    }
}

#[test]
fn what_is_said_to_have_taken_effect_by_itself_is_compared() {
    let mut scene = Scene::new();
    scene.commit(&[], |record| {
        let released = Effect::Released { payer: AccountId(3), nonce: 0, amount: 1 };
        record.chains[1].effects.push(released);
    });
    let finding = scene.finding();
    assert!(finding.what.contains("what took effect by itself of chain 2"), "{finding}");
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
fn a_batch_that_its_author_did_not_sign_is_found() {
    let mut scene = Scene::new();
    scene.key = SigningKey::from_seed([9; 32]);
    scene.batch(&[scene.transfer(0, 5, 0)]);
    let finding = scene.finding();
    assert!(finding.expected.contains("a signature of validator 0"), "{finding}");
}

#[test]
fn another_body_than_the_header_names_is_found() {
    let mut scene = Scene::new();
    let batch = scene.batch(&[scene.transfer(0, 5, 0)]);
    let mut bytes = batch.bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let other = Batch::decode(scene.genesis.network(), bytes.into()).unwrap();
    scene.entries = vec![Entry::Batch(other)];
    let finding = scene.finding();
    assert!(finding.expected.contains("the body that its header names"), "{finding}");
}

#[test]
fn starts_and_proposals_prove_nothing_and_a_branch_that_lost_is_no_finding() {
    let mut scene = Scene::new();
    let loses = scene.batch(&[scene.transfer(5, 5, 0)]);
    scene.sealed = Head::NONE;
    let wins = scene.batch(&[scene.transfer(6, 5, 0)]);
    scene.entries.push(Entry::Boot);
    scene.commit(&[wins], |_| {});
    let Some(Entry::Committed(record)) = scene.entries.last().cloned() else {
        panic!("a block was committed")
    };
    scene.entries.push(Entry::Block(record.block.clone()));
    let report = scene.audit();
    assert_eq!((report.finding, report.applied, report.batches), (None, 1, 2));
    assert_ne!(loses.head(), scene.cut);
}

#[test]
fn a_block_with_the_log_of_other_headers_is_found() {
    let mut scene = Scene::new();
    scene.commit(&[], |_| {});
    scene.log = Frontier::new(2, vec![[7; 32]]).unwrap();
    scene.commit(&[], |_| {});
    let finding = scene.finding();
    let (expected, found) = ("the log of earlier headers with the root ", Digest([7; 32]).to_string());
    assert!(finding.expected.starts_with(expected) && finding.found.ends_with(&found), "{finding}");
}

#[test]
fn a_certificate_that_proves_nothing_or_something_else_is_found() {
    let changes: [(Change, &str); 3] = [
        (|record| record.certificate = vec![7; 5], "finalization certificate"),
        (|record| record.certificate[9] ^= 1, "a certificate for"),
        (|record| record.certificate[0] ^= 1, "view 2, as its header says"),
    ];
    for (change, words) in changes {
        let mut scene = Scene::new();
        scene.commit(&[], change);
        let finding = scene.finding();
        assert!(finding.expected.contains(words), "{words}: {finding}");
    }
}

/// The fast tree of the validator has a bug: it loses an account of each block. Every root it records, carries in
/// headers and compares with its peers, who run the same code, has the bug in it.
#[test]
fn a_bug_of_the_fast_tree_is_found() {
    let mut scene = Scene::new();
    let batch = scene.batch(&[scene.transfer(0, 5, 0), scene.transfer(7, 5, 0)]);
    let before = Ledger::genesis(&scene.genesis).states().get(CHAIN).unwrap().account(AccountId(8)).unwrap();
    let mut lost = None;
    scene.commit(&[batch], |record| lost = Some(record.chains[0].entry.accounts_root));
    let states = scene.ledger.states();
    let accounts = states.get(CHAIN).unwrap();
    let root_with = |last: crate::execute::AccountState| {
        let state = |id: usize| accounts.account(AccountId(id as u64)).unwrap();
        crate::roots::AccountTree::new(
            (0..ACCOUNTS as usize).map(|id| if id == 8 { last } else { state(id) }),
        )
        .root()
    };
    assert_eq!(Some(root_with(accounts.account(AccountId(8)).unwrap())), lost, "the tree without the bug");
    let Some(Entry::Committed(record)) = scene.entries.last_mut() else { panic!("a block was committed") };
    record.chains[0].entry.accounts_root = root_with(before);
    let finding = scene.finding();
    assert_eq!(finding.kind, FindingKind::Root);
    assert!(finding.what.contains("the accounts root of chain 1"), "{finding}");
}

#[test]
fn every_wrong_figure_of_a_record_is_found_with_its_place() {
    let changes: [(Change, &str); 6] = [
        (|record| record.state_root.0[0] ^= 1, "the state root recorded"),
        (|record| record.delta_digest.0[0] ^= 1, "the delta digest"),
        (|record| record.chains[0].entry.accounts_root.0[0] ^= 1, "the accounts root of chain 1"),
        (|record| record.chains[0].entry.transactions_root.0[0] ^= 1, "the transactions root of chain 1"),
        (|record| record.chains[0].entry.transactions += 1, "the number of transactions of chain 1"),
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
    scene.entries.remove(0);
    let finding = scene.finding();
    assert!(finding.found.contains("no such batch"), "{finding}");

    let mut scene = Scene::new().told();
    scene.entries.retain(|entry| matches!(entry, Entry::Batch(_)));
    scene.commit(&[], |_| {});
    let finding = scene.finding();
    assert!(finding.expected.contains("height 1") && finding.found.contains('4'), "{finding}");

    let mut scene = Scene::new();
    scene.batch(&[scene.transfer(0, 5, 0)]);
    let batch = scene.batch(&[scene.transfer(1, 5, 0)]);
    scene.commit(&[batch], |_| {});
    scene.entries.remove(0);
    let finding = scene.finding();
    assert!(finding.found.contains("no such batch"), "{finding}");

    // A cut that goes back, or to a branch that another block has left behind.
    let mut scene = Scene::new().told();
    scene.sealed = Head::NONE;
    let elsewhere = scene.batch(&[scene.transfer(1, 5, 1)]);
    scene.commit(&[elsewhere], |_| {});
    let finding = scene.finding();
    assert!(finding.expected.contains("goes on from"), "{finding}");
}

#[test]
fn a_fork_between_directories_is_found() {
    let one = Scene::new().told();
    let mut other = Scene::new();
    let batch = other.batch(&[other.transfer(7, 7, 0)]);
    other.commit(&[batch], |_| {});
    one.write();
    other.write();
    let mut auditor = one.auditor();
    assert!(auditor.audit(one.directory.path(), &|_, _| {}, &mut |_, _, _| {}).unwrap().ok);
    auditor.format = Box::new(Numbered(other.entries.clone(), None));
    let report = auditor.audit(other.directory.path(), &|_, _| {}, &mut |_, _, _| {}).unwrap();
    assert_eq!(report.finding.unwrap().kind, FindingKind::Fork);
}

#[test]
fn a_record_that_cannot_be_read_is_found_where_it_is() {
    let mut scene = Scene::new().told();
    scene.write();
    scene.entries.truncate(2);
    let report = scene.auditor().audit(scene.directory.path(), &|_, _| {}, &mut |_, _, _| {}).unwrap();
    let finding = report.finding.unwrap();
    assert_eq!((finding.expected.as_str(), finding.found.as_str()), ("the number of an entry", "2"));
    assert_eq!((report.records, report.height), (3, Height(1)));
}

#[test]
fn a_rotten_byte_is_found_where_it_is() {
    let scene = Scene::new().told();
    scene.write();
    let file = scene.directory.path().join("journal/0000000000000000.segment");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[700] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    let mut auditor = scene.auditor();
    let report = auditor.audit(scene.directory.path(), &|_, _| {}, &mut |_, _, _| {}).unwrap();
    let finding = report.finding.unwrap();
    assert_eq!(finding.kind, FindingKind::Damage);
    assert_eq!(finding.file, file);
    assert!(finding.offset <= 700 && finding.offset + 4096 > 700, "{finding}");
}

#[test]
fn a_directory_of_another_network_is_no_finding_but_an_error() {
    let scene = Scene::new().told();
    scene.write();
    let other =
        Genesis::new("other".into(), scene.genesis.validators().to_vec(), scene.genesis.chains().to_vec());
    let format = Box::new(Numbered::default());
    let mut auditor =
        Auditor::new((Arc::new(other.unwrap()), Support::OURS), [3; 32], format, Box::new(Trusting));
    let error = auditor.audit(scene.directory.path(), &|_, _| {}, &mut |_, _, _| {}).unwrap_err();
    let AuditError::Store { source, .. } = error;
    assert!(matches!(source, StoreError::ForeignOwner { .. }), "{source}");
    let nowhere = scene.directory.path().join("nowhere");
    assert!(auditor.audit(&nowhere, &|_, _| {}, &mut |_, _, _| {}).is_err());
}
