//! The same laws for every encoding: what is written is read back; nothing shorter, longer or different is accepted as
//! the same value; garbage is an error, never a panic; a count allocates nothing that the bytes do not cover.

use std::fmt::Debug;

use bytes::Bytes;
use kernels::merkle::Frontier;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::limits::*;
use crate::types::*;

type Decode<T> = fn(&Bytes) -> Result<T, WireError>;

fn laws<T: Debug + PartialEq>(value: &T, encoded: Bytes, decode: Decode<T>) {
    assert_eq!(decode(&encoded).as_ref(), Ok(value), "what is written is read back");
    let mut longer = encoded.to_vec();
    longer.push(0);
    assert!(decode(&longer.into()).as_ref() != Ok(value), "a byte may not trail");
    let step = (encoded.len() / 100).max(1);
    for end in (0..encoded.len()).step_by(step) {
        assert!(decode(&encoded.slice(..end)).as_ref() != Ok(value), "{end} of {} bytes", encoded.len());
    }
    for at in (0..encoded.len()).step_by(step) {
        let mut changed = encoded.to_vec();
        changed[at] ^= 0x11;
        assert!(decode(&changed.into()).as_ref() != Ok(value), "byte {at} means nothing");
    }
}

fn packets(count: usize) -> Vec<Packet> {
    let packet = |i: usize| Packet(std::array::from_fn(|at| (i * 31 + at) as u8));
    (0..count).map(packet).collect()
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

const NETWORK: Digest = Digest([0x42; 32]);

/// The head of a batch, or none.
fn head() -> impl Strategy<Value = Head> {
    let some = (1..=u64::MAX, digest()).prop_map(|(sequence, mut digest)| {
        digest.0[0] |= 1;
        Head { sequence: Sequence(sequence), digest }
    });
    prop_oneof![1 => Just(Head::NONE), 4 => some]
}

/// Some log of so many headers.
pub(crate) fn log(height: u64) -> Frontier {
    let roots = (0..height.count_ones()).map(|bit| [bit as u8; 32]).collect();
    Frontier::new(height, roots).unwrap()
}

fn block() -> impl Strategy<Value = Block> {
    let fields =
        (100..u64::MAX, any::<u64>(), digest(), any::<u16>(), any::<u64>(), 0..30_u64, vec(digest(), 0..65));
    (fields, vec(head(), 1..20)).prop_map(|(fields, cut)| {
        let (height, view, parent, proposer, time_ms, roots_first, roots) = fields;
        let log = log(height);
        let (height, roots_first, proposer) = (Height(height), Height(roots_first), ValidatorIndex(proposer));
        Block::new(Header {
            epoch: Epoch(view.rotate_left(9)),
            height,
            view,
            parent,
            proposer,
            time_ms,
            roots_first,
            next_members: Digest::default(),
            roots,
            cut,
            log,
        })
        .unwrap()
    })
}

fn batch() -> impl Strategy<Value = Batch> {
    let previous = head().prop_filter("has a successor", |head| head.sequence.0 < u64::MAX);
    (any::<u16>(), previous, vec(1..9_u32, 1..5), any::<u8>()).prop_map(|(author, previous, sizes, byte)| {
        let chains = (0..).map(|i| ChainId(i * 7));
        let section = |(chain, transactions)| BatchSection { chain, packets: transactions };
        let sections: Vec<_> = chains.zip(sizes).map(section).collect();
        let count = sections.iter().map(|section| section.packets as usize).sum();
        sealed(ValidatorIndex(author), &previous, &sections, count, byte)
    })
}

fn sealed(
    author: ValidatorIndex,
    previous: &Head,
    sections: &[BatchSection],
    count: usize,
    byte: u8,
) -> Batch {
    Batch::seal(
        &NETWORK,
        (Epoch(byte.into()), author),
        previous,
        Height(7),
        sections,
        packets(count).iter(),
        |_| [byte; 64],
    )
}

fn client_frame() -> impl Strategy<Value = ClientFrame> {
    let id = || any::<[u8; 32]>().prop_map(TransactionId);
    let chain = || any::<u32>().prop_map(ChainId);
    let query = prop_oneof![
        (chain(), any::<u64>(), any::<bool>()).prop_map(|(chain, id, record)| Query::Account {
            chain,
            account: AccountId(id),
            record
        }),
        (proptest::option::of(chain()), id()).prop_map(|(chain, id)| Query::Transaction { chain, id }),
        any::<u64>().prop_map(|height| Query::Block { height: Height(height) }),
        (chain(), id()).prop_map(|(chain, id)| Query::Proof { chain, id }),
        Just(Query::Status),
        Just(Query::Counters),
        any::<u64>().prop_map(|from| Query::Epochs { from: Epoch(from) }),
        feed_query().prop_map(Query::Feed),
        (chain(), any::<[u8; 32]>()).prop_map(|(chain, key)| Query::Row { chain, key }),
        Just(Query::Members),
        (any::<u64>(), digest(), 1..u16::MAX).prop_map(|(epoch, members, rules)| {
            Query::Consent { epoch: Epoch(epoch), members, rules: RulesVersion(rules) }
        }),
        (any::<u64>(), digest()).prop_map(|(epoch, members)| {
            Query::Consent { epoch: Epoch(epoch), members, rules: RULES_FIRST }
        }),
        (chain(), any::<[u8; 32]>(), any::<u64>()).prop_map(|(chain, key, from)| Query::AccountsOf {
            chain,
            key,
            from: AccountId(from),
        }),
        (chain(), any::<[u8; 32]>()).prop_map(|(chain, fingerprint)| Query::Attestation {
            chain,
            fingerprint: Fingerprint(fingerprint),
        }),
    ];
    prop_oneof![
        (any::<u32>(), digest()).prop_map(|(version, network)| ClientFrame::Hello { version, network }),
        (0..u64::MAX / 2, 1..9_usize, any::<bool>()).prop_map(submission),
        (any::<u64>(), query).prop_map(|(id, query)| ClientFrame::Query { id, query }),
    ]
}

fn submission((tag, count, tell): (u64, usize, bool)) -> ClientFrame {
    ClientFrame::Submit { tag, packets: PacketSlab::copy_from(&packets(count)), tell }
}

fn feed_query() -> impl Strategy<Value = FeedQuery> {
    let cursor =
        (any::<u64>(), any::<u32>()).prop_map(|(height, place)| Cursor { height: Height(height), place });
    let account = proptest::option::of(any::<u64>().prop_map(AccountId));
    let reference = proptest::option::of(any::<[u8; 12]>());
    (any::<u32>(), cursor, account, reference, 1..=FEED_EVENTS_MAX as u16).prop_map(
        |(chain, from, account, reference, max)| FeedQuery {
            chain: ChainId(chain),
            from,
            account,
            reference,
            max,
        },
    )
}

#[test]
fn a_feed_of_no_events_or_of_too_many_is_not_asked_for() {
    let ask = |max| {
        let (chain, from) = (ChainId(1), Cursor::START);
        let query = Query::Feed(FeedQuery { chain, from, account: None, reference: None, max });
        ClientFrame::decode(&ClientFrame::Query { id: 1, query }.encode())
    };
    assert!(ask(FEED_EVENTS_MAX as u16).is_ok());
    for max in [0, FEED_EVENTS_MAX as u16 + 1] {
        let error = WireError::TooMany { what: "events", count: max.into(), max: FEED_EVENTS_MAX };
        assert_eq!(ask(max), Err(error));
    }
}

fn as_of() -> impl Strategy<Value = AsOf> {
    (any::<u64>(), proptest::option::of(any::<u64>()))
        .prop_map(|(height, behind)| AsOf { height: Height(height), behind })
}

fn standing() -> impl Strategy<Value = Standing> {
    let since_epoch = any::<u64>().prop_map(|since| Role::Follower { since_epoch: Epoch(since) });
    let role = prop_oneof![Just(Role::Member), Just(Role::Observer), since_epoch];
    (any::<u64>(), role).prop_map(|(epoch, role)| Standing { epoch: Epoch(epoch), role })
}

fn server_frame() -> impl Strategy<Value = ServerFrame> {
    let verdict = (0..=255_u8).prop_filter_map("a known code", |code| Verdict::try_from(code).ok());
    let notice = (any::<u64>(), verdict).prop_map(|(tag, verdict)| Notice { tag, verdict });
    prop_oneof![
        (any::<u32>(), digest(), any::<u16>(), as_of(), standing()).prop_map(
            |(version, network, validator, as_of, standing)| {
                let validator = ValidatorIndex(validator);
                ServerFrame::Welcome { version, network, validator, as_of, standing }
            }
        ),
        vec(notice, 0..20).prop_map(ServerFrame::Notices),
        vec(any::<u64>(), 0..20).prop_map(ServerFrame::Accepted),
        (any::<u64>(), as_of(), vec(any::<u8>(), 0..99)).prop_map(|(id, as_of, body)| ServerFrame::Answer {
            id,
            as_of,
            body: body.into()
        }),
        "[a-zé ]{0,40}".prop_map(|reason| ServerFrame::Rejected { reason }),
    ]
}

fn peer_message() -> impl Strategy<Value = PeerMessage> {
    let bytes = || vec(any::<u8>(), 1..200).prop_map(Bytes::from);
    let finalized = (block(), vec(any::<u8>(), 0..50));
    let author = || any::<u16>().prop_map(ValidatorIndex);
    prop_oneof![
        bytes().prop_map(PeerMessage::Batch),
        vec(head(), 0..20).prop_map(PeerMessage::Holding),
        Just(PeerMessage::Overloaded),
        block().prop_map(PeerMessage::Block),
        (author(), any::<u64>(), head()).prop_map(|(author, above, head)| {
            PeerMessage::FetchBatches { author, above: Sequence(above), head }
        }),
        digest().prop_map(|digest| PeerMessage::FetchBlock { digest }),
        (any::<u64>(), any::<u32>())
            .prop_map(|(from, max)| PeerMessage::FetchBlocks { from: Height(from), max }),
        vec(finalized, 0..3).prop_map(|blocks| {
            let finalized =
                |(block, bytes): (Block, Vec<u8>)| FinalizedBlock { block, finalization: bytes.into() };
            PeerMessage::BlocksReply(blocks.into_iter().map(finalized).collect())
        }),
        (any::<[u64; 5]>(), head()).prop_map(|([epoch, finalized, committed, kept_from, view], yours)| {
            let [finalized, committed, kept_from] = [finalized, committed, kept_from].map(Height);
            PeerMessage::Status { epoch: Epoch(epoch), finalized, committed, kept_from, view, yours }
        }),
        Just(PeerMessage::FetchLastVote),
        vec(any::<u8>(), 0..192).prop_map(|vote| PeerMessage::LastVote(vote.into())),
        Just(PeerMessage::FetchStates),
        vec((any::<u64>(), any::<u32>(), digest()), 0..5).prop_map(|offers| {
            let offer = |(height, chunks, digest)| StateOffer { height: Height(height), chunks, digest };
            PeerMessage::States(offers.into_iter().map(offer).collect())
        }),
        any::<u64>().prop_map(|height| PeerMessage::FetchChunkList { height: Height(height) }),
        (any::<u64>(), vec(digest(), 0..5), bytes()).prop_map(|(height, digests, certificate)| {
            PeerMessage::ChunkList { height: Height(height), digests, evidence: certificate }
        }),
        (any::<u64>(), any::<u32>())
            .prop_map(|(height, number)| PeerMessage::FetchChunk { height: Height(height), number }),
        (any::<u64>(), any::<u32>(), bytes()).prop_map(|(height, number, bytes)| PeerMessage::Chunk {
            height: Height(height),
            number,
            bytes
        }),
        (any::<u64>(), any::<u32>())
            .prop_map(|(height, place)| PeerMessage::FetchStored { height: Height(height), place }),
        any::<bool>().prop_map(|by_device| PeerMessage::Verifies { by_device }),
        (any::<u64>(), any::<u32>(), bytes()).prop_map(|(height, place, bytes)| PeerMessage::Stored {
            height: Height(height),
            place,
            bytes
        }),
    ]
}

fn genesis() -> impl Strategy<Value = Genesis> {
    let balances = vec(vec((any::<[u8; 32]>(), 0..1_000_000_u64), 1..20), 1..4);
    let registrar =
        prop_oneof![Just(Registrar::Nobody), Just(Registrar::Anyone), Just(Registrar::Account(AccountId(0)))];
    let roles =
        (any::<[bool; 2]>(), 1..1_000_000_u64, registrar).prop_map(|([issues, freezes], cap, registrar)| {
            Roles {
                issuer: issues.then_some(AccountId(0)),
                issuance_cap: if issues { cap } else { 0 },
                freezer: freezes.then_some(AccountId(0)),
                registrar,
                accounts_cap: if registrar == Registrar::Nobody { 0 } else { cap + 20 },
                windows: LockWindows { rekey_seconds: 1 + cap as u32, recovery_seconds: 9 + cap as u32 },
                ..Roles::default()
            }
        });
    ("[a-z]{1,20}", 1..7_u8, balances, roles, origin()).prop_map(
        |(name, validator_count, chains, roles, origin)| {
            let validator = |i: u8| ValidatorGenesis {
                name: format!("v{i}"),
                public_key: [i + 1; 32],
                certificate_fingerprint: [i; 32],
            };
            let chain = move |(id, accounts): (usize, Vec<([u8; 32], u64)>)| ChainGenesis {
                id: ChainId(id as u32 * 3),
                kind: ChainKind::Transfers,
                suite: CryptoSuite::Ed25519,
                asset: Asset::UNIT,
                roles,
                threshold: 0,
                accounts: accounts
                    .into_iter()
                    .map(|(mut public_key, balance)| {
                        // None has small order.
                        public_key[7] |= 1;
                        public_key[8] &= 0xfe;
                        AccountGenesis { public_key, balance }
                    })
                    .collect(),
            };
            let validators = (0..validator_count).map(validator).collect();
            let chains = chains.into_iter().enumerate().map(chain).collect();
            Genesis::with_origin(name, validators, (Membership::Fixed, origin), chains).unwrap()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A batch compares by its bytes, so these laws look at what is parsed: a byte of the header is refused or changes
    /// the digest; the signature and the body are outside the digest, and their own checks notice.
    #[test]
    fn batches_keep_the_laws(batch in batch()) {
        let decode = |bytes: Vec<u8>| Batch::decode(&NETWORK, bytes.into());
        let bytes = batch.bytes().to_vec();
        let again = decode(bytes.clone()).unwrap();
        prop_assert_eq!(&again, &batch);
        prop_assert_eq!((again.id(), again.head(), again.previous()), (batch.id(), batch.head(), batch.previous()));
        prop_assert!(again.sections().eq(batch.sections()) && again.body_matches());
        prop_assert_eq!(batch.previous().sequence.next(), batch.id().sequence);
        let body_at = bytes.len() - batch.packets().len() * PACKET_BYTES;
        let signature = BATCH_HEADER_BYTES - SIGNATURE_BYTES..BATCH_HEADER_BYTES;
        let header = [&bytes[..signature.start], &bytes[signature.end..body_at]].concat();
        let covered = [&b"millrace/batch/3"[..], &NETWORK.0, &header].concat();
        prop_assert_eq!(batch.digest().0, kernels::sha2::sha256(&covered));
        let elsewhere = Batch::decode(&Digest([1; 32]), bytes.clone().into()).unwrap();
        prop_assert_ne!(elsewhere.digest(), batch.digest());

        for end in (0..bytes.len()).step_by((bytes.len() / 200).max(1)) {
            let cut = decode(bytes[..end].to_vec());
            prop_assert!(matches!(cut, Err(WireError::Truncated { .. })), "{end} of {} bytes: {cut:?}", bytes.len());
        }
        let longer = [&bytes[..], &[0]].concat();
        prop_assert_eq!(decode(longer), Err(WireError::Trailing(1)));
        for at in (0..body_at).chain((body_at..bytes.len()).step_by(37)) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x11;
            let decoded = decode(changed);
            if signature.contains(&at) {
                let decoded = decoded.unwrap();
                prop_assert_eq!(decoded.digest(), batch.digest());
                prop_assert!(decoded != batch && decoded.body_matches() && decoded.signature() != batch.signature());
            } else if at >= body_at {
                let decoded = decoded.unwrap();
                prop_assert_eq!(decoded.digest(), batch.digest());
                prop_assert!(decoded != batch && !decoded.body_matches());
            } else {
                prop_assert!(decoded.is_err() || decoded.unwrap().digest() != batch.digest(), "byte {at} means nothing");
            }
        }
    }

    #[test]
    fn blocks_keep_the_laws(block in block()) {
        let header = block.header();
        let digests = header.roots.len() + header.log.roots().len();
        let bytes = BLOCK_FIXED_BYTES + digests * 32 + header.cut.len() * HEAD_BYTES;
        prop_assert_eq!(block.encode().len(), bytes);
        prop_assert!(bytes <= BLOCK_BYTES_MAX);
        prop_assert_eq!(block.short().len(), 208);
        prop_assert_eq!(block.digest().0, kernels::sha2::sha256_parts(&[b"millrace/block/3", &block.short()]));
        laws(&block, block.encode().into(), |bytes| Block::decode(bytes));
    }

    #[test]
    fn client_frames_keep_the_laws(frame in client_frame()) {
        laws(&frame, frame.encode(), ClientFrame::decode);
    }

    #[test]
    fn server_frames_keep_the_laws(frame in server_frame()) {
        laws(&frame, frame.encode(), ServerFrame::decode);
    }

    #[test]
    fn peer_messages_keep_the_laws(message in peer_message()) {
        laws(&message, message.encode(), PeerMessage::decode);
    }

    #[test]
    fn geneses_keep_the_laws(genesis in genesis()) {
        laws(&genesis, genesis.encode().into(), |bytes| Genesis::decode(bytes));
    }

    #[test]
    fn garbage_is_an_error_or_a_value_with_these_very_bytes(mut bytes in vec(any::<u8>(), 0..400), kind in 0..18_u8) {
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        let bytes = Bytes::from(bytes);
        if let Ok(frame) = ClientFrame::decode(&bytes) {
            prop_assert_eq!(frame.encode(), &bytes);
        }
        if let Ok(frame) = ServerFrame::decode(&bytes) {
            prop_assert_eq!(frame.encode(), &bytes);
        }
        if let Ok(message) = PeerMessage::decode(&bytes) {
            prop_assert_eq!(message.encode(), &bytes);
        }
        prop_assert!(Genesis::decode(&bytes).is_err());
        if let Ok(block) = Block::decode(&bytes) {
            prop_assert_eq!(block.encode(), &bytes[..]);
        }
        if let Ok(batch) = Batch::decode(&NETWORK, bytes.clone()) {
            prop_assert_eq!(batch.bytes(), &bytes);
        }
    }

    #[test]
    fn a_damaged_encoding_never_panics(message in peer_message(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = message.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let bytes = Bytes::from(bytes);
        if let Ok(decoded) = PeerMessage::decode(&bytes) {
            prop_assert_eq!(decoded.encode(), &bytes);
        }
    }
}

#[test]
fn a_count_beyond_the_bytes_is_refused_before_anything_is_allocated() {
    let mut reader = Reader::new(&[0xFF; 8]);
    let refused = reader.count("things", usize::MAX, 32).unwrap_err();
    assert_eq!(refused, WireError::Truncated { what: "things", needed: 0xFFFF_FFFF * 32, left: 4 });
    let mut reader = Reader::new(&[0xFF; 8]);
    assert!(matches!(
        reader.count("things", 10, 0),
        Err(WireError::TooMany { count: 0xFFFF_FFFF, max: 10, .. })
    ));

    let mut writer = Writer::new();
    writer.u8(2).u32(NOTICES_MAX as u32).u64(0);
    assert!(matches!(ServerFrame::decode(&writer.finish_bytes()), Err(WireError::Truncated { .. })));
    let mut writer = Writer::new();
    writer.u8(2).u32(NOTICES_MAX as u32 + 1).raw(&vec![0; 9 * (NOTICES_MAX + 1)]);
    assert!(matches!(ServerFrame::decode(&writer.finish_bytes()), Err(WireError::TooMany { .. })));
}

const fn section(chain: u32, transactions: u32) -> BatchSection {
    BatchSection { chain: ChainId(chain), packets: transactions }
}

#[test]
fn batches_refuse_what_a_header_may_not_say() {
    let second = Head { sequence: Sequence(1), digest: Digest([7; 32]) };
    let good = sealed(ValidatorIndex(1), &second, &[section(3, 2), section(9, 1)], 3, 5).bytes().to_vec();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        Batch::decode(&NETWORK, changed.into())
    };
    let invalid = |field, decoded: Result<Batch, WireError>| {
        assert!(
            matches!(&decoded, Err(WireError::Invalid { what, .. }) if *what == field),
            "{field}: {decoded:?}"
        );
    };
    assert!(with(0, &[0]).is_ok());
    assert_eq!(with(0, &[1]).unwrap().epoch(), Epoch(1));
    invalid("batch sequence", with(16, &[0; 8]));
    invalid("previous batch", with(16, &[1, 0]));
    assert_eq!(with(24, &[5]).unwrap().as_of(), Height(5));
    invalid("previous batch", with(32, &[0; 32]));
    invalid("batch packets", with(12, &[0; 4]));
    // Sections begin at 160: chain 3 with two, chain 9 with one.
    invalid("batch sections", with(BATCH_HEADER_BYTES, &[9]));
    invalid("batch sections", with(BATCH_HEADER_BYTES, &[200]));
    invalid("batch sections", with(BATCH_HEADER_BYTES + 4, &[3, 0, 0, 0, 9, 0, 0, 0, 0]));
    invalid("batch sections", with(BATCH_HEADER_BYTES + 4, &[1]));
    invalid("batch sections", with(BATCH_HEADER_BYTES + 4, &[0xFF; 4]));

    assert!(matches!(with(12, &4097_u32.to_le_bytes()), Err(WireError::TooMany { max: 4096, .. })));
    assert!(matches!(with(10, &257_u16.to_le_bytes()), Err(WireError::TooMany { max: 256, .. })));
    assert!(matches!(
        with(12, &4096_u32.to_le_bytes()),
        Err(WireError::Invalid { what: "batch sections", .. })
    ));
    assert!(
        matches!(with(10, &256_u16.to_le_bytes()), Err(WireError::Truncated { .. })),
        "before any allocation"
    );
}

#[test]
fn the_largest_batch_has_the_size_that_the_limits_say() {
    let sections: Vec<_> = (0..CHAINS_MAX as u32).map(|chain| section(chain, 16)).collect();
    let batch = sealed(ValidatorIndex(0), &Head::NONE, &sections, BATCH_PACKETS_MAX, 1);
    assert_eq!(batch.bytes().len(), BATCH_BYTES_MAX);
    assert_eq!(Batch::decode(&NETWORK, batch.bytes().clone()), Ok(batch.clone()));
    assert_eq!(batch.packets_of(ChainId(255)), &batch.packets()[255 * 16..]);
    assert!(batch.packets_of(ChainId(256)).is_empty());
    let message = PeerMessage::Batch(batch.bytes().clone());
    assert_eq!(PeerMessage::decode(&message.encode()), Ok(message));
}

#[test]
fn an_author_signs_a_domain_and_the_digest_which_covers_the_network() {
    let mut signed = Vec::new();
    let batch = Batch::seal(
        &NETWORK,
        (Epoch(0), ValidatorIndex(2)),
        &Head::NONE,
        Height(9),
        &[section(0, 1)],
        packets(1).iter(),
        |message: &[u8]| {
            signed = message.to_vec();
            [3; 64]
        },
    );
    assert_eq!(signed, batch.message());
    assert_eq!(signed, [&b"millrace/batch-author/3"[..], &batch.digest().0].concat());
    assert_eq!((batch.signature(), batch.previous()), (&[3; 64], Head::NONE));
}

#[test]
fn submissions_are_bounded_and_whole() {
    let submit = |bytes| ClientFrame::decode(&Bytes::from([&[2][..], &[0; 8], &vec![1; bytes]].concat()));
    assert!(submit(0).is_err());
    assert!(submit(127).is_err());
    assert!(submit(SUBMIT_PACKETS_MAX * PACKET_BYTES).is_ok());
    assert!(submit((SUBMIT_PACKETS_MAX + 1) * PACKET_BYTES).is_err());
    let last = submission((u64::MAX - 1, 2, false));
    assert!(ClientFrame::decode(&last.encode()).is_err(), "tags do not wrap");
}

fn sample_header(height: u64) -> Header {
    Header {
        epoch: Epoch(0),
        height: Height(height),
        view: 3,
        parent: Digest([1; 32]),
        proposer: ValidatorIndex(2),
        time_ms: 1,
        roots_first: Height(0),
        next_members: Digest::default(),
        roots: Vec::new(),
        cut: vec![Head::NONE; 4],
        log: log(height),
    }
}

#[test]
fn a_block_contradicts_neither_itself_nor_its_limits() {
    let with = |height: u64, change: &dyn Fn(&mut Header)| {
        let mut header = sample_header(height);
        change(&mut header);
        Block::new(header).map(|block| block.cut().len())
    };
    assert_eq!(with(9, &|_| {}), Ok(4));
    assert_eq!(with(0, &|_| {}), Err(BlockError::Genesis));
    assert_eq!(with(u64::MAX, &|_| {}), Err(BlockError::Last(Height(u64::MAX))));
    assert_eq!(with(u64::MAX - 1, &|_| {}), Ok(4));
    assert_eq!(
        with(9, &|header| header.log = log(10)),
        Err(BlockError::Log { height: Height(9), logged: 10 })
    );
    let early =
        |header: &mut Header| (header.roots_first, header.roots) = (Height(8), vec![Digest::default(); 2]);
    assert_eq!(with(9, &early), Err(BlockError::FutureRoot(Height(9))));
    assert_eq!(with(10, &early), Ok(4));
    assert_eq!(
        with(9, &|header| header.roots_first = Height(u64::MAX)),
        Err(BlockError::FutureRoot(Height(9)))
    );
    assert_eq!(with(900, &|header| header.roots = vec![Digest::default(); 65]), Err(BlockError::Roots(65)));
    assert_eq!(with(9, &|header| header.cut.clear()), Err(BlockError::Cut(0)));
    assert_eq!(with(9, &|header| header.cut.resize(129, Head::NONE)), Err(BlockError::Cut(129)));
    assert_eq!(with(9, &|header| header.cut.resize(128, Head::NONE)), Ok(128));
    let odd = BlockError::Head(ValidatorIndex(2));
    assert_eq!(with(9, &|header| header.cut[2].sequence = Sequence(1)), Err(odd));
    assert_eq!(with(9, &|header| header.cut[2].digest = Digest([1; 32])), Err(odd));
}

#[test]
fn the_digest_of_a_block_covers_each_part_of_it() {
    let one = Block::new(sample_header(9)).unwrap();
    let changes: [fn(&mut Header); 12] = [
        |header| header.epoch.0 += 1,
        |header| header.view += 1,
        |header| header.time_ms += 1,
        |header| header.proposer.0 += 1,
        |header| header.parent.0[31] ^= 1,
        |header| header.roots_first.0 += 1,
        |header| header.roots.push(Digest::default()),
        |header| header.cut[3].sequence.0 += 1,
        |header| header.cut[3].digest.0[31] ^= 1,
        |header| header.cut.swap(2, 3),
        |header| header.cut.truncate(3),
        |header| header.log = Frontier::new(9, vec![[0; 32], [2; 32]]).unwrap(),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut header = sample_header(9);
        header.cut[3] = Head { sequence: Sequence(1), digest: Digest([1; 32]) };
        let same = Block::new(header.clone()).unwrap();
        change(&mut header);
        let other = Block::new(header).unwrap();
        assert_ne!(same.digest(), other.digest(), "change {at}");
        assert_ne!(one.digest(), other.digest());
    }
}

#[test]
fn what_peers_count_is_checked_before_anything_is_allocated() {
    let decode = |kind: u8, count: u32, bytes: usize| {
        let mut writer = Writer::new();
        writer.u8(kind).u32(count).raw(&vec![0; bytes]);
        PeerMessage::decode(&writer.finish_bytes())
    };
    const HOLDING: u8 = 2;
    const BLOCKS_REPLY: u8 = 7;
    assert!(decode(HOLDING, 128, 128 * HEAD_BYTES).is_ok());
    assert!(matches!(
        decode(HOLDING, 129, 129 * HEAD_BYTES),
        Err(WireError::TooMany { max: VALIDATORS_MAX, .. })
    ));
    assert!(matches!(decode(HOLDING, 128, 128 * HEAD_BYTES - 1), Err(WireError::Truncated { .. })));
    assert!(matches!(decode(HOLDING, u32::MAX, 40), Err(WireError::TooMany { .. })));
    assert!(matches!(
        decode(BLOCKS_REPLY, 65, 65 * 200),
        Err(WireError::TooMany { max: BLOCKS_REPLY_MAX, .. })
    ));
    assert!(matches!(decode(BLOCKS_REPLY, 64, 63), Err(WireError::Truncated { .. })));

    let block = Block::new(sample_header(9)).unwrap();
    let reply = |certificate: usize| {
        let mut writer = Writer::new();
        writer.u8(BLOCKS_REPLY).u32(1).raw(&block.encode()).blob(&vec![0; certificate]);
        PeerMessage::decode(&writer.finish_bytes())
    };
    assert!(reply(FINALIZATION_BYTES_MAX).is_ok());
    assert!(matches!(reply(FINALIZATION_BYTES_MAX + 1), Err(WireError::TooMany { .. })));

    let mut counts = block.encode();
    counts[28..32].copy_from_slice(&129_u32.to_le_bytes());
    assert!(matches!(Block::decode(&counts), Err(WireError::TooMany { what: "cut", .. })));
    counts[28..32].copy_from_slice(&128_u32.to_le_bytes());
    assert!(matches!(Block::decode(&counts), Err(WireError::Truncated { what: "cut", .. })));
    let mut counts = block.encode();
    counts[26..28].copy_from_slice(&65_u16.to_le_bytes());
    assert!(matches!(Block::decode(&counts), Err(WireError::TooMany { what: "roots", .. })));
}

#[test]
fn the_largest_answer_fits_into_a_frame() {
    let as_of = AsOf { height: Height(u64::MAX), behind: Some(u64::MAX) };
    let answer = ServerFrame::Answer { id: 1, as_of, body: vec![b' '; ANSWER_BYTES_MAX].into() };
    assert!(answer.encode().len() <= SERVER_FRAME_BYTES_MAX);
}

#[test]
fn a_validator_keeps_up_only_if_it_knows_so() {
    let at = |behind| AsOf { height: Height(9), behind };
    assert!(at(Some(0)).keeps_up() && at(Some(BEHIND_MAX)).keeps_up());
    assert!(!at(Some(BEHIND_MAX + 1)).keeps_up() && !at(None).keeps_up());
    assert_eq!(at(Some(5)).network_height(), Height(14));
    assert_eq!(at(None).network_height(), Height(9));
    assert_eq!(at(Some(3)).to_string(), "height 9");
    assert_eq!(at(Some(300)).to_string(), "height 9; the validator is 300 blocks behind");
    assert_eq!(at(None).to_string(), "height 9; the validator cannot tell whether it is behind");
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let frame = ServerFrame::Rejected { reason: "é".repeat(REASON_BYTES_MAX) };
    let ServerFrame::Rejected { reason } = ServerFrame::decode(&frame.encode()).unwrap() else { panic!() };
    assert_eq!(reason, "é".repeat(REASON_BYTES_MAX / 2));
}

#[test]
fn an_oversized_peer_message_is_refused() {
    let mut writer = Writer::new();
    writer.u8(1).raw(&vec![0; BATCH_BYTES_MAX + 1]);
    assert!(matches!(PeerMessage::decode(&writer.finish_bytes()), Err(WireError::TooMany { .. })));
}

#[test]
fn the_longest_answer_with_blocks_fits_into_a_message() {
    let mut header = sample_header(u64::MAX ^ 64);
    header.roots = vec![Digest([3; 32]); BLOCK_ROOTS_MAX];
    header.cut = vec![Head { sequence: Sequence(1), digest: Digest([1; 32]) }; VALIDATORS_MAX];
    let block = Block::new(header).unwrap();
    assert_eq!(block.encode().len(), BLOCK_BYTES_MAX);
    let finalization = Bytes::from(vec![1; FINALIZATION_BYTES_MAX]);
    let reply = PeerMessage::BlocksReply(vec![FinalizedBlock { block, finalization }; BLOCKS_REPLY_MAX]);
    assert_eq!(PeerMessage::decode(&reply.encode()), Ok(reply));
}
