//! The same laws for every encoding: what is written is read back; nothing shorter, longer or different is accepted as
//! the same value; garbage is an error, never a panic; a count allocates nothing that the bytes do not cover.

use std::fmt::Debug;

use bytes::Bytes;
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

fn batch_id() -> impl Strategy<Value = BatchId> {
    (0..4_u32, any::<u16>(), 1..=u64::MAX).prop_map(|(chain, author, sequence)| BatchId {
        chain: ChainId(chain),
        author: ValidatorIndex(author),
        sequence: Sequence(sequence),
    })
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn signature() -> impl Strategy<Value = [u8; 64]> {
    any::<[[u8; 32]; 2]>().prop_map(|halves| *halves.as_flattened().first_chunk().unwrap())
}

fn certificate() -> impl Strategy<Value = Certificate> {
    let signers = proptest::collection::btree_map(any::<u16>().prop_map(ValidatorIndex), signature(), 1..6);
    (batch_id(), digest(), 1..=4096_u32, signers).prop_map(|(batch, digest, transactions, signers)| {
        Certificate::new(batch, digest, transactions, signers.into_iter().collect()).unwrap()
    })
}

fn block() -> impl Strategy<Value = Block> {
    let header =
        (100..u64::MAX, any::<u64>(), digest(), any::<u16>(), any::<u64>(), 0..30_u64, vec(digest(), 0..65));
    (header, vec(certificate(), 0..8)).prop_map(|(header, mut certificates)| {
        let (height, view, parent, proposer, time_ms, roots_first, roots) = header;
        certificates.sort_by_key(Certificate::batch);
        certificates.dedup_by_key(|certificate| certificate.batch());
        let header = Header {
            height: Height(height),
            view,
            parent,
            proposer: ValidatorIndex(proposer),
            time_ms,
            roots_first: Height(roots_first),
            roots,
            sections: Vec::new(),
        };
        Block::build(header, certificates).unwrap()
    })
}

fn client_frame() -> impl Strategy<Value = ClientFrame> {
    let id = || any::<[u8; 32]>().prop_map(TransactionId);
    let chain = || any::<u32>().prop_map(ChainId);
    let query = prop_oneof![
        (chain(), any::<u64>()).prop_map(|(chain, id)| Query::Account { chain, account: AccountId(id) }),
        (proptest::option::of(chain()), id()).prop_map(|(chain, id)| Query::Transaction { chain, id }),
        any::<u64>().prop_map(|height| Query::Block { height: Height(height) }),
        (chain(), id()).prop_map(|(chain, id)| Query::Proof { chain, id }),
        Just(Query::Status),
        Just(Query::Counters),
    ];
    prop_oneof![
        (any::<u32>(), digest()).prop_map(|(version, network)| ClientFrame::Hello { version, network }),
        (0..u64::MAX / 2, 1..9_usize)
            .prop_map(|(tag, n)| ClientFrame::Submit { tag, packets: PacketSlab::copy_from(&packets(n)) }),
        (any::<u64>(), query).prop_map(|(id, query)| ClientFrame::Query { id, query }),
    ]
}

fn server_frame() -> impl Strategy<Value = ServerFrame> {
    let verdict = (0..=255_u8).prop_filter_map("a known code", |code| Verdict::try_from(code).ok());
    let notice = (any::<u64>(), verdict).prop_map(|(tag, verdict)| Notice { tag, verdict });
    prop_oneof![
        (any::<u32>(), digest(), any::<u16>(), any::<u64>()).prop_map(
            |(version, network, validator, height)| {
                let (validator, height) = (ValidatorIndex(validator), Height(height));
                ServerFrame::Welcome { version, network, validator, height }
            }
        ),
        vec(notice, 0..20).prop_map(ServerFrame::Notices),
        (any::<u64>(), vec(any::<u8>(), 0..99))
            .prop_map(|(id, body)| ServerFrame::Answer { id, body: body.into() }),
        "[a-zé ]{0,40}".prop_map(|reason| ServerFrame::Rejected { reason }),
    ]
}

fn peer_message() -> impl Strategy<Value = PeerMessage> {
    let bytes = || vec(any::<u8>(), 1..200).prop_map(Bytes::from);
    let acknowledgement = (batch_id(), digest(), any::<u16>(), signature());
    let finalized = (block(), vec(any::<u8>(), 0..50));
    prop_oneof![
        bytes().prop_map(PeerMessage::Batch),
        acknowledgement.prop_map(|(batch, digest, validator, signature)| {
            let validator = ValidatorIndex(validator);
            PeerMessage::Acknowledgement(Acknowledgement { batch, digest, validator, signature })
        }),
        certificate().prop_map(PeerMessage::Certificate),
        block().prop_map(PeerMessage::BlockBody),
        (batch_id(), digest()).prop_map(|(batch, digest)| PeerMessage::FetchBatch { batch, digest }),
        (batch_id(), digest(), proptest::option::of(bytes()))
            .prop_map(|(batch, digest, bytes)| PeerMessage::BatchReply { batch, digest, bytes }),
        (any::<u64>(), any::<u32>())
            .prop_map(|(from, max)| PeerMessage::FetchBlocks { from: Height(from), max }),
        vec(finalized, 0..3).prop_map(|blocks| {
            let finalized =
                |(block, bytes): (Block, Vec<u8>)| FinalizedBlock { block, finalization: bytes.into() };
            PeerMessage::BlocksReply(blocks.into_iter().map(finalized).collect())
        }),
        digest().prop_map(|digest| PeerMessage::FetchBlock { digest }),
        (any::<u64>(), any::<u64>())
            .prop_map(|(f, c)| PeerMessage::Status { finalized: Height(f), committed: Height(c) }),
    ]
}

fn genesis() -> impl Strategy<Value = Genesis> {
    let balances = vec(vec((any::<[u8; 32]>(), 0..1_000_000_u64), 1..20), 1..4);
    ("[a-z]{1,20}", 1..7_u8, balances).prop_map(|(name, validator_count, chains)| {
        let validator = |i: u8| ValidatorGenesis {
            name: format!("v{i}"),
            public_key: [i; 32],
            certificate_fingerprint: [i; 32],
        };
        let chain = |(id, accounts): (usize, Vec<([u8; 32], u64)>)| ChainGenesis {
            id: ChainId(id as u32 * 3),
            kind: ChainKind::Transfers,
            suite: CryptoSuite::Ed25519,
            accounts: accounts
                .into_iter()
                .map(|(public_key, balance)| AccountGenesis { public_key, balance })
                .collect(),
        };
        let validators = (0..validator_count).map(validator).collect();
        Genesis::new(name, validators, chains.into_iter().enumerate().map(chain).collect()).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn batches_keep_the_laws(id in batch_id(), count in 1..40_usize) {
        let packets = packets(count);
        let batch = Batch::seal(id, packets.iter());
        prop_assert_eq!(batch.packets(), &packets);
        prop_assert_eq!(batch.id(), id);
        prop_assert_eq!(batch.digest().0, kernels::sha2::sha256(batch.bytes()));
        laws(&batch, batch.bytes().clone(), |bytes| Batch::decode(bytes.clone()));
    }

    #[test]
    fn certificates_keep_the_laws(certificate in certificate()) {
        prop_assert_eq!(certificate.encode().len(), certificate.encoded_len());
        laws(&certificate, certificate.encode().into(), |bytes| Certificate::decode(bytes));
    }

    #[test]
    fn blocks_keep_the_laws(block in block()) {
        prop_assert!(block.encode().len() <= BLOCK_BYTES_MAX);
        prop_assert!(block.header().encode().len() <= HEADER_BYTES_MAX);
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
    fn garbage_is_an_error_or_a_value_with_these_very_bytes(mut bytes in vec(any::<u8>(), 0..400), kind in 0..12_u8) {
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
        if let Ok(certificate) = Certificate::decode(&bytes) {
            prop_assert_eq!(certificate.encode(), &bytes[..]);
        }
        if let Ok(block) = Block::decode(&bytes) {
            prop_assert_eq!(block.encode(), &bytes[..]);
        }
        if let Ok(batch) = Batch::decode(bytes.clone()) {
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

#[test]
fn batches_refuse_an_empty_count_sequence_zero_and_too_many() {
    let id = BatchId { chain: ChainId(0), author: ValidatorIndex(1), sequence: Sequence(1) };
    let good = Batch::seal(id, packets(2).iter()).bytes().to_vec();
    let mut empty = good[..BATCH_HEADER_BYTES].to_vec();
    empty[16..20].fill(0);
    assert!(matches!(
        Batch::decode(empty.into()),
        Err(WireError::Invalid { what: "batch transactions", .. })
    ));
    let mut zeroth = good.clone();
    zeroth[8..16].fill(0);
    assert!(matches!(Batch::decode(zeroth.into()), Err(WireError::Invalid { what: "batch sequence", .. })));
    let mut many = good;
    many.resize(BATCH_BYTES_MAX + PACKET_BYTES, 0);
    many[16..20].copy_from_slice(&4097_u32.to_le_bytes());
    assert!(matches!(Batch::decode(many.into()), Err(WireError::TooMany { .. })));
    assert_eq!(Batch::seal(id, packets(4096).iter()).bytes().len(), BATCH_BYTES_MAX);
}

#[test]
fn submissions_are_bounded_and_whole() {
    let submit = |bytes: usize| {
        let mut writer = Writer::new();
        writer.u8(2).u64(1).raw(&vec![1; bytes]);
        ClientFrame::decode(&writer.finish_bytes())
    };
    assert!(submit(0).is_err());
    assert!(submit(127).is_err());
    assert!(submit(SUBMIT_PACKETS_MAX * PACKET_BYTES).is_ok());
    assert!(submit((SUBMIT_PACKETS_MAX + 1) * PACKET_BYTES).is_err());
    let last = ClientFrame::Submit { tag: u64::MAX - 1, packets: PacketSlab::copy_from(&packets(2)) };
    assert!(ClientFrame::decode(&last.encode()).is_err(), "tags do not wrap");
}

fn sample_certificate(chain: u32, sequence: u64) -> Certificate {
    let batch = BatchId { chain: ChainId(chain), author: ValidatorIndex(0), sequence: Sequence(sequence) };
    Certificate::new(batch, Digest([sequence as u8; 32]), 4096, vec![(ValidatorIndex(0), [1; 64])]).unwrap()
}

fn sample_header(height: u64) -> Header {
    Header {
        height: Height(height),
        view: 3,
        parent: Digest([1; 32]),
        proposer: ValidatorIndex(2),
        time_ms: 1,
        roots_first: Height(0),
        roots: Vec::new(),
        sections: Vec::new(),
    }
}

#[test]
fn a_block_contradicts_neither_itself_nor_its_limits() {
    let certificates = vec![sample_certificate(0, 1), sample_certificate(0, 2), sample_certificate(4, 1)];
    let block = Block::build(sample_header(9), certificates.clone()).unwrap();
    assert_eq!(block.transactions(), 3 * 4096);
    let chains: Vec<_> =
        block.header().sections.iter().map(|section| (section.chain, section.batches)).collect();
    assert_eq!(chains, [(ChainId(0), 2), (ChainId(4), 1)]);
    assert_eq!(block.certificates_of(ChainId(0)), &certificates[..2]);
    assert_eq!(block.certificates_of(ChainId(4)), &certificates[2..]);
    assert!(block.certificates_of(ChainId(1)).is_empty());

    let mut swapped = certificates.clone();
    swapped.swap(0, 1);
    assert!(matches!(Block::build(sample_header(9), swapped), Err(BlockError::CertificateOrder(_))));
    let missing = Block::new(block.header().clone(), certificates[..2].to_vec());
    assert_eq!(missing, Err(BlockError::Sections));
    let seventeen = (1..=17).map(|sequence| sample_certificate(0, sequence)).collect();
    assert_eq!(Block::build(sample_header(9), seventeen), Err(BlockError::Transactions(17 * 4096)));
    assert_eq!(Block::build(sample_header(0), vec![]), Err(BlockError::Genesis));
    let mut early = sample_header(9);
    (early.roots_first, early.roots) = (Height(8), vec![Digest::default(); 2]);
    assert_eq!(Block::build(early, vec![]), Err(BlockError::FutureRoot(Height(9))));
    let mut many = sample_header(900);
    many.roots = vec![Digest::default(); 65];
    assert_eq!(Block::build(many, vec![]), Err(BlockError::Roots(65)));
}

#[test]
fn the_digest_of_a_block_covers_its_certificates() {
    let one = Block::build(sample_header(9), vec![sample_certificate(0, 1)]).unwrap();
    let other = Block::build(sample_header(9), vec![sample_certificate(0, 2)]).unwrap();
    assert_ne!(one.digest(), other.digest());
    assert_eq!(one.digest().0, kernels::sha2::sha256(&one.header().encode()));
}

#[test]
fn certificates_refuse_signers_out_of_order() {
    let batch = BatchId { chain: ChainId(0), author: ValidatorIndex(0), sequence: Sequence(1) };
    let with = |signers: &[u16], transactions, batch| {
        let signers = signers.iter().map(|signer| (ValidatorIndex(*signer), [0; 64])).collect();
        Certificate::new(batch, Digest::default(), transactions, signers)
    };
    assert!(with(&[0, 3], 1, batch).is_ok());
    assert_eq!(with(&[3, 3], 1, batch), Err(CertificateError::SignerOrder(ValidatorIndex(3))));
    assert_eq!(with(&[3, 0], 1, batch), Err(CertificateError::SignerOrder(ValidatorIndex(0))));
    assert_eq!(with(&[], 1, batch), Err(CertificateError::Signers(0)));
    assert_eq!(with(&[0], 0, batch), Err(CertificateError::Transactions(0)));
    assert_eq!(with(&[0], 4097, batch), Err(CertificateError::Transactions(4097)));
    assert_eq!(with(&[0], 1, BatchId { sequence: Sequence(0), ..batch }), Err(CertificateError::Sequence));
}

#[test]
fn an_acknowledgement_signs_network_batch_and_digest() {
    let batch = BatchId { chain: ChainId(1), author: ValidatorIndex(2), sequence: Sequence(3) };
    let base = acknowledgement_message(&Digest([1; 32]), &batch, &Digest([2; 32]));
    assert_eq!(&base[..14], b"millrace/ack/1");
    let others = [
        acknowledgement_message(&Digest([9; 32]), &batch, &Digest([2; 32])),
        acknowledgement_message(&Digest([1; 32]), &batch, &Digest([9; 32])),
        acknowledgement_message(&Digest([1; 32]), &BatchId { chain: ChainId(9), ..batch }, &Digest([2; 32])),
        acknowledgement_message(
            &Digest([1; 32]),
            &BatchId { author: ValidatorIndex(9), ..batch },
            &Digest([2; 32]),
        ),
        acknowledgement_message(
            &Digest([1; 32]),
            &BatchId { sequence: Sequence(9), ..batch },
            &Digest([2; 32]),
        ),
    ];
    assert!(others.iter().all(|other| *other != base));
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
