//! The validators and what is between them.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::super::*;
use super::founded::{genesis, key, transfer, validator_seed};
use super::world::World;
use crate::mempool::{Mempool, Mempools, Origin};
use crate::order::{Finality, FinalityEvidence, FinalityVerifier, Proposal, Roots};
use crate::roots::Ledger;
use crate::store::{Backend, Log, LogKind, Options, Owner, Replay};
use crate::types::{
    ChainId, Digest, Epoch, Genesis, Head, Height, Members, Packet, PacketRun, Quota, Refusal, Support,
    Transaction, Transfer, ValidatorIndex,
};
use crate::verify::{BatchFault, BatchRefusal, Tally, Verified};
use crate::wire::{Batch, BatchSection, Block, PeerMessage, PeerVersion};

pub const CONNECTION: u64 = 9;
pub const CHAIN: ChainId = ChainId(7);
/// Another chain of the same asset.
pub const OTHER: ChainId = ChainId(8);
/// Accounts of each chain.
pub const ACCOUNTS: u64 = 8;

/// A checkpoint is due at every third height.
pub const SCHEDULE: (u64, u64) = (3, u64::MAX);

pub fn schedule() -> Schedule {
    Schedule::new(SCHEDULE.0, SCHEDULE.1)
}

/// A certificate is "view (8 bytes) | digest".
fn finality(view: u64, digest: Digest) -> Finality {
    let certificate = [&view.to_le_bytes()[..], &digest.0].concat();
    Finality::handed_on(FinalityEvidence { epoch: Epoch(0), view, digest, certificate: &certificate })
}

pub struct Plain;

impl FinalityVerifier for Plain {
    fn verify(&self, certificate: &[u8]) -> Option<Finality> {
        let (view, digest) = certificate.split_first_chunk::<8>()?;
        let digest = Digest(digest.try_into().ok()?);
        Some(finality(u64::from_le_bytes(*view), digest))
    }

    /// The scripts say who proposes; here one of four is as good as another.
    fn leader(&self, _: Epoch, view: u64) -> ValidatorIndex {
        ValidatorIndex((view % 4) as u16)
    }

    fn learn(&self, _: &Members) {}
}

pub fn options() -> Options {
    Options {
        backend: Backend::Portable,
        segment_bytes: 1 << 20,
        group_bytes: 1 << 18,
        ..Options::new(Owner { network: [5; 32], validator: [0; 32], log: LogKind::Journal })
    }
}

pub struct Node {
    pub replica: Replica,
    pub committer: Committer,
    pub world: World,
    mempools: Arc<Mempools>,
    directory: TempDir,
    network: Digest,
    authors: Vec<[u8; 32]>,
    /// Whether what is written becomes durable by itself.
    pub syncs: bool,
    /// Whether finalized blocks are executed.
    pub executes: bool,
    /// The roots that recovery has found.
    pub recovered: Vec<(Height, Digest)>,
}

impl Node {
    /// Where its journal is.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    pub fn mempool(&self) -> &Mempool {
        self.mempools.get(CHAIN).unwrap()
    }

    pub fn input(&mut self, input: Input, now: Now) {
        self.replica.handle(input, now, &mut self.world);
        while let Some(input) = self.world.to_tell.pop_front() {
            self.replica.handle(input, now, &mut self.world);
        }
    }

    /// The next `count` records have become durable.
    fn sync(&mut self, count: usize, now: Now) {
        let Some((_, durable)) = self.world.unsynced.drain(..count).next_back() else { return };
        self.committer.durable(&durable, now, &mut self.world);
        self.input(Input::Durable(durable), now);
    }

    /// Does what was handed on. True if there was something.
    pub fn work(&mut self, now: Now) -> bool {
        let mut rest = VecDeque::new();
        let mut done = false;
        while let Some(work) = self.world.work.pop_front() {
            match work {
                Work::Execute(job) if !self.executes => {
                    rest.push_back(Work::Execute(job));
                    continue;
                }
                Work::Execute(job) => {
                    self.committer.execute(*job, now, &mut self.world).unwrap();
                    self.input(Input::Time, now);
                }
                Work::Check(Check { from, pushed, batch }) => {
                    let name = (batch.id().author, batch.head());
                    let verdict = self.check(batch);
                    self.input(Input::Checked { from, batch: name, pushed, verdict }, now);
                }
                Work::NextEpoch(height) => self.world.epoch_over = Some(height),
                work @ (Work::ReadState(..) | Work::State(_)) => self.world.about_states.push(work),
                Work::Read(to, read) => {
                    let World { log, index, .. } = &self.world;
                    let reader = JournalReader { records: log, index, network: &self.network };
                    let answers = reader.answer(&read);
                    self.world.mail.extend(answers.into_iter().map(|message| (To::One(to), message)));
                }
            }
            done = true;
        }
        self.world.work = rest;
        done
    }

    fn check(&self, batch: Batch) -> Result<Verified<Batch>, BatchRefusal> {
        let id = batch.id();
        let refusal = |fault| BatchRefusal { batch: id, position: 0, fault, tally: Tally::default() };
        let author = &self.authors[usize::from(id.author.0)];
        if !kernels::ed25519::verify(author, &batch.message(), batch.signature()) {
            return Err(refusal(BatchFault::BadAuthorSignature));
        }
        // Signatures of clients are looked at elsewhere; zeros stand for a bad one.
        if PacketRun::all(batch.packets()).any(|run| *run.signature() == [0; 64]) {
            return Err(refusal(BatchFault::BadSignature));
        }
        Verified::committed(batch).ok_or(refusal(BatchFault::WrongBody))
    }
}

pub struct Rig {
    pub nodes: Vec<Node>,
    pub now: Duration,
    pub genesis: Arc<Genesis>,
    isolated: BTreeSet<usize>,
    questions: u64,
    /// What those that start from now on know of later epochs.
    pub known: Option<Epochs>,
    /// What those speak that connect from now on.
    pub version: PeerVersion,
    /// Sees every message, from whom and to whom, and says whether it arrives.
    pub link: Link,
}

/// See [`Rig::link`].
pub type Link = Box<dyn FnMut(usize, usize, &PeerMessage) -> bool>;

impl Rig {
    /// So many validators, connected.
    pub fn new(validators: usize) -> Self {
        Self::with_quota(validators, Quota::WHOLE)
    }

    /// The same, where the first chain has a quota.
    pub fn with_quota(validators: usize, quota: Quota) -> Self {
        let genesis = Arc::new(genesis(validators, quota));
        let (isolated, now) = (BTreeSet::new(), Duration::from_secs(10));
        let link: Link = Box::new(|_, _, _| true);
        let (nodes, known, version) = (Vec::new(), None, PeerVersion::LAST);
        let mut rig = Self { nodes, now, genesis, isolated, questions: 0, known, version, link };
        for me in 0..validators {
            let node = rig.start(me, tempfile::tempdir().unwrap(), Losses::default());
            rig.nodes.push(node);
        }
        for (one, other) in (0..validators).flat_map(|one| (0..one).map(move |other| (one, other))) {
            rig.connect(one, other);
        }
        rig.advance(20);
        rig
    }

    /// What a journal amounts to.
    pub fn recover(&self, mut replay: Replay) -> Result<(Recovered, Ledger, Roots), RecoveryError> {
        let recovery =
            Recovery { genesis: &self.genesis, support: Support::OURS, certificates: &Plain, seed: [3; 32] };
        recovery.run(Start::genesis(&self.genesis, Support::OURS, schedule()), &mut replay, |_, _| Ok(()))
    }

    fn start(&self, me: usize, directory: TempDir, losses: Losses) -> Node {
        let (log, mut replay) = Log::open(directory.path(), options()).unwrap();
        let index = BlockIndex::default();
        let mut roots_found = Vec::new();
        let recovery =
            Recovery { genesis: &self.genesis, support: Support::OURS, certificates: &Plain, seed: [3; 32] };
        let start = Start::genesis(&self.genesis, Support::OURS, schedule());
        let recovered = recovery.run(start, &mut replay, |progress, executed| {
            index.committed(progress.height, progress.position);
            roots_found.push((progress.height, *executed.state_root.digest()));
            Ok::<_, RecoveryError>(())
        });
        let (recovered, ledger, roots) = recovered.unwrap();
        let mempools = Arc::new(Mempools::new(&ledger.states(), 256, 64));
        let settings = Settings::new(ValidatorIndex(me as u16), self.genesis.validators().len());
        let settings = Settings { observers: 1, known: self.known.clone(), ..settings };
        let replica = Replica::new(
            &self.genesis,
            settings,
            &[validator_seed(me); 32],
            Box::new(Plain),
            Arc::clone(&mempools),
            recovered,
            losses,
        );
        Node {
            replica,
            committer: Committer::new(ledger, roots, Arc::clone(&mempools)),
            world: World::new(log, index),
            mempools,
            directory,
            network: *self.genesis.network(),
            authors: self.genesis.validators().iter().map(|validator| validator.public_key).collect(),
            syncs: true,
            executes: true,
            recovered: roots_found,
        }
    }

    /// One more, which is no validator: it follows.
    pub fn follow(&mut self) {
        let me = self.nodes.len();
        let node = self.start(me, tempfile::tempdir().unwrap(), Losses::default());
        self.nodes.push(node);
        (0..me).for_each(|peer| self.connect(me, peer));
    }

    /// Starts a validator again, with its journal or an empty one. If it lost its disk it is not connected at first.
    pub fn restart(&mut self, me: usize, losses: Losses, empty: bool) {
        let old = self.nodes.remove(me);
        let Node { directory, world, .. } = old;
        drop(world);
        let directory = if empty { tempfile::tempdir().unwrap() } else { directory };
        let node = self.start(me, directory, losses);
        self.nodes.insert(me, node);
        let now = self.now();
        for peer in (0..self.nodes.len()).filter(|peer| *peer != me) {
            self.nodes[peer].input(Input::Disconnected(ValidatorIndex(me as u16)), now);
            if !empty {
                self.connect(me, peer);
            }
        }
    }

    pub fn now(&self) -> Now {
        Now { monotonic: self.now, unix_ms: 1_700_000_000_000 + self.now.as_millis() as u64 }
    }

    pub fn network(&self) -> Digest {
        *self.genesis.network()
    }

    pub fn settings(&self, node: usize) -> &Settings {
        &self.nodes[node].replica.settings
    }

    pub fn connect(&mut self, one: usize, other: usize) {
        let (now, version) = (self.now(), self.version);
        self.nodes[one].input(Input::Connected(ValidatorIndex(other as u16), version), now);
        self.nodes[other].input(Input::Connected(ValidatorIndex(one as u16), version), now);
        self.settle();
    }

    /// From now on every message to and from this validator is lost.
    pub fn isolate(&mut self, node: usize) {
        self.isolated.insert(node);
    }

    pub fn heal(&mut self) {
        self.isolated.clear();
    }

    /// How far each validator holds an author's stream.
    pub fn held(&self, author: usize) -> Vec<Head> {
        self.nodes.iter().map(|node| node.replica.streams[author].held()).collect()
    }

    pub fn block(&self, node: usize, digest: &Digest) -> Block {
        let replica = &self.nodes[node].replica;
        if let Some(block) = replica.tree.block(digest) {
            return block.clone();
        }
        let (records, index) = self.nodes[node].world.journal();
        let reader = JournalReader { records, index, network: &self.network() };
        reader.block(replica.recent_height(digest).unwrap()).unwrap().1
    }

    /// The digest of the last finalized block.
    pub fn last_block(&self, node: usize) -> Digest {
        self.nodes[node].replica.tree.head().digest
    }

    /// A client's transaction; its tag is sender and nonce.
    pub fn offer(&mut self, node: usize, sender: u64, nonce: u64) -> Result<(), Refusal> {
        self.offer_amount(node, sender, nonce, 1)
    }

    pub fn offer_amount(&mut self, node: usize, sender: u64, nonce: u64, amount: u64) -> Result<(), Refusal> {
        self.offer_packet(node, sender, nonce, transfer(&self.network(), sender, nonce, amount))
    }

    /// Tells a node that its mempools hold something.
    pub fn mempool_filled(&mut self, node: usize) {
        let now = self.now();
        self.nodes[node].input(Input::MempoolFilled, now);
    }

    /// Puts transactions of all accounts with this nonce into the mempool of a chain, and tells nobody.
    pub fn fill(&mut self, node: usize, chain: ChainId, nonces: Range<u64>) {
        for (sender, nonce) in nonces.flat_map(|nonce| (0..ACCOUNTS).map(move |sender| (sender, nonce))) {
            let transfer = crate::execute::tests::transfer(sender, 0, 1, nonce);
            let sign = |message: &[u8]| key(sender as u8 + 1).sign(message);
            let packet = Transfer { chain, ..transfer }.sign(&self.network(), sign);
            let transaction = Verified::assumed(packet.run().transaction().unwrap());
            self.nodes[node]
                .mempools
                .get(chain)
                .unwrap()
                .offer(transaction, Height(0), Origin::default())
                .unwrap();
        }
    }

    /// A payment to an account of the other chain.
    pub fn offer_crossing(
        &mut self,
        node: usize,
        sender: u64,
        nonce: u64,
        payee: u64,
    ) -> Result<(), Refusal> {
        let transfer = Transfer {
            chain: CHAIN,
            credit_chain: Some(OTHER),
            ..crate::execute::tests::transfer(sender, payee, 1, nonce)
        };
        let packet = transfer.sign(&self.network(), |message| key(sender as u8 + 1).sign(message));
        self.offer_packet(node, sender, nonce, packet)
    }

    /// Linked transfers.
    pub fn offer_linked(
        &mut self,
        node: usize,
        sender: u64,
        nonce: u64,
        payments: &[(u64, u64)],
    ) -> Result<(), Refusal> {
        let transaction = crate::execute::tests::linked(sender, payments, b"", nonce);
        self.offer_unsigned(node, (sender, nonce), &transaction)
    }

    /// An envelope, which is signed here.
    pub fn offer_unsigned(
        &mut self,
        node: usize,
        (sender, nonce): (u64, u64),
        transaction: &Transaction,
    ) -> Result<(), Refusal> {
        let message = transaction.run().message(&self.network());
        let mut bytes = transaction.bytes().to_vec();
        bytes[64..128].copy_from_slice(&key(sender as u8 + 1).sign(&message));
        self.offer_transaction(node, sender, nonce, Transaction::from_bytes(&bytes).unwrap())
    }

    fn offer_packet(&mut self, node: usize, sender: u64, nonce: u64, packet: Packet) -> Result<(), Refusal> {
        self.offer_transaction(node, sender, nonce, packet.run().transaction().unwrap())
    }

    fn offer_transaction(
        &mut self,
        node: usize,
        sender: u64,
        nonce: u64,
        transaction: Transaction,
    ) -> Result<(), Refusal> {
        let origin =
            Origin { connection: CONNECTION, tag: sender << 8 | nonce, received_us: 0, verified_us: 0 };
        let now = self.now();
        let node = &mut self.nodes[node];
        let mempool = node.mempools.get(transaction.chain()).expect("a chain of the network");
        mempool.offer(Verified::assumed(transaction), Height(0), origin)?;
        node.input(Input::MempoolFilled, now);
        Ok(())
    }

    /// A batch that an author's key signs, whatever the author itself knows of it.
    pub fn seal(&self, author: usize, previous: Head, sender: u64, nonce: u64) -> Batch {
        self.seal_as_of(author, previous, sender, nonce, Height(0))
    }

    /// The same, judged by the accounts of a height.
    pub fn seal_as_of(&self, author: usize, previous: Head, sender: u64, nonce: u64, as_of: Height) -> Batch {
        let packet = transfer(&self.network(), sender, nonce, 1);
        self.seal_packet(author, previous, as_of, &packet)
    }

    /// The same, of a packet.
    pub fn seal_packet(&self, author: usize, previous: Head, as_of: Height, packet: &Packet) -> Batch {
        let sections = [BatchSection { chain: CHAIN, packets: 1 }];
        let sign = |message: &[u8]| key(validator_seed(author)).sign(message);
        let (author, packets) = (ValidatorIndex(author as u16), std::slice::from_ref(packet));
        Batch::seal(&self.network(), (Epoch(0), author), &previous, as_of, &sections, packets.iter(), sign)
    }

    /// A message arrives, whatever the links are like.
    pub fn deliver(&mut self, from: usize, to: usize, message: PeerMessage) {
        let now = self.now();
        self.nodes[to].input(Input::Message(ValidatorIndex(from as u16), message), now);
    }

    /// Until nothing is on its way any more.
    pub fn settle(&mut self) {
        let now = self.now();
        let mut busy = true;
        while busy {
            busy = false;
            for at in 0..self.nodes.len() {
                let node = &mut self.nodes[at];
                busy |= node.work(now);
                if node.syncs && !node.world.unsynced.is_empty() {
                    node.sync(node.world.unsynced.len(), now);
                    busy = true;
                }
                for (to, message) in std::mem::take(&mut node.world.mail) {
                    busy |= self.post(at, to, &message);
                }
            }
        }
    }

    fn post(&mut self, from: usize, to: To, message: &PeerMessage) -> bool {
        let mut connected = self.nodes[from].replica.connected.clone();
        let all = connected.clone();
        connected.extend(&self.nodes[from].replica.observers);
        let to: Vec<ValidatorIndex> = match to {
            To::All => all.into_iter().collect(),
            To::One(peer) => vec![peer],
            To::Some(peers) => peers,
        };
        let message = PeerMessage::decode(&message.encode()).unwrap();
        for peer in to.into_iter().filter(|peer| connected.contains(peer)) {
            let peer = usize::from(peer.0);
            let is_cut_off = self.isolated.contains(&from) || self.isolated.contains(&peer);
            if !is_cut_off && (self.link)(from, peer, &message) {
                self.deliver(from, peer, message.clone());
            }
        }
        true
    }

    /// Time passes in small steps.
    pub fn advance(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(5) {
            self.now += Duration::from_millis(5);
            let now = self.now();
            self.nodes.iter_mut().for_each(|node| node.input(Input::Time, now));
            self.settle();
        }
    }

    /// So many records of one validator become durable.
    pub fn sync(&mut self, node: usize, count: usize) {
        let now = self.now();
        self.nodes[node].sync(count, now);
        self.settle();
    }

    fn ask(&mut self, node: usize, input: impl FnOnce(QuestionId) -> Input) -> QuestionId {
        self.questions += 1;
        let question = QuestionId(self.questions);
        let now = self.now();
        self.nodes[node].input(input(question), now);
        question
    }

    pub fn answer(&self, node: usize, question: QuestionId) -> Option<Answer> {
        self.nodes[node].world.answers.get(&question).copied()
    }

    /// The leader proposes and sends its block.
    pub fn propose(&mut self, leader: usize, view: u64, parent: Digest) -> Digest {
        let proposal = Proposal { view, leader: ValidatorIndex(leader as u16), parent };
        let question = self.ask(leader, |question| Input::Propose(question, proposal));
        for _ in 0..100 {
            if let Some(answer) = self.answer(leader, question) {
                let Answer::Propose(digest) = answer else { panic!("{answer:?}") };
                let now = self.now();
                self.nodes[leader].input(Input::Relay(digest), now);
                self.settle();
                return digest;
            }
            self.advance(5);
        }
        panic!("no block was proposed");
    }

    /// Asks everybody, the leader too, for a vote.
    pub fn verify(&mut self, view: u64, leader: usize, parent: Digest, digest: Digest) -> Vec<QuestionId> {
        let proposal = Proposal { view, leader: ValidatorIndex(leader as u16), parent };
        let ask = |rig: &mut Self, node| rig.ask(node, |question| Input::Verify(question, proposal, digest));
        let questions = (0..self.genesis.validators().len()).map(|node| ask(self, node)).collect();
        self.settle();
        questions
    }

    pub fn certify(&mut self, view: u64, digest: Digest) -> Vec<QuestionId> {
        self.certify_at(0..self.nodes.len(), view, digest)
    }

    pub fn certify_at(&mut self, nodes: Range<usize>, view: u64, digest: Digest) -> Vec<QuestionId> {
        let ask = |rig: &mut Self, node| rig.ask(node, |question| Input::Certify(question, view, digest));
        let questions = nodes.map(|node| ask(self, node)).collect();
        self.settle();
        questions
    }

    pub fn finalize_at(&mut self, nodes: Range<usize>, view: u64, digest: Digest) {
        let now = self.now();
        for node in nodes {
            self.nodes[node].input(Input::Finalized(finality(view, digest)), now);
        }
        self.settle();
    }

    /// A whole view: everybody votes, everybody certifies, everybody hears that it is final.
    pub fn order(&mut self, leader: usize, view: u64, parent: Digest) -> Digest {
        self.order_at(0..self.nodes.len(), leader, view, parent)
    }

    pub fn order_at(&mut self, nodes: Range<usize>, leader: usize, view: u64, parent: Digest) -> Digest {
        let digest = self.propose(leader, view, parent);
        let votes = self.verify(view, leader, parent, digest);
        let finals = self.certify_at(nodes.clone(), view, digest);
        self.advance(5);
        for (at, node) in nodes.clone().enumerate() {
            assert_eq!(
                self.answer(node, votes[node]),
                Some(Answer::Vote(true)),
                "validator {node} in view {view}"
            );
            assert_eq!(
                self.answer(node, finals[at]),
                Some(Answer::Vote(true)),
                "validator {node} in view {view}"
            );
        }
        self.finalize_at(nodes, view, digest);
        digest
    }
}
