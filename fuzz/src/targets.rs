//! The decoders, and good encodings to begin with.

mod governance;

use bytes::Bytes;
use engine::limits::PACKET_BYTES;
use engine::replica::{Boot, ChainRecord, CommittedBlock};
use engine::roots::ChainEntry;
use engine::store::Position;
use engine::types::{
    AccountGenesis, AccountId, AccountRecord, Action, Administrators, Approval, Approve, Asset, Attest,
    Attestation, ChainGenesis, ChainId, ChainKind, Change, ChangeKind, Charter, Command, Consents,
    CryptoSuite, Data, Decision, Digest, Effect, EncodedDecision, EncodedSafeguards, Envelope, Epoch,
    Fingerprint, Frozen, Genesis, Head, Height, Link, Linked, Member, Members, MembersRecord, Offer, OldKey,
    Outcome, Packet, PacketSlab, Payment, Payments, Pending, Price, ProposalRecord, Propose, Protect,
    Purpose, Recover, Refusal, Registration, Registrations, Rekey, Reservation, ReservationId, Reserve,
    Revoke, Roles, RulesVersion, Safeguards, Sequence, Settle, Take, Terms, Transaction, TransactionId,
    Transfer, ValidatorGenesis, ValidatorIndex, Verdict,
};
use engine::wire::{
    AsOf, Batch, BatchSection, Block, ClientFrame, Cursor, FeedQuery, FinalizedBlock, Header, Notice,
    PROTOCOL_VERSION, PeerMessage, Query, Role, ServerFrame, Standing,
};
use governance::{consents, council, decisions, member, members, name_of_proposal, new_chain, proposal};
use kernels::merkle::Frontier;
use proof::{Account, Certificate, Claim, Entry, Finality, Later, Proof, Row, Tree};

/// A decoder.
pub(crate) struct Target {
    pub name: &'static str,
    /// What it answers; an error where it breaks a law.
    pub decode: fn(&Bytes) -> Result<String, String>,
    /// Good encodings.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "peer_message",
        decode: |bytes| same(bytes, PeerMessage::decode(bytes), PeerMessage::encode),
        seeds: peer_messages,
    },
    Target {
        name: "batch",
        decode: |bytes| {
            same(bytes, Batch::decode(&NETWORK, bytes.clone()), |batch| {
                // What reads the parts of a batch must not trip over any that was accepted.
                let packets: usize = batch.sections().map(|(_, packets)| packets.len()).sum();
                assert_eq!(packets, batch.packets().len());
                let _either = (batch.body_matches(), batch.message(), batch.previous(), batch.signature());
                batch.bytes().clone()
            })
        },
        seeds: batches,
    },
    Target {
        name: "transaction",
        decode: |bytes| {
            let whole = bytes.len() / PACKET_BYTES * PACKET_BYTES;
            let slab = PacketSlab::new(bytes.slice(..whole)).expect("cut at a packet's end");
            let runs: usize = slab.runs().map(|run| run.packets().len()).sum();
            assert_eq!(runs, slab.len(), "each packet belongs to one transaction");
            for run in slab.runs() {
                assert_eq!(run.content().is_ok(), run.is_transaction());
                let _any = (run.id(&NETWORK), run.payload());
            }
            same(bytes, Transaction::from_bytes(bytes), |transaction| transaction.bytes().to_vec())
        },
        seeds: transactions,
    },
    Target { name: "block", decode: |bytes| same(bytes, Block::decode(bytes), Block::encode), seeds: blocks },
    Target {
        name: "client_frame",
        decode: |bytes| same(bytes, ClientFrame::decode(bytes), ClientFrame::encode),
        seeds: client_frames,
    },
    Target {
        name: "server_frame",
        decode: |bytes| same(bytes, ServerFrame::decode(bytes), ServerFrame::encode),
        seeds: server_frames,
    },
    Target {
        name: "committed_block",
        decode: |bytes| same(bytes, CommittedBlock::decode(bytes), CommittedBlock::encode),
        seeds: committed_blocks,
    },
    // Any phase but 0 is *done*, so other bytes may come back.
    Target { name: "boot", decode: |bytes| Ok(answer(&Boot::decode(bytes))), seeds: boots },
    Target {
        name: "genesis",
        decode: |bytes| same(bytes, Genesis::decode(bytes), Genesis::encode),
        seeds: geneses,
    },
    Target {
        name: "proof",
        decode: |bytes| {
            same(bytes, Proof::decode(bytes), |proof| proof.encode().expect("what is decoded has room"))
        },
        seeds: proofs,
    },
    Target {
        name: "certificate",
        decode: |bytes| same(bytes, Certificate::decode(bytes), Certificate::encode),
        seeds: || [1, 4, 128].map(certificate).into(),
    },
    Target {
        name: "genesis_header",
        decode: |bytes| Ok(answer(&proof::Genesis::decode(bytes))),
        seeds: || vec![good_genesis().header().to_vec()],
    },
    Target {
        name: "account_record",
        decode: |bytes| {
            alike(
                bytes,
                proof::AccountRecord::decode(bytes),
                AccountRecord::decode(bytes),
                AccountRecord::encode,
            )
        },
        seeds: account_records,
    },
    Target {
        name: "proposal",
        decode: |bytes| {
            let Some(read) = ProposalRecord::decode(bytes) else {
                // Under the name that it would have, so that the other reader comes to the decision.
                return Ok(answer(&proof::Proposal::decode(&name_of_proposal(bytes), bytes)));
            };
            match proof::Proposal::decode(&read.proposal().0, bytes) {
                Ok(_) => same(bytes, Ok::<_, ()>(read), ProposalRecord::encode),
                Err(error) => Err(format!("only one reader takes {read:?}: {error}")),
            }
        },
        seeds: || decisions().map(|decision| proposal(decision).encode()).collect(),
    },
    Target {
        name: "members",
        decode: |bytes| {
            alike(
                bytes,
                proof::MembersRecord::decode(bytes),
                MembersRecord::decode(bytes),
                MembersRecord::encode,
            )
        },
        seeds: || vec![members().encode()],
    },
    Target {
        name: "member",
        decode: |bytes| match Member::decode(bytes) {
            Some(read) if proof::Member::decode(bytes).is_ok() => {
                same(bytes, Ok::<_, ()>(read), Member::encode)
            }
            Some(read) => Err(format!("only one reader takes {read:?}")),
            // A key of small order is no error of a proof.
            None => Ok(answer(&proof::Member::decode(bytes))),
        },
        seeds: || vec![member().encode()],
    },
    Target {
        name: "old_key",
        decode: |bytes| alike(bytes, proof::OldKey::decode(bytes), OldKey::decode(bytes), OldKey::encode),
        seeds: || vec![OldKey { key: [7; 32], since: Height(0), until: Height(9) }.encode()],
    },
    Target {
        name: "administrators",
        decode: |bytes| {
            alike(
                bytes,
                proof::Administrators::decode(bytes),
                Administrators::decode(bytes),
                Administrators::encode,
            )
        },
        seeds: || vec![Administrators { version: 2, council: council() }.encode()],
    },
    Target {
        name: "charter",
        decode: |bytes| alike(bytes, proof::Charter::decode(bytes), Charter::decode(bytes), Charter::encode),
        seeds: || vec![Charter::from(&new_chain()).encode()],
    },
    Target {
        name: "reservation",
        decode: |bytes| {
            alike(bytes, proof::Reservation::decode(bytes), Reservation::decode(bytes), Reservation::encode)
        },
        seeds: || {
            purposes().map(|purpose| Reservation { amount: 5, due_ms: 1 << 40, purpose }.encode()).into()
        },
    },
    Target {
        name: "attestation",
        decode: |bytes| {
            alike(bytes, proof::Attestation::decode(bytes), Attestation::decode(bytes), Attestation::encode)
        },
        seeds: attestations,
    },
];

const NETWORK: Digest = Digest([5; 32]);

fn answer<T, E: std::fmt::Debug>(decoded: &Result<T, E>) -> String {
    match decoded {
        Ok(_) => "accepted".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// The law of every canonical encoding: what is accepted is encoded to the same bytes.
fn same<T, E: std::fmt::Debug, B: AsRef<[u8]>>(
    bytes: &Bytes,
    decoded: Result<T, E>,
    encode: impl Fn(&T) -> B,
) -> Result<String, String> {
    match &decoded {
        Ok(value) if encode(value).as_ref() != bytes.as_ref() => {
            Err("other bytes than these are accepted".into())
        }
        decoded => Ok(answer(decoded)),
    }
}

/// The same law where there are two readers: they take and refuse the same bytes.
fn alike<O: std::fmt::Debug, T: std::fmt::Debug, B: AsRef<[u8]>>(
    bytes: &Bytes,
    ours: Result<O, proof::FormError>,
    theirs: Option<T>,
    encode: impl Fn(&T) -> B,
) -> Result<String, String> {
    match (ours, theirs) {
        (Ok(_), Some(read)) => same(bytes, Ok::<_, ()>(read), encode),
        (Err(error), None) => Ok(answer::<(), _>(&Err(error))),
        (ours, theirs) => Err(format!("one reader takes what the other refuses: {ours:?} {theirs:?}")),
    }
}

fn head(sequence: u64) -> Head {
    Head { sequence: Sequence(sequence), digest: Digest([7; 32]) }
}

fn batch(previous: &Head) -> Batch {
    let sections = [(1, 2), (3, 1)]
        .map(|(chain, transactions)| BatchSection { chain: ChainId(chain), packets: transactions });
    let packets: Vec<Packet> = (0..3).map(|fill| Packet([fill; 128])).collect();
    Batch::seal(
        &NETWORK,
        (Epoch(0), ValidatorIndex(2)),
        previous,
        Height(7),
        &sections,
        packets.iter(),
        |_| [9; 64],
    )
}

fn block(roots: u64) -> Block {
    let header = Header {
        height: Height(9),
        epoch: Epoch(0),
        view: 12,
        parent: Digest([1; 32]),
        proposer: ValidatorIndex(1),
        time_ms: 1_700_000_000_000,
        roots_first: Height(3),
        next_members: Digest::default(),
        roots: (0..roots).map(|root| Digest([root as u8; 32])).collect(),
        cut: vec![Head::NONE, head(1), head(300), Head::NONE],
        log: Frontier::new(9, vec![[3; 32], [4; 32]]).expect("9 has two bits"),
    };
    Block::new(header).expect("a good block")
}

fn batches() -> Vec<Vec<u8>> {
    [Head::NONE, head(4)].map(|previous| batch(&previous).bytes().to_vec()).into()
}

fn blocks() -> Vec<Vec<u8>> {
    [0, 2].map(|roots| block(roots).encode()).into()
}

fn peer_messages() -> Vec<Vec<u8>> {
    let finalized = |finalization: &'static [u8]| FinalizedBlock {
        block: block(1),
        finalization: Bytes::from_static(finalization),
    };
    let messages = [
        PeerMessage::Batch(batch(&Head::NONE).bytes().clone()),
        PeerMessage::Holding(vec![Head::NONE, head(5)]),
        PeerMessage::Overloaded,
        PeerMessage::Block(block(2)),
        PeerMessage::FetchBatches { author: ValidatorIndex(1), above: Sequence(3), head: head(9) },
        PeerMessage::FetchBlock { digest: Digest([4; 32]) },
        PeerMessage::FetchBlocks { from: Height(7), max: 64 },
        PeerMessage::FetchBodies { from: Height(7), heights: 16 },
        PeerMessage::Verifies { by_device: true },
        PeerMessage::BlocksReply(vec![finalized(b""), finalized(b"certificate")]),
        PeerMessage::Status {
            epoch: Epoch(0),
            finalized: Height(9),
            committed: Height(8),
            kept_from: Height(1),
            view: 11,
            yours: Head::NONE,
        },
    ];
    messages.iter().map(|message| message.encode().to_vec()).collect()
}

fn client_frames() -> Vec<Vec<u8>> {
    let (chain, id) = (ChainId(1), TransactionId([8; 32]));
    let queries = [
        Query::Account { chain, account: AccountId(7), record: true },
        Query::Transaction { chain: None, id },
        Query::Transaction { chain: Some(chain), id },
        Query::Block { height: Height(3) },
        Query::Proof { chain, id },
        Query::Attestation { chain, fingerprint: Fingerprint([5; 32]) },
        Query::Row { chain, key: [6; 32] },
        Query::Members,
        Query::Consent { epoch: Epoch(3), members: Digest([7; 32]), rules: RulesVersion(1) },
        Query::Consent { epoch: Epoch(3), members: Digest([7; 32]), rules: RulesVersion(2) },
        Query::AccountsOf { chain, key: [6; 32], from: AccountId(9) },
        Query::Status,
        Query::Counters,
        Query::Epochs { from: Epoch(2) },
        Query::Feed(FeedQuery { chain, from: Cursor::START, account: None, reference: None, max: 1 }),
        Query::Feed(FeedQuery {
            chain,
            from: Cursor { height: Height(7), place: 3 },
            account: Some(AccountId(7)),
            reference: Some([9; 12]),
            max: 1_000,
        }),
    ];
    let mut frames = vec![ClientFrame::Hello { version: PROTOCOL_VERSION, network: NETWORK }];
    let packets = PacketSlab::copy_from(&[Packet([1; 128]), Packet([2; 128])]);
    frames.extend([false, true].map(|tell| ClientFrame::Submit { tag: 3, packets: packets.clone(), tell }));
    frames.extend(queries.map(|query| ClientFrame::Query { id: 5, query }));
    frames.iter().map(|frame| frame.encode().to_vec()).collect()
}

fn server_frames() -> Vec<Vec<u8>> {
    let as_of = AsOf { height: Height(9), behind: Some(2) };
    let verdicts = [Verdict::Committed, Outcome::Replayed.into(), Refusal::Busy.into()];
    let frames = [
        ServerFrame::Welcome {
            version: PROTOCOL_VERSION,
            network: NETWORK,
            validator: ValidatorIndex(1),
            as_of,
            standing: Standing { epoch: Epoch(2), role: Role::Follower { since_epoch: Epoch(1) } },
        },
        ServerFrame::Notices((4..).zip(verdicts).map(|(tag, verdict)| Notice { tag, verdict }).collect()),
        ServerFrame::Answer {
            id: 1,
            as_of: AsOf { behind: None, ..as_of },
            body: Bytes::from_static(b"{\"a\":1}"),
        },
        ServerFrame::Accepted(vec![3, 5]),
        ServerFrame::Rejected { reason: "no".into() },
    ];
    frames.iter().map(|frame| frame.encode().to_vec()).collect()
}

fn transactions() -> Vec<Vec<u8>> {
    let (chain, key_version, reference, nonce, expiry) = (ChainId(1), 1, [9; 12], 4, Height(99));
    let transfer = |credit_chain| {
        let (debit, credit, amount) = (AccountId(2), AccountId(3), 5);
        let transfer =
            Transfer { chain, key_version, reference, debit, credit_chain, credit, amount, nonce, expiry };
        transfer.sign(&NETWORK, |_| [7; 64]).0.to_vec()
    };
    let command = |action| {
        let command =
            Command { chain, key_version, reference, authority: AccountId(2), action, nonce, expiry };
        command.sign(&NETWORK, |_| [7; 64]).0.to_vec()
    };
    let linked = |payments: u64, memo: &[u8]| {
        let encoded: Vec<_> =
            (0..payments).map(|to| Payment { to: AccountId(to), amount: 1 }.encode()).collect();
        let (debit, payments) = (AccountId(2), Payments::of(&encoded));
        let linked = Linked { chain, key_version, reference, debit, payments, memo, nonce, expiry };
        linked.sign(&NETWORK, |_| [7; 64]).expect("it has room").bytes().to_vec()
    };
    let attest = |links: &[Link]| {
        let mut encoded = Vec::new();
        for (of, link) in (4..).zip(links) {
            let data = [Data::None, Data::Inline(b"data"), Data::Hash(Digest([6; 32]))][of as usize % 3];
            let registration =
                Registration { fingerprint: Fingerprint([of; 32]), kind: 1, link: *link, data };
            registration.encode(&mut encoded).expect("it has room");
        }
        let registrations = Registrations::read(links.len(), &encoded).expect("what was encoded");
        let owner = AccountId(2);
        let attest = Attest { chain, key_version, reference, owner, registrations, nonce, expiry };
        attest.sign(&NETWORK, |_| [7; 64]).expect("it has room").bytes().to_vec()
    };
    let (owner, reason, fingerprints) = (AccountId(2), 7, &[[4; 32], [5; 32]][..]);
    let revoke = Revoke { chain, key_version, reference, owner, reason, fingerprints, nonce, expiry };
    let revoke = revoke.sign(&NETWORK, |_| [7; 64]).expect("it has room").bytes().to_vec();
    let (account, key, possession) = (AccountId(2), &[4; 32], &[5; 64]);
    let rekey = Rekey { chain, key_version, reference, account, key, possession, nonce, expiry };
    let protect = |safeguards: &Safeguards| {
        let encoded = safeguards.encode();
        let safeguards = EncodedSafeguards::read(&encoded).expect("they are valid");
        let protect = Protect { chain, key_version, reference, account, safeguards, nonce, expiry };
        protect.sign(&NETWORK, |_| [7; 64]).expect("it has room").bytes().to_vec()
    };
    let propose = |decision: &Decision| {
        let encoded = decision.encode();
        let propose = Propose {
            chain,
            key_version,
            reference,
            administrator: AccountId(2),
            administrators: 1,
            until_ms: 1 << 40,
            consents: Consents::NONE,
            decision: EncodedDecision::read(&encoded).expect("it is valid"),
            nonce,
            expiry,
        };
        propose.sign(&NETWORK, |_| [7; 64]).expect("it has room").bytes().to_vec()
    };
    let (administrator, proposal, administrators) = (AccountId(2), Digest([3; 32]), 1);
    let consents = consents();
    let consents = Consents::read(&consents).expect("they ascend");
    let approve = Approve {
        chain,
        key_version,
        reference,
        administrator,
        proposal,
        administrators,
        consents,
        nonce,
        expiry,
    };
    let approve = approve.sign(&NETWORK, |_| [7; 64]).expect("it has room").bytes().to_vec();
    let recover = |recovery| {
        let (signer, changes) = (AccountId(9), 3);
        let recover = Recover {
            chain,
            key_version,
            reference,
            signer,
            account,
            changes,
            key,
            possession,
            recovery,
            nonce,
            expiry,
        };
        recover.sign(&NETWORK, |_| [7; 64]).expect("it has room").bytes().to_vec()
    };
    let mut all: Vec<_> = decisions().map(|decision| propose(&decision)).collect();
    all.extend([
        approve,
        rekey.sign(&NETWORK, |_| [7; 64]).expect("it has room").bytes().to_vec(),
        protect(&Safeguards::default()),
        protect(&safeguards()),
        recover(None),
        recover(Some((&[8; 32], &[9; 64]))),
        command(Action::Close),
        command(Action::Cancel { change: 3 }),
        transfer(None),
        transfer(Some(ChainId(2))),
        command(Action::Burn { amount: 5 }),
        command(Action::Freeze { account: AccountId(3), frozen: Frozen::DEBIT }),
        linked(1, b""),
        linked(20, b"memo"),
        attest(&[Link::None]),
        attest(&[Link::Supersedes(Fingerprint([2; 32])), Link::RefersTo(Fingerprint([3; 32]))]),
        revoke,
    ]);
    all.extend(set_aside());
    all
}

/// What is said of money that is set aside.
fn set_aside() -> [Vec<u8>; 5] {
    let envelope = Envelope {
        chain: ChainId(1),
        key_version: 1,
        reference: [6; 12],
        signer: AccountId(2),
        nonce: 4,
        expiry: Height(90),
    };
    let (amount, seconds, memo) = (5, 60, &b"memo"[..]);
    let [payment, offers] = purposes();
    let Purpose::Payment { payee, settler } = payment else { unreachable!("the first is a payment") };
    let Purpose::Swap(price) = offers else { unreachable!("the second is a swap") };
    let reservation = ReservationId { payer: AccountId(3), nonce: 7 };
    let terms = Terms { offer: reservation, amount: 9, to: AccountId(1) };
    let sign = |_: &[u8]| [7; 64];
    let take = Take { envelope, chain: ChainId(2), terms, price: 8, credit: AccountId(5), memo };
    let settle = |amount| Settle { envelope, reservation, payee, amount, memo: b"" }.sign(&NETWORK, sign);
    [
        Reserve { envelope, amount, seconds, payee, settler, memo }.sign(&NETWORK, sign),
        Offer { envelope, amount, seconds, price, memo: b"" }.sign(&NETWORK, sign),
        settle(0),
        settle(5),
        take.sign(&NETWORK, sign),
    ]
    .map(|signed| signed.expect("it is well formed").bytes().to_vec())
}

fn purposes() -> [Purpose; 2] {
    let price = Price { chain: ChainId(3), amount: 8, to: AccountId(4), taker: Some(AccountId(6)) };
    [Purpose::Payment { payee: AccountId(4), settler: AccountId(6) }, Purpose::Swap(price)]
}

fn safeguards() -> Safeguards {
    Safeguards { recovery_key: Some([3; 32]), threshold: 2, guardians: [3, 5, 8].map(AccountId).into() }
}

fn account_records() -> Vec<Vec<u8>> {
    let record = |change: Option<Change>| {
        let (begun, due_ms, by_recovery) = (Height(9), 1 << 40, true);
        let approvals = [0, 2].map(|guardian| Approval { guardian, until_ms: 7, key: [guardian; 32] });
        AccountRecord {
            changes: 4,
            key_since: Height(3),
            safeguards: safeguards(),
            pending: change.map(|change| Pending { change, by_recovery, begun, due_ms }),
            approvals: approvals.into(),
        }
        .encode()
    };
    let changes = [Change::Key([6; 32]), Change::Safeguards(safeguards()), Change::Close];
    changes.map(Some).into_iter().chain([None]).map(record).collect()
}

fn committed_blocks() -> Vec<Vec<u8>> {
    let entry = ChainEntry {
        chain: ChainId(1),
        transactions_root: Digest([2; 32]),
        transactions: 4,
        accounts_root: Digest([3; 32]),
        ..ChainEntry::default()
    };
    let chain = |failures| ChainRecord {
        entry,
        failures,
        returned: vec![(TransactionId([7; 32]), Outcome::UnknownCredit)],
        effects: vec![
            Effect::InEffect { proposal: Digest([6; 32]) },
            Effect::Changed { account: AccountId(5), change: 2, what: ChangeKind::Key, stands: true },
            Effect::Released { payer: AccountId(6), nonce: 1, amount: 9 },
        ],
    };
    let record = |certificate: Vec<u8>, chains| CommittedBlock {
        height: Height(9),
        delta_digest: Digest([4; 32]),
        state_root: Digest([5; 32]),
        block: block(1).encode(),
        members: (!certificate.is_empty()).then(|| Members::of_genesis(&good_genesis())),
        certificate,
        batches: vec![Position::from_raw(7), Position::from_raw(9)],
        chains,
    };
    let failures = vec![(1, Outcome::Expired), (3, Outcome::Replayed)];
    vec![
        record(Vec::new(), Vec::new()).encode(),
        record(vec![6; 9], vec![chain(Vec::new()), chain(failures)]).encode(),
    ]
}

fn boots() -> Vec<Vec<u8>> {
    [false, true]
        .map(|done| Boot { number: 3, done, lost: done, counterpart_lost: !done }.encode().to_vec())
        .into()
}

fn geneses() -> Vec<Vec<u8>> {
    vec![good_genesis().encode()]
}

fn good_genesis() -> Genesis {
    let validators = (1..=4).map(|at| ValidatorGenesis {
        name: format!("v{at}"),
        public_key: [at; 32],
        certificate_fingerprint: [at + 8; 32],
    });
    let accounts = (1..=3).map(|at| AccountGenesis { public_key: [at; 32], balance: 1_000 }).collect();
    let transfers = ChainGenesis {
        id: ChainId(1),
        kind: ChainKind::Transfers,
        suite: CryptoSuite::Ed25519,
        asset: Asset::UNIT,
        roles: Roles::default(),
        threshold: 0,
        accounts,
    };
    let attestations = ChainGenesis {
        id: ChainId(2),
        kind: ChainKind::Attestations,
        asset: Asset::NONE,
        roles: Roles { attestations_cap: 9, ..Roles::default() },
        accounts: vec![AccountGenesis { public_key: [4; 32], balance: 0 }],
        ..transfers
    };
    Genesis::new("fuzz".into(), validators.collect(), vec![transfers, attestations]).expect("a good genesis")
}

fn attestations() -> Vec<Vec<u8>> {
    let register = |link, data: Data<'_>| {
        let by = (AccountId(2), Height(5));
        Attestation::register(&Fingerprint([4; 32]), by, (7, link, data.summary()), Digest::default())
    };
    let other = Fingerprint([3; 32]);
    [
        register(Link::None, Data::Inline(b"data")),
        register(Link::RefersTo(other), Data::Hash(Digest([6; 32]))).superseded(other, Height(8)),
        register(Link::Supersedes(other), Data::None).revoked(9, Height(8)),
    ]
    .map(|attestation| attestation.encode().to_vec())
    .into()
}

fn certificate(validators: usize) -> Vec<u8> {
    let signers: Vec<bool> = (0..validators).map(|place| place % 3 != 2).collect();
    let signatures = vec![[7; 64]; signers.iter().filter(|signed| **signed).count()];
    let (epoch, view, parent_view, payload) = (0, 300, 1, [9; 32]);
    Certificate { epoch, view, parent_view, payload, signers, signatures }.encode()
}

fn proofs() -> Vec<Vec<u8>> {
    let account = Account {
        id: 3,
        key: [1; 32],
        key_version: 1,
        balance: 500,
        window_base: 2,
        window_used: 5,
        flags: 1,
    };
    let path = vec![[2; 32]; 3];
    let claims = [
        Claim::Account { account, path: path.clone() },
        Claim::Transaction { id: [3; 32], outcome: 2, position: 5, path: path.clone() },
        Claim::Unspent { body: [4; 64], account, path: path.clone() },
        Claim::Row {
            asked: [4; 32],
            position: 2,
            row: Row { key: [4; 32], next: [5; 32], value: vec![1; 168] },
            path: path.clone(),
        },
    ];
    let header = proof::Header::decode(&block(2).short()).expect("both read the same headers");
    let tree = |byte| Tree { root: [byte; 32], size: byte.into() };
    let entry = Entry {
        chain: 1,
        kind: proof::ChainKind::Attestations,
        status: proof::ChainStatus::Active,
        asset: [0; 16],
        transactions: tree(5),
        accounts: tree(6),
        outbox: tree(0),
        inbox: tree(7),
        table: tree(8),
        issued: 9,
        burned: 4,
    };
    let members = Members::of_genesis(&good_genesis()).encode();
    let change = proof::EpochChange {
        header: header.clone(),
        certificate: certificate(4),
        members: proof::MemberSet::decode(&members).expect("both read the same sets"),
    };
    let proof = |claim: Claim| Proof {
        network: NETWORK.0,
        epoch_changes: match claim {
            Claim::Account { .. } => Vec::new(),
            _ => vec![change.clone(); 2],
        },
        claim,
        height: 3,
        chains: 2,
        height_path: path.clone(),
        place: 1,
        entry: entry.clone(),
        entry_path: path.clone(),
        finality: Finality {
            state_root: [6; 32],
            path: path.clone(),
            carrier: header.clone(),
            later: Some(Later { path: path.clone(), header: header.clone() }),
            certificate: certificate(4),
        },
    };
    claims.map(|claim| proof(claim).encode().expect("it has room")).into()
}
