//! A small network for tests and benchmarks: a real ledger, real blocks, real signatures, and no threads.

use std::sync::Arc;
use std::vec::Vec;

use engine::ingress::Source;
use engine::order::Position;
use engine::roots::{ChainEntryProof, Executed, Ledger, TransactionProof};
use engine::types::{
    AccountGenesis, AccountId, Asset, Attest, ChainGenesis, ChainId, ChainKind, ChainTime, Consents,
    CryptoSuite, Decision, EncodedDecision, Epoch, Fingerprint, Genesis, Head, Height, LockWindows,
    Membership, Packet, PacketRun, Propose, Quota, Registration, Registrations, Revoke, Roles, Transfer,
    ValidatorGenesis, ValidatorIndex,
};
use engine::verify::{Checked, Job, Verified, Verifier};
use engine::wire::{self, Batch, BatchSection, Block};
use kernels::ed25519::SigningKey;
use proof::{
    Account, Certificate, Claim, Entry, EpochChange, Finality, Header, Later, MemberSet, Proof, Row,
};

/// The chain of this number is of the kind *attestations*.
pub const REGISTER: u32 = 20;

/// The chain of this number decides about the others, by one administrator's word.
pub const GOVERNANCE: u32 = 40;

/// The chain of this number has short lock windows.
pub const QUICK: u32 = 12;

fn has_money(chain: u32) -> bool {
    chain != REGISTER && chain != GOVERNANCE
}

/// A network whose blocks are made one by one.
pub struct Network {
    pub genesis: Genesis,
    /// Keys of the validators, by index: of the present epoch, and of those before.
    pub validators: Vec<SigningKey>,
    before: Vec<Vec<SigningKey>>,
    /// The ends of the epochs before.
    pub changes: Vec<EpochChange>,
    pub ledger: Ledger,
    /// The time of the next blocks by which lock windows end, in milliseconds.
    pub time_ms: u64,
    verifier: Verifier,
    blocks: Vec<Block>,
    last: Option<Executed>,
    head: Head,
}

fn key(kind: u8, number: u64) -> SigningKey {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_seed(seed)
}

/// The key of one of the accounts whose number is below 64. Others have keys that nobody has.
pub fn account_key(account: u64) -> SigningKey {
    key(2, account)
}

/// The key of a validator of the genesis, by its number, or of one that comes later.
pub fn validator_key(number: u64) -> SigningKey {
    key(1, number)
}

fn key_of(public: &[u8; 32]) -> SigningKey {
    let mut known = (0..128).map(validator_key);
    known.find(|key| key.public_key() == *public).expect("one of these")
}

/// Administrator 1 proposes what is encoded.
pub fn propose(encoded: &[u8], nonce: u64) -> Propose<'_> {
    Propose {
        chain: ChainId(GOVERNANCE),
        key_version: 1,
        reference: [0; 12],
        administrator: AccountId(1),
        administrators: 1,
        until_ms: u64::MAX,
        consents: Consents::NONE,
        decision: EncodedDecision::read(encoded).unwrap(),
        nonce,
        expiry: Height(1_000),
    }
}

impl Network {
    /// So many validators, and chains of so many accounts, which hold 1,000 each where the chain has money.
    pub fn new(name: &str, validators: u64, chains: &[(u32, u64)]) -> Self {
        Self::with_membership(name, validators, chains, Membership::Fixed)
    }

    /// The same, whose validators may become others.
    pub fn with_membership(
        name: &str,
        validators: u64,
        chains: &[(u32, u64)],
        membership: Membership,
    ) -> Self {
        let keys: Vec<SigningKey> = (0..validators).map(|number| key(1, number)).collect();
        let validator = |(index, key): (usize, &SigningKey)| ValidatorGenesis {
            name: std::format!("v{index}"),
            public_key: key.public_key(),
            certificate_fingerprint: [index as u8; 32],
        };
        let known: Vec<_> = (0..64).map(|account| account_key(account).public_key()).collect();
        let account = |number: u64, balance| AccountGenesis {
            public_key: known[number as usize % known.len()],
            balance,
        };
        let chain = |(id, accounts): &(u32, u64)| ChainGenesis {
            id: ChainId(*id),
            kind: match *id {
                REGISTER => ChainKind::Attestations,
                GOVERNANCE => ChainKind::Governance,
                _ => ChainKind::Transfers,
            },
            suite: CryptoSuite::Ed25519,
            asset: if has_money(*id) { Asset::UNIT } else { Asset::NONE },
            // The second chain and those after it have authorities.
            roles: match *id {
                3 | 1 | GOVERNANCE => Roles::default(),
                QUICK => Roles {
                    windows: LockWindows { rekey_seconds: 1, recovery_seconds: 2 },
                    ..Roles::default()
                },
                REGISTER => Roles { attestations_cap: 1_000, quota: Quota(100_000), ..Roles::default() },
                _ => Roles {
                    issuer: Some(AccountId(0)),
                    issuance_cap: 700,
                    freezer: Some(AccountId(0)),
                    ..Roles::default()
                },
            },
            threshold: u8::from(*id == GOVERNANCE),
            accounts: (0..*accounts)
                .map(|number| account(number, if has_money(*id) { 1_000 } else { 0 }))
                .collect(),
        };
        let members = keys.iter().enumerate().map(validator).collect();
        let chains = chains.iter().map(chain).collect();
        let genesis = Genesis::with_membership(name.into(), members, membership, chains).unwrap();
        let ledger = Ledger::genesis(&genesis);
        let authors = keys.iter().map(SigningKey::public_key).collect::<Arc<[_]>>();
        let verifier = Verifier::new(*genesis.network(), ledger.states(), authors, Arc::default());
        let (blocks, head) = (Vec::new(), Head::NONE);
        Self {
            genesis,
            validators: keys,
            before: Vec::new(),
            changes: Vec::new(),
            ledger,
            time_ms: 0,
            verifier,
            blocks,
            last: None,
            head,
        }
    }

    /// A signed transfer of 5.
    pub fn transfer(&self, chain: u32, debit: u64, credit: u64, nonce: u64, expiry: u64) -> Packet {
        let transfer = Transfer {
            chain: ChainId(chain),
            key_version: 1,
            reference: [0; 12],
            debit: AccountId(debit),
            credit_chain: None,
            credit: AccountId(credit),
            amount: 5,
            nonce,
            expiry: Height(expiry),
        };
        transfer.sign(self.genesis.network(), |message| account_key(debit).sign(message))
    }

    /// Registrations by an account of the chain that takes them.
    pub fn attest(&self, owner: u64, registrations: &[Registration<'_>], nonce: u64) -> Vec<Packet> {
        let mut encoded = Vec::new();
        registrations.iter().for_each(|one| one.encode(&mut encoded).unwrap());
        let attest = Attest {
            chain: ChainId(REGISTER),
            key_version: 1,
            reference: [0; 12],
            owner: AccountId(owner),
            registrations: Registrations::read(registrations.len(), &encoded).unwrap(),
            nonce,
            expiry: Height(100),
        };
        let signed = attest.sign(self.genesis.network(), |message| account_key(owner).sign(message)).unwrap();
        signed.run().packets().to_vec()
    }

    /// A revocation there.
    pub fn revoke(&self, owner: u64, fingerprint: Fingerprint, nonce: u64) -> Vec<Packet> {
        let revoke = Revoke {
            chain: ChainId(REGISTER),
            key_version: 1,
            reference: [0; 12],
            owner: AccountId(owner),
            reason: 6,
            fingerprints: &[fingerprint.0],
            nonce,
            expiry: Height(100),
        };
        let signed = revoke.sign(self.genesis.network(), |message| account_key(owner).sign(message)).unwrap();
        signed.run().packets().to_vec()
    }

    /// Orders and executes the next block. Its packets ascend by chain.
    pub fn block(&mut self, packets: &[Packet]) -> Height {
        let batches: Vec<_> = if packets.is_empty() { Vec::new() } else { [self.batch(packets)].into() };
        let height = self.ledger.height().next();
        let before = self.ledger.state_root().clone();
        let epoch = Epoch(self.before.len() as u64);
        let (roots_first, carried) = (Height(before.height().0.max(1)), usize::from(height.0 > 1));
        let next_members = self.ledger.next_members(epoch).due(roots_first, carried);
        let at = ChainTime::new(height, self.time_ms).in_epoch(epoch);
        self.last = Some(self.ledger.execute(at, &batches));
        let mut cut = std::vec![Head::NONE; self.validators.len()];
        cut[0] = self.head;
        let below = self.blocks.last();
        let header = wire::Header {
            epoch,
            height,
            view: 2 * height.0,
            parent: below.map_or(*self.genesis.network(), |block| *block.digest()),
            proposer: ValidatorIndex(0),
            time_ms: 1_800_000_000_000 + height.0,
            roots_first,
            next_members,
            roots: if height.0 == 1 { Vec::new() } else { [*before.digest()].into() },
            cut,
            log: below.map_or_else(|| Position::genesis(*self.genesis.network(), 1).log, Block::log),
        };
        self.blocks.push(Block::new(header).unwrap());
        if next_members != engine::types::Digest::default() {
            self.begin_epoch(height);
        }
        height
    }

    /// The block of this height is the last one of its epoch.
    fn begin_epoch(&mut self, height: Height) {
        let members = self.ledger.members();
        self.changes.push(EpochChange {
            header: self.header(height.0),
            certificate: self.certificate(height.0, self.quorum(height.0)).encode(),
            members: MemberSet::decode(&members.encode()).unwrap(),
        });
        let keys: Vec<SigningKey> = members.keys().iter().map(key_of).collect();
        self.before.push(std::mem::replace(&mut self.validators, keys));
        self.head = Head::NONE;
        let (network, states) = (*self.genesis.network(), self.ledger.states());
        self.verifier = Verifier::new(network, states, members.keys().into(), Arc::default());
    }

    /// The validators of an epoch; the present ones, where it has not begun.
    fn validators_of(&self, epoch: u64) -> &[SigningKey] {
        self.before.get(epoch as usize).unwrap_or(&self.validators)
    }

    /// How many make the block of a height final.
    fn quorum(&self, height: u64) -> usize {
        let validators = self.validators_of(self.header(height).epoch).len();
        validators - (validators - 1) / 3
    }

    fn batch(&mut self, packets: &[Packet]) -> Verified<Batch> {
        let runs: Vec<_> = PacketRun::all(packets).collect();
        let section = |of_chain: &[PacketRun<'_>]| BatchSection {
            chain: of_chain[0].chain(),
            packets: of_chain.iter().map(|run| run.packets().len() as u32).sum(),
        };
        let sections: Vec<_> = runs.chunk_by(|a, b| a.chain() == b.chain()).map(section).collect();
        let (network, author) = (self.genesis.network(), ValidatorIndex(0));
        let batch = Batch::seal(
            network,
            (Epoch(self.before.len() as u64), author),
            &self.head,
            Height(0),
            &sections,
            packets.iter(),
            |message| self.validators[0].sign(message),
        );
        self.head = batch.head();
        let job = Job::batch(Source::Peer(author), batch);
        match self.verifier.check(self.ledger.height(), [job].into(), [3; 32]).pop() {
            Some(Checked::Batch(Ok(batch))) => batch,
            other => panic!("{other:?}"),
        }
    }

    /// The certificate that the block of a height is final, signed by the first validators in the order of the keys.
    pub fn certificate(&self, height: u64, signers: usize) -> Certificate {
        let block = &self.blocks[height as usize - 1];
        let (view, epoch) = (block.header().view, block.header().epoch.0);
        let n = self.validators_of(epoch).len();
        self.signed(Certificate {
            epoch,
            view,
            parent_view: view - 2,
            payload: block.digest().0,
            signers: (0..n).map(|place| place < signers).collect(),
            signatures: Vec::new(),
        })
    }

    /// The same with the right signatures.
    pub fn signed(&self, mut certificate: Certificate) -> Certificate {
        let message = certificate.message(&self.genesis.network().0);
        let mut keys: Vec<_> = self.validators_of(certificate.epoch).iter().collect();
        keys.sort_by_key(|key| key.public_key());
        let signers = keys.iter().zip(&certificate.signers).filter(|(_, signs)| **signs);
        certificate.signatures = signers.map(|(key, _)| key.sign(&message)).collect();
        certificate
    }

    /// The claim that an account is what it is now, and the way to the state root of now.
    pub fn account(&self, chain: u32, account: u64) -> Proof {
        let proof = self.ledger.prove_account(ChainId(chain), AccountId(account)).unwrap();
        let claim = Claim::Account { account: Account::decode(&proof.leaf()), path: proof.path.hashes() };
        self.open(claim, &proof.chain)
    }

    /// The claim of what the chain of attestations says of a fingerprint now.
    pub fn row(&self, fingerprint: [u8; 32]) -> Proof {
        self.row_of(REGISTER, fingerprint)
    }

    /// The claim of what a chain says of a key of its table now.
    pub fn row_of(&self, chain: u32, asked: [u8; 32]) -> Proof {
        let proof = self.ledger.prove_row(ChainId(chain), &asked).unwrap();
        let row = Row { key: proof.key.0, next: proof.next.0, value: proof.value.clone() };
        let (position, path) = (proof.path.index, proof.path.hashes());
        self.open(Claim::Row { asked, position, row, path }, &proof.chain)
    }

    /// An administrator decides.
    pub fn decide(&self, decision: &Decision, nonce: u64) -> Vec<Packet> {
        let encoded = decision.encode();
        let propose = propose(&encoded, nonce);
        let signed = propose.sign(self.genesis.network(), |message| account_key(1).sign(message));
        signed.unwrap().run().packets().to_vec()
    }

    /// The claim that a transaction can never execute, from the state of now.
    pub fn never(&self, packet: &Packet) -> Proof {
        let proof = self.ledger.prove_account(packet.chain(), packet.debit()).unwrap();
        let claim = Claim::Unspent {
            body: *packet.body(),
            account: Account::decode(&proof.leaf()),
            path: proof.path.hashes(),
        };
        self.open(claim, &proof.chain)
    }

    /// The claim that the transaction at a place of the last block is there.
    pub fn transaction(&self, chain: usize, place: usize) -> Proof {
        let Executed { state_root, trees, .. } = self.last.as_ref().unwrap();
        let id = self.genesis.chains()[chain].id;
        let proof = TransactionProof::new(state_root, id, &trees[chain], place).unwrap();
        let claim = Claim::Transaction {
            id: proof.id.0,
            outcome: proof.outcome.code(),
            position: proof.path.index,
            path: proof.path.hashes(),
        };
        self.open(claim, &proof.chain)
    }

    fn open(&self, claim: Claim, chain: &ChainEntryProof) -> Proof {
        Proof {
            network: self.genesis.network().0,
            epoch_changes: Vec::new(),
            claim,
            height: chain.height.0,
            chains: chain.entry_path.size as u32 - 1,
            height_path: chain.height_path.hashes(),
            place: chain.entry_path.index as u32 - 1,
            entry: Entry::decode(&chain.entry.leaf()).unwrap(),
            entry_path: chain.entry_path.hashes(),
            finality: Finality {
                state_root: self.ledger.state_root().digest().0,
                path: Vec::new(),
                // Until the proof is closed, whatever block there is.
                carrier: self.header(self.blocks.len() as u64),
                later: None,
                certificate: Vec::new(),
            },
        }
    }

    fn header(&self, height: u64) -> Header {
        Header::decode(&self.blocks[height as usize - 1].short()).unwrap()
    }

    /// Adds the header that carries the state root, and the one that is final, `more` above it.
    pub fn close(&mut self, mut proof: Proof, more: u64) -> Proof {
        let last = proof.height + 1 + more;
        while self.ledger.height().0 < last {
            self.block(&[]);
        }
        let carrier = &self.blocks[proof.height as usize];
        let above: Vec<_> =
            self.blocks[carrier.height().0 as usize..].iter().map(|block| *block.digest()).collect();
        let later = (more > 0).then(|| Later {
            path: carrier
                .prove_in_log(&above[..more as usize - 1], &self.blocks[last as usize - 1])
                .expect("the blocks are one branch"),
            header: self.header(last),
        });
        proof.finality.path = carrier.prove_root(Height(proof.height)).expect("it carries the height below");
        proof.finality.carrier = self.header(carrier.height().0);
        proof.finality.later = later;
        let signers = self.quorum(last);
        proof.finality.certificate = self.certificate(last, signers).encode();
        proof.epoch_changes = self.changes[..self.header(last).epoch as usize].to_vec();
        proof
    }
}
