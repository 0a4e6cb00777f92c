//! A network of one, at first, that writes a journal as its validator would.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use engine::ingress::Source;
use engine::order::Position;
use engine::replica::{ChainRecord, CommittedBlock, KIND_BATCH, KIND_COMMITTED};
use engine::roots::Ledger;
use engine::store::{Backend, Log, LogKind, Options, Owner};
use engine::types::{
    AccountGenesis, AccountId, Asset, ChainGenesis, ChainId, ChainKind, Consent, Consents, CryptoSuite,
    Decision, Digest, EncodedDecision, Genesis, Head, Height, Member, MemberChange, Members, Membership,
    Packet, Propose, Quota, Roles, TransactionId, Transfer, ValidatorGenesis, ValidatorIndex,
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
const DECIDES: ChainId = ChainId(7);
const ACCOUNTS: u64 = 20;

fn key(number: u64) -> SigningKey {
    SigningKey::from_seed(sha256(&number.to_le_bytes()))
}

/// A validator: 0 is that of the genesis.
pub fn member(number: u8) -> Member {
    Member {
        name: format!("number {number}"),
        public_key: key(1000 + u64::from(number)).public_key(),
        certificate_fingerprint: [2 + number; 32],
        peer_address: String::new(),
        client_address: String::new(),
    }
}

fn validator_key(member: &Member) -> SigningKey {
    key(998 + u64::from(member.certificate_fingerprint[0]))
}

/// A network, its ledger, and the journal of its validator.
pub struct Rig {
    directory: tempfile::TempDir,
    pub genesis: Arc<Genesis>,
    ledger: Ledger,
    verifier: Verifier,
    log: Option<Log>,
    /// Who validates, and the last height of the epoch before.
    members: Members,
    begun: Height,
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
        let administrators = ChainGenesis {
            id: DECIDES,
            kind: ChainKind::Governance,
            asset: Asset::NONE,
            threshold: 1,
            accounts: vec![AccountGenesis { public_key: key(0).public_key(), balance: 0 }],
            ..chain.clone()
        };
        let chains = vec![chain, administrators];
        let genesis = Genesis::with_membership(name.into(), vec![validator], Membership::Decided, chains);
        let genesis = Arc::new(genesis.unwrap());
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
        let (head, begun, members) = (Head::NONE, Height(0), Members::of_genesis(&genesis));
        Self {
            directory,
            ledger,
            verifier,
            log,
            members,
            begun,
            head,
            last,
            positions,
            nonces,
            transactions,
            genesis,
        }
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
        self.transactions.extend(packets.first().map(|packet| (height, packet.id(self.genesis.network()))));
        self.commit_packets(&packets, change);
    }

    fn commit_packets(&mut self, packets: &[Packet], change: impl FnOnce(&mut CommittedBlock)) {
        let height = self.height().next();
        let batches: Vec<Verified<Batch>> = match packets.is_empty() {
            true => Vec::new(),
            false => vec![self.batch(packets)],
        };
        let log = self.log.as_ref().unwrap();
        let places =
            batches.iter().map(|batch| log.append(KIND_BATCH, &[&batch.bytes()[..]]).unwrap()).collect();
        let before = *self.ledger.state_root().digest();
        let (epoch, roots_first) = (self.members.epoch, Height(height.0.max(2) - 1));
        let roots = if height.0 == 1 { Vec::new() } else { vec![before] };
        let mut cut = vec![Head::NONE; self.members.list.len()];
        cut[0] = self.head;
        let header = Header {
            epoch,
            height,
            view: 2 * (height.0 - self.begun.0),
            parent: self.last.as_ref().map_or(*self.genesis.network(), |block| *block.digest()),
            proposer: ValidatorIndex(0),
            time_ms: height.0,
            roots_first,
            next_members: self.ledger.next_members(epoch).due(roots_first, roots.len()),
            roots,
            cut,
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
            members: block.next_members().map(|_| self.ledger.members()),
            batches: places,
            chains: executed.state_root.entries().iter().map(chain).collect(),
        };
        change(&mut record);
        let position = log.append(KIND_COMMITTED, &[&record.encode()]).unwrap();
        log.wait_durable(position).unwrap();
        self.positions.push(position);
        if block.next_members().is_some() {
            (self.members, self.begun, self.head) = (self.ledger.members(), height, Head::NONE);
            let (network, keys) = (*self.genesis.network(), self.members.keys());
            self.verifier = Verifier::new(network, self.ledger.states(), keys.into(), Arc::default());
        }
        self.last = Some(block);
    }

    /// The next block decides that members change so, with the consents of all that then are.
    pub fn decide(&mut self, change: MemberChange) {
        let (network, set, height) =
            (*self.genesis.network(), self.members.after(&change).unwrap(), self.height());
        let message = Consent::message(&network, (set.epoch, set.rules, &set.digest()), height);
        let agree = (0..).map(ValidatorIndex).zip(&set.list).map(|(place, member)| Consent {
            place,
            height,
            signature: validator_key(member).sign(&message),
        });
        let consents = Consents::encode(agree.collect());
        let decision = Decision::Members(change).encode();
        let propose = Propose {
            chain: DECIDES,
            key_version: 1,
            reference: [0; 12],
            administrator: AccountId(0),
            administrators: 1,
            until_ms: u64::MAX,
            consents: Consents::read(&consents).unwrap(),
            decision: EncodedDecision::read(&decision).unwrap(),
            nonce: self.members.epoch.0,
            expiry: Height(1_000_000),
        };
        let signed = propose.sign(&network, |message| key(0).sign(message)).unwrap();
        let packets = signed.run().packets().to_vec();
        self.commit_packets(&packets, |_| {});
        assert_eq!(self.ledger.members(), set);
    }

    fn certificate(&self, block: &Block) -> Vec<u8> {
        let (view, payload, epoch) = (block.header().view, block.digest().0, block.header().epoch.0);
        let (signers, signatures) = (vec![true; self.members.list.len()], Vec::new());
        let mut certificate =
            Certificate { epoch, view, parent_view: view - 2, payload, signers, signatures };
        let message = certificate.message(&self.genesis.network().0);
        let mut members: Vec<_> = self.members.list.iter().collect();
        members.sort_by_key(|member| member.public_key);
        certificate.signatures.extend(members.iter().map(|member| validator_key(member).sign(&message)));
        certificate.encode()
    }

    fn batch(&mut self, packets: &[Packet]) -> Verified<Batch> {
        let sections = [BatchSection { chain: packets[0].chain(), packets: packets.len() as u32 }];
        let (network, author) = (self.genesis.network(), ValidatorIndex(0));
        let validator = validator_key(&self.members.list[0]);
        let sign = |message: &[u8]| validator.sign(message);
        let batch = Batch::seal(
            network,
            (self.members.epoch, author),
            &self.head,
            Height(0),
            &sections,
            packets.iter(),
            sign,
        );
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
        let opened = Archiver::open(&self.data(), directory, (&self.genesis, Path::new("genesis.toml")));
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
