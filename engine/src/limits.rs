//! Every bound of the ledger, on one page, because they must agree with each other.
//!
//! A limit that protects memory is checked before anything is allocated; a limit that shapes the protocol (marked
//! *protocol*) is the same on every validator, so changing it is a change of the network's rules.
//!
//! ```text
//! packet 128 ── x4096 ──▶ batch 512 KiB ── cut of all streams ──▶ block (<= 1,024 batches, <= 65,536 packets)
//! ```

/// Bytes of a chain in the header of a genesis: id, kind, suite, asset, roles, caps, windows and quota, threshold,
/// number of accounts, root, supply (*protocol*).
pub const CHAIN_HEADER_BYTES: usize = 4 + 2 + 2 + 16 + 6 * 8 + 3 * 4 + 4 + 8 + 32 + 8;
/// Bytes of a packet: a transaction, or a part of an envelope (*protocol*).
pub const PACKET_BYTES: usize = 128;
/// Bytes of a transfer that are signed; the signature fills the rest (*protocol*).
pub const BODY_BYTES: usize = 64;
/// Bytes of an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes of an Ed25519 public key.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of the message under a transaction's signature: network id and body (*protocol*).
pub const SIGNED_MESSAGE_BYTES: usize = 32 + BODY_BYTES;

/// Packets of one envelope: the first and those of its payload, 64 KiB (*protocol*).
pub const ENVELOPE_PACKETS_MAX: usize = 512;
/// Bytes of the payload of an envelope (*protocol*).
pub const PAYLOAD_BYTES_MAX: usize = (ENVELOPE_PACKETS_MAX - 1) * PACKET_BYTES;
/// Payments of linked transfers (*protocol*).
pub const LINKED_PAYMENTS_MAX: usize = 1_000;
/// Bytes of a memo (*protocol*).
pub const MEMO_BYTES_MAX: usize = 256;
/// Accounts that one envelope opens (*protocol*).
pub const OPENED_ACCOUNTS_MAX: usize = 680;
/// Fingerprints that one envelope registers or revokes (*protocol*).
pub const ATTESTATIONS_MAX: usize = 1_000;
/// Bytes of the data that is registered with a fingerprint (*protocol*).
pub const DATA_BYTES_MAX: usize = 1_024;
/// Bytes of the value of a row (*protocol*).
pub const ROW_VALUE_BYTES_MAX: usize = 576;
/// Guardians of one account (*protocol*).
pub const GUARDIANS_MAX: usize = 8;
/// A checkpoint is due after so many heights, if not before.
pub const CHECKPOINT_EVERY_HEIGHTS: u64 = 16_384;
/// …or when the packets in the blocks since the last one have so many bytes, if the operator says nothing else.
pub const CHECKPOINT_EVERY_BYTES: u64 = 256 << 20;
/// Heights of the journal that are kept in any case: peers that are a little behind ask for them.
pub const RETENTION_HEIGHTS_MIN: u64 = 1_024;
/// Seconds of the longest lock window (*protocol*).
pub const LOCK_WINDOW_SECONDS_MAX: u32 = 366 * 24 * 3_600;
/// How far one block moves the clock of lock windows, in milliseconds (*protocol*).
pub const LOCK_STEP_MS: u64 = 1_000;
/// Open reservations that one account may have made (*protocol*).
pub const RESERVATIONS_MAX: usize = 1_024;
/// Open reservations on one chain (*protocol*).
pub const CHAIN_RESERVATIONS_MAX: usize = 1 << 20;
/// Reservations that end in one block on one chain because their time is over; more that are due wait for the next one
/// (*protocol*).
pub const RELEASES_MAX: usize = 4_096;
/// Changes of accounts that take effect in one block on one chain; more that are due wait for the next one
/// (*protocol*).
pub const CHANGES_MAX: usize = 1_024;
/// Administrators of a network (*protocol*).
pub const ADMINISTRATORS_MAX: usize = 16;
/// Accounts with which a chain begins that administrators create (*protocol*).
pub const FOUNDERS_MAX: usize = 8;
/// Proposals of one administrator that are not decided, under one version of the administrators (*protocol*).
pub const PROPOSALS_MAX: usize = 256;
/// Decisions of one height (*protocol*).
pub const DECISIONS_MAX: usize = 64;
/// Heights after which the consent of a member is too old to decide with (*protocol*).
pub const CONSENT_HEIGHTS_MAX: u64 = 8_192;
/// Bytes of a decision (*protocol*).
pub const DECISION_BYTES_MAX: usize = 360;
/// Heights from a decision of administrators to its effect: who votes on a block in which it has taken effect has
/// executed the block that decided it (*protocol*).
pub const DECISION_LAG: u64 = 2 * ROOT_LAG_MAX;
/// Rows of the table of one chain (*protocol*).
pub const ROWS_MAX: u64 = 1 << 32;

/// Packets in one batch, over all its sections (*protocol*).
pub const BATCH_PACKETS_MAX: usize = 4096;
/// Bytes of a batch header before its sections, signature included (*protocol*).
pub const BATCH_HEADER_BYTES: usize = 160;
/// Bytes of one section of a batch header: chain and number of packets (*protocol*).
pub const BATCH_SECTION_BYTES: usize = 8;
/// Bytes of the largest batch.
pub const BATCH_BYTES_MAX: usize =
    BATCH_HEADER_BYTES + CHAINS_MAX * BATCH_SECTION_BYTES + BATCH_PACKETS_MAX * PACKET_BYTES;

/// Validators of a network (*protocol*).
pub const VALIDATORS_MAX: usize = 128;
/// Fewest validators of whom one may be faulty. A removal that leaves fewer must say that this is meant (*protocol*).
pub const TOLERANT_VALIDATORS_MIN: usize = 4;
/// Bytes of the address of a member (*protocol*).
pub const ADDRESS_BYTES_MAX: usize = 64;
/// Chains of a network (*protocol*).
pub const CHAINS_MAX: usize = 256;
/// Accounts of one chain at its genesis, of which the genesis has every key (*protocol*).
pub const GENESIS_ACCOUNTS_MAX: usize = 1 << 24;
/// Accounts of one chain (*protocol*).
pub const ACCOUNTS_MAX: u64 = 1 << 32;
/// Accounts of a chain up to which a validator keeps every public key decoded, 256 bytes each.
pub const DECODED_KEYS_MAX: usize = 1 << 20;
/// Bytes of a genesis header: what a stranger needs of a genesis.
pub const GENESIS_HEADER_BYTES_MAX: usize = 64 << 10;
/// Bytes of the name of a network or of a validator.
pub const NAME_BYTES_MAX: usize = 64;

/// Batches that one block may take, over all authors (*protocol*).
pub const BLOCK_BATCHES_MAX: usize = 1024;
/// Packets in one block, over all chains (*protocol*).
pub const BLOCK_PACKETS_MAX: usize = 65_536;
/// Bytes of transactions in one block, over all chains, and the highest quota of one of them (*protocol*).
pub const BLOCK_PACKET_BYTES_MAX: usize = BLOCK_PACKETS_MAX * PACKET_BYTES;
/// The lowest quota of a chain, in bytes of a block: the largest envelope fits (*protocol*).
pub const QUOTA_BYTES_MIN: usize = ENVELOPE_PACKETS_MAX * PACKET_BYTES;
/// Payments between chains that one block may deliver: what one block sends, and refunds of what another one sent
/// (*follows from the protocol*).
pub const DELIVERIES_MAX: usize = 2 * BLOCK_PACKETS_MAX;
/// State roots that one block may carry (*protocol*).
pub const BLOCK_ROOTS_MAX: usize = 64;
/// How many heights a block may be ahead of the last state root carried so far: the back-pressure of execution on
/// ordering (*protocol*).
pub const ROOT_LAG_MAX: u64 = 64;
/// How far a block's time may lie ahead of a voter's own clock, in milliseconds: one wrong clock never moves the time
/// of the chain further than this (*protocol*).
pub const TIME_AHEAD_MAX_MS: u64 = 2_000;
/// Bytes of a block before its roots, its cut and its log (*protocol*).
pub const BLOCK_FIXED_BYTES: usize = 112;
/// Bytes of a head: sequence and digest (*protocol*).
pub const HEAD_BYTES: usize = 40;
/// Bytes of the largest block: its log has a root for each bit that is set in the height, at most 63.
pub const BLOCK_BYTES_MAX: usize =
    BLOCK_FIXED_BYTES + (BLOCK_ROOTS_MAX + 63) * 32 + VALIDATORS_MAX * HEAD_BYTES;

/// How far above the finalized cut an author's batches are taken unasked, in sequences: the *window*. Over all branches
/// twice as many batches are kept.
pub const STREAM_BATCHES_MAX: usize = 256;
/// Bytes of all authors' batches that a validator keeps above the finalized cut; each author has an equal share, but
/// never less than [`STREAM_BYTES_MIN`].
pub const STREAMS_BYTES_MAX: usize = 256 << 20;
/// Bytes that each author's share has at least: four full batches.
pub const STREAM_BYTES_MIN: usize = 4 * BATCH_BYTES_MAX;

/// Slots of an account's replay window (*protocol*).
pub const REPLAY_WINDOW: u64 = 64;
/// A nonce this far above the window's base is refused: it could forget too much at once (*protocol*).
pub const NONCE_AHEAD_MAX: u64 = 128;

/// Bytes of a finalization certificate of the consensus engine, which is opaque here.
pub const FINALIZATION_BYTES_MAX: usize = 16 * 1024;
/// Largest encoding of the finalizations that lead from the genesis to a state: one for each epoch that is over.
/// So a state can be fetched over some 6,000 changes of four validators; beyond that its list of chunks is refused.
pub const EVIDENCE_BYTES_MAX: usize = 2 << 20;
/// Bytes of the batches that answer one request of a peer, as far as more than one batch is sent.
pub const FETCH_REPLY_BYTES_MAX: usize = 4 << 20;
/// Blocks in one answer to a peer that catches up.
pub const BLOCKS_REPLY_MAX: usize = 64;
/// Heights whose batches one request may ask for.
pub const BODIES_REPLY_HEIGHTS_MAX: u64 = 16;
/// The most bytes of a vote of consensus.
pub const VOTE_BYTES_MAX: usize = 192;
/// Checkpoints that a validator offers to its peers at a time.
pub const STATES_MAX: usize = 16;
/// Bytes of a chunk of a checkpoint, but for the last ones (*protocol*: the digests of a state are those of its
/// chunks).
pub const STATE_CHUNK_BYTES: usize = 1 << 20;
/// Chunks of the largest state that a peer can be given: 128 GiB.
pub const STATE_CHUNKS_MAX: usize = 128 << 10;
/// Bytes of one message between validators.
pub const PEER_MESSAGE_BYTES_MAX: usize = 8 << 20;
/// Bytes of one record of a journal that a peer is given.
pub const STORED_BYTES_MAX: usize = PEER_MESSAGE_BYTES_MAX - 64;

/// Packets in one submission of a client.
pub const SUBMIT_PACKETS_MAX: usize = 4096;
/// Verdicts in one frame to a client.
pub const NOTICES_MAX: usize = 65_536;
/// Events in one answer about the feed of a chain: each takes about 200 bytes there, and its packets 256 bytes each.
pub const FEED_EVENTS_MAX: usize = 1_000;
/// Packets of the events in one answer about the feed of a chain, as far as it has more than one event.
pub const FEED_PACKETS_MAX: usize = 2_000;
/// Accounts in one answer about a key.
pub const KEY_ACCOUNTS_MAX: usize = 64;
/// Ends of epochs in one answer.
pub const EPOCHS_ANSWERED_MAX: usize = 8;
/// Bytes of the largest encoding of the members of an epoch.
pub const MEMBERS_BYTES_MAX: usize = 8 + 2 + VALIDATORS_MAX * MEMBER_BYTES_MAX + 2;
/// Bytes of the largest encoding of one member.
pub const MEMBER_BYTES_MAX: usize = 1 + NAME_BYTES_MAX + PUBLIC_KEY_BYTES + 32 + 2 * (1 + ADDRESS_BYTES_MAX);
/// Bytes of an answer to a client's query.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Bytes of the text that tells a client why its connection ends.
pub const REASON_BYTES_MAX: usize = 1024;
/// Bytes of the largest frame that a client may send.
pub const CLIENT_FRAME_BYTES_MAX: usize = 16 + SUBMIT_PACKETS_MAX * PACKET_BYTES;
/// Bytes of the largest frame that a client may receive.
pub const SERVER_FRAME_BYTES_MAX: usize = 32 + ANSWER_BYTES_MAX;

const _: () = assert!(PACKET_BYTES == BODY_BYTES + SIGNATURE_BYTES);
const _: () = assert!(4 + LINKED_PAYMENTS_MAX * 16 + MEMO_BYTES_MAX <= PAYLOAD_BYTES_MAX);
const _: () = assert!(
    2 + ATTESTATIONS_MAX * (40 + 1) <= PAYLOAD_BYTES_MAX && 2 + 72 + DATA_BYTES_MAX <= PAYLOAD_BYTES_MAX
);
const _: () = assert!(OPENED_ACCOUNTS_MAX * (PUBLIC_KEY_BYTES + SIGNATURE_BYTES) <= PAYLOAD_BYTES_MAX);
const _: () =
    assert!(ENVELOPE_PACKETS_MAX <= SUBMIT_PACKETS_MAX && ENVELOPE_PACKETS_MAX <= BATCH_PACKETS_MAX);
const _: () = assert!(BATCH_PACKETS_MAX <= BLOCK_PACKETS_MAX, "a full batch fits into a block");
const _: () = assert!(BLOCK_BATCHES_MAX >= STREAM_BATCHES_MAX, "one author's window fits into a block");
const _: () = assert!(STREAM_BYTES_MIN * VALIDATORS_MAX <= 2 * STREAMS_BYTES_MAX);
const _: () = assert!(SUBMIT_PACKETS_MAX <= BATCH_PACKETS_MAX, "one submission never needs two rounds");
const _: () =
    assert!(BLOCK_ROOTS_MAX as u64 >= ROOT_LAG_MAX, "one block can carry all roots that may be missing");
const _: () = assert!(BATCH_BYTES_MAX + 128 <= PEER_MESSAGE_BYTES_MAX);
const _: () = assert!(
    BLOCKS_REPLY_MAX * (BLOCK_BYTES_MAX + FINALIZATION_BYTES_MAX + 8) + 128 <= PEER_MESSAGE_BYTES_MAX
);
const _: () = assert!(STATE_CHUNKS_MAX * 32 + EVIDENCE_BYTES_MAX + 128 <= PEER_MESSAGE_BYTES_MAX);
const _: () = assert!(16 + NOTICES_MAX * 9 <= SERVER_FRAME_BYTES_MAX);
const _: () = assert!(
    EPOCHS_ANSWERED_MAX * (2 * (BLOCK_BYTES_MAX + 256 + FINALIZATION_BYTES_MAX + MEMBERS_BYTES_MAX) + 100)
        + 100
        <= ANSWER_BYTES_MAX
);
const _: () = assert!(FEED_EVENTS_MAX * 250 + FEED_PACKETS_MAX * 2 * PACKET_BYTES <= ANSWER_BYTES_MAX);
const _: () = assert!(NONCE_AHEAD_MAX == 2 * REPLAY_WINDOW && REPLAY_WINDOW == u64::BITS as u64);
const _: () = assert!(
    200 + NAME_BYTES_MAX + VALIDATORS_MAX * (4 + NAME_BYTES_MAX + 64) + CHAINS_MAX * CHAIN_HEADER_BYTES
        <= GENESIS_HEADER_BYTES_MAX,
    "the header of the largest genesis has room"
);
const _: () = assert!(VALIDATORS_MAX <= u16::MAX as usize && GENESIS_ACCOUNTS_MAX as u64 <= ACCOUNTS_MAX);
