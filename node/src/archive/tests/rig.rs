//! A network of one that writes a journal as its validator would.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use engine::ingress::Source;
use engine::order::Position;
use engine::replica::{ChainRecord, CommittedBlock, KIND_BATCH, KIND_COMMITTED};
use engine::roots::Ledger;
use engine::store::{Backend, Log, LogKind, Options, Owner};
use engine::types::{
    AccountGenesis, AccountId, Asset, ChainGenesis, ChainId, ChainKind, CryptoSuite, Digest, Epoch, Genesis,
    Head, Height, Packet, Quota, Roles, TransactionId, Transfer, ValidatorGenesis, ValidatorIndex,
};
use engine::verify::{Checked, Job, Verified, Verifier};
use engine::wire::{Batch, BatchSection, Block, Header};
use kernels::ed25519::SigningKey;
use kernels::sha2::sha256;
use proof::Certificate;

use super::super::archiver::Archiver;
use super::super::error::ArchiveError;
use super::super::write::Written;

pub const CHAIN: ChainId = ChainId(1);
const ACCOUNTS: u64 = 20;

fn key(number: u64) -> SigningKey {
    SigningKey::from_seed(sha256(&number.to_le_bytes()))
}

/// A network, its ledger, and the journal of its validator.
pub struct Rig {
    directory: tempfile::TempDir,
    pub genesis: Arc<Genesis>,
    ledger: Ledger,
    verifier: Verifier,
    log: Option<Log>,
    head: Head,
    /// The last block, and where each record of a block stands.
    last: Option<Block>,
    positions: Vec<engine::store::Position>,
    nonces: Vec<u64>,
    /// The first transaction of each height that has one.
    pub transactions: Vec<(Height, TransactionId)>,
}

impl Rig {
    pub fn new() -> Self {
        Self::named("archived")
    }

    pub fn named(name: &str) -> Self {
        let account = |id| AccountGenesis { public_key: key(id).public_key(), balance: 1_000_000 };
        let chain = ChainGenesis {
            id: CHAIN,
            kind: ChainKind::Transfers,
            suite: CryptoSuite::Ed25519,
            asset: Asset::UNIT,
            roles: Roles { quota: Quota::LEAST, ..Roles::default() },
            threshold: 0,
            accounts: (0..ACCOUNTS).map(account).collect(),
        };
        let validator = ValidatorGenesis {
            name: "one".into(),
            public_key: key(1000).public_key(),
            certificate_fingerprint: [2; 32],
        };
        let genesis = Arc::new(Genesis::new(name.into(), vec![validator], vec![chain]).unwrap());
        let ledger = Ledger::genesis(&genesis);
        let keys = vec![key(1000).public_key()];
        let verifier = Verifier::new(*genesis.network(), ledger.states(), keys.into(), Arc::default());
        let directory = tempfile::tempdir().unwrap();
        let owner = |log| Owner { network: genesis.network().0, validator: key(1000).public_key(), log };
        let options = |kind| Options {
            backend: Backend::Portable,
            segment_bytes: 16 << 10,
            group_bytes: 12 << 10,
            reserve_segments: 1,
            ..Options::new(owner(kind))
        };
        let open =
            |name: &str, kind| Log::open(&directory.path().join("data").join(name), options(kind)).unwrap().0;
        drop(open("consensus", LogKind::Votes));
        let log = Some(open("journal", LogKind::Journal));
        let (last, positions, transactions) = (None, Vec::new(), Vec::new());
        let nonces = vec![0; ACCOUNTS as usize];
        let head = Head::NONE;
        Self { directory, ledger, verifier, log, head, last, positions, nonces, transactions, genesis }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn archive(&self) -> PathBuf {
        self.path("archive")
    }

    pub fn height(&self) -> Height {
        self.ledger.height()
    }

    /// Ends the validator: its journal may be audited.
    pub fn close(&mut self) {
        self.log = None;
    }

    fn transfer(&mut self, debit: u64) -> Packet {
        let nonce = &mut self.nonces[debit as usize];
        let transfer = Transfer {
            chain: CHAIN,
            key_version: 1,
            reference: [0; 12],
            debit: AccountId(debit),
            credit_chain: None,
            credit: AccountId((debit + 1) % ACCOUNTS),
            amount: 5,
            nonce: *nonce,
            expiry: Height(1_000_000),
        };
        *nonce += 1;
        transfer.sign(self.genesis.network(), |message| key(debit).sign(message))
    }

    /// The next block with so many payments, and its certificate if that has come.
    pub fn commit(&mut self, payments: u64, certified: bool) {
        self.commit_with(payments, |record| {
            if !certified {
                record.certificate.clear();
            }
        });
    }

    /// The same, after `change` has had its way with the record.
    pub fn commit_with(&mut self, payments: u64, change: impl FnOnce(&mut CommittedBlock)) {
        let height = self.height().next();
        let packets: Vec<Packet> =
            (0..payments).map(|at| self.transfer((height.0 + at) % ACCOUNTS)).collect();
        let batches: Vec<Verified<Batch>> = match packets.is_empty() {
            true => Vec::new(),
            false => vec![self.batch(&packets)],
        };
        self.transactions.extend(packets.first().map(|packet| (height, packet.id(self.genesis.network()))));
        let log = self.log.as_ref().unwrap();
        let places =
            batches.iter().map(|batch| log.append(KIND_BATCH, &[&batch.bytes()[..]]).unwrap()).collect();
        let before = *self.ledger.state_root().digest();
        let header = Header {
            epoch: Epoch(0),
            height,
            view: 2 * height.0,
            parent: self.last.as_ref().map_or(*self.genesis.network(), |block| *block.digest()),
            proposer: ValidatorIndex(0),
            time_ms: height.0,
            roots_first: Height(height.0.max(2) - 1),
            next_members: Digest::default(),
            roots: if height.0 == 1 { Vec::new() } else { vec![before] },
            cut: vec![self.head],
            log: match &self.last {
                None => Position::genesis(*self.genesis.network(), 1).log,
                Some(block) => block.log(),
            },
        };
        let block = Block::new(header).unwrap();
        let executed = self.ledger.execute(block.chain_time(), &batches);
        let deltas: Vec<_> = executed.deltas.iter().flat_map(|delta| delta.digest().0).collect();
        let chain = |entry: &engine::roots::ChainEntry| ChainRecord {
            entry: *entry,
            failures: Vec::new(),
            returned: Vec::new(),
            effects: Vec::new(),
        };
        let mut record = CommittedBlock {
            height,
            delta_digest: Digest(sha256(&deltas)),
            state_root: *executed.state_root.digest(),
            block: block.encode(),
            certificate: self.certificate(&block),
            members: None,
            batches: places,
            chains: executed.state_root.entries().iter().map(chain).collect(),
        };
        change(&mut record);
        let position = log.append(KIND_COMMITTED, &[&record.encode()]).unwrap();
        log.wait_durable(position).unwrap();
        self.positions.push(position);
        self.last = Some(block);
    }

    fn certificate(&self, block: &Block) -> Vec<u8> {
        let view = block.header().view;
        let payload = block.digest().0;
        let (signers, signatures) = (vec![true], Vec::new());
        let mut certificate =
            Certificate { epoch: 0, view, parent_view: view - 2, payload, signers, signatures };
        let message = certificate.message(&self.genesis.network().0);
        certificate.signatures.push(key(1000).sign(&message));
        certificate.encode()
    }

    fn batch(&mut self, packets: &[Packet]) -> Verified<Batch> {
        let sections = [BatchSection { chain: CHAIN, packets: packets.len() as u32 }];
        let (network, author, validator) = (self.genesis.network(), ValidatorIndex(0), key(1000));
        let sign = |message: &[u8]| validator.sign(message);
        let batch =
            Batch::seal(network, (Epoch(0), author), &self.head, Height(0), &sections, packets.iter(), sign);
        self.head = batch.head();
        let job = Job::batch(Source::Peer(author), batch);
        match self.verifier.check(self.ledger.height(), [job].into(), [3; 32]).pop() {
            Some(Checked::Batch(Ok(batch))) => batch,
            other => panic!("{other:?}"),
        }
    }

    /// The journal is pruned: what stands before the record of a height may be overwritten.
    pub fn release(&self, height: Height) {
        let log = self.log.as_ref().unwrap();
        log.release(self.positions[height.0 as usize - 1]);
    }

    pub fn is_pruned(&self) -> bool {
        !self.data().join("journal/0000000000000000.segment").exists()
    }

    pub fn archiver(&self, directory: &Path, file_bytes: u64) -> Result<Archiver, ArchiveError> {
        let opened = Archiver::open(&self.data(), directory, &self.genesis);
        opened.map(|archiver| archiver.with_files_of(file_bytes)).map_err(|error| error.downcast().unwrap())
    }
}

/// One pass into a directory.
pub fn archived(rig: &Rig, directory: &Path, file_bytes: u64) -> Result<Vec<Written>, ArchiveError> {
    let mut archiver = rig.archiver(directory, file_bytes)?;
    let mut written = Vec::new();
    let mut told = |of| written.push(of);
    archiver.pass(|_, _| false, &mut told)?;
    archiver.close(&mut told)?;
    Ok(written)
}

/// One pass into the archive of a rig.
pub fn pass(rig: &Rig, file_bytes: u64) -> Vec<Written> {
    archived(rig, &rig.archive(), file_bytes).unwrap()
}

/// One that is only read.
pub fn shared() -> &'static Rig {
    static SHARED: OnceLock<Rig> = OnceLock::new();
    SHARED.get_or_init(|| {
        let mut rig = Rig::new();
        (0..40).for_each(|height| rig.commit(height % 4, height % 3 != 1));
        pass(&rig, 6_000);
        rig
    })
}
