//! What clients and a validator say to each other.
//!
//! ```text
//! client ─▶ Hello, Submit, Query          validator ─▶ Welcome, Accepted, Notices, Answer, Rejected (and closes)
//! ```
//!
//! A submission numbers its packets from `tag` on; a notice names the tag. Frame boundaries are the transport's.
//!
//! Invariant: a welcome and every answer name the height that they speak of ([`AsOf`]), so that no client takes old
//! state for new.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{FeedQuery, Reader, Standing, WireError, Writer};
use crate::limits::{
    ANSWER_BYTES_MAX, NOTICES_MAX, REASON_BYTES_MAX, SERVER_FRAME_BYTES_MAX, SUBMIT_PACKETS_MAX,
};
use crate::types::{
    AccountId, ChainId, Digest, Epoch, Fingerprint, Height, PacketSlab, RULES_FIRST, RulesVersion,
    TransactionId, ValidatorIndex, Verdict,
};

/// The version of this protocol. Version 10: epochs, whose members can be asked for and consent to others. Version 11:
/// consents to later rules, and a welcome says whether the validator is a member. Version 12: a submission can ask to
/// be told what of it is accepted.
pub const PROTOCOL_VERSION: u32 = 12;
/// The first version of which a welcome says whether the validator is a member, and in which a refusal can say that it
/// is not; before, it is taken for one.
pub const STANDING_SINCE: u32 = 11;
/// The first version in which a client can ask to be told what is accepted.
pub const ACCEPTED_SINCE: u32 = 12;
/// The oldest version that is spoken as well: that of the last release.
pub const PROTOCOL_VERSION_FIRST: u32 = 10;

/// The version that a validator speaks with a client whose newest one this is: the newest one that both may speak. The
/// client looks for itself whether it does.
#[must_use]
pub fn version_for(newest: u32) -> Option<u32> {
    Some(newest.min(PROTOCOL_VERSION)).filter(|version| *version >= PROTOCOL_VERSION_FIRST)
}

/// Blocks that a validator may lack and still keep up: some are always finalized and not yet on its disk.
pub const BEHIND_MAX: u64 = 16;

/// Which height an answer speaks of, and how far the validator knows that it is behind the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsOf {
    /// The height that the validator had committed when it answered.
    pub height: Height,
    /// Blocks above that height which the validator knows to be finalized; `None` where it cannot tell, because it
    /// hears too little from its peers.
    pub behind: Option<u64>,
}

impl AsOf {
    /// The height that the network has reached, as far as the validator knows.
    pub fn network_height(&self) -> Height {
        Height(self.height.0.saturating_add(self.behind.unwrap_or(0)))
    }

    /// Whether the validator is, as far as it knows, at most [`BEHIND_MAX`] blocks behind.
    pub fn keeps_up(&self) -> bool {
        self.behind.is_some_and(|behind| behind <= BEHIND_MAX)
    }

    fn write<'a>(&self, writer: &'a mut Writer) -> &'a mut Writer {
        writer.u64(self.height.0);
        match self.behind {
            None => writer.u8(0),
            Some(behind) => writer.u8(1).u64(behind),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let height = Height(reader.u64("committed height")?);
        let behind = match reader.u8("whether the validator knows the network's height")? {
            0 => None,
            1 => Some(reader.u64("blocks behind")?),
            _ => {
                return Err(WireError::Invalid {
                    what: "whether the validator knows the network's height",
                    reason: "neither 0 nor 1",
                });
            }
        };
        Ok(Self { height, behind })
    }
}

impl std::fmt::Display for AsOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "height {}", self.height)?;
        match self.behind {
            None => f.write_str("; the validator cannot tell whether it is behind"),
            Some(behind) if !self.keeps_up() => write!(f, "; the validator is {behind} blocks behind"),
            Some(_) => Ok(()),
        }
    }
}

/// A question about committed state. Answers are JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// An account, with its proof under the latest state root.
    Account {
        /// The chain.
        chain: ChainId,
        /// The account.
        account: AccountId,
        /// Whether what the chain keeps of it beside its leaf is wanted, too.
        record: bool,
    },
    /// Where a transaction is and what became of it. Without a chain, all are searched.
    Transaction {
        /// The chain, if the client knows it.
        chain: Option<ChainId>,
        /// The transaction.
        id: TransactionId,
    },
    /// A block.
    Block {
        /// Its height.
        height: Height,
    },
    /// The proof that a transaction is in a block, under that block's state root.
    Proof {
        /// The chain.
        chain: ChainId,
        /// The transaction.
        id: TransactionId,
    },
    /// How the validator is.
    Status,
    /// What it has counted.
    Counters,
    /// What happened on a chain.
    Feed(FeedQuery),
    /// What a chain says of a fingerprint, with its proof under the latest state root.
    Attestation {
        /// The chain.
        chain: ChainId,
        /// The fingerprint.
        fingerprint: Fingerprint,
    },
    /// What the table of a chain says of a key, with its proof under the latest state root.
    Row {
        /// The chain.
        chain: ChainId,
        /// The key.
        key: [u8; 32],
    },
    /// Who validates in the present epoch.
    Members,
    /// The validator's consent to the members of the next epoch: that it is up, keeps up, and is ready for them.
    Consent {
        /// The epoch that they would have.
        epoch: Epoch,
        /// Their digest.
        members: Digest,
        /// The rules that they would have.
        rules: RulesVersion,
    },
    /// Which accounts of a chain have a public key.
    AccountsOf {
        /// The chain.
        chain: ChainId,
        /// The public key.
        key: [u8; 32],
        /// The lowest account of interest.
        from: AccountId,
    },
    /// How the epochs of the network ended, from this one on.
    Epochs {
        /// The first one of interest.
        from: Epoch,
    },
}

/// A frame from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientFrame {
    /// The first frame.
    Hello {
        /// The client's [`PROTOCOL_VERSION`], its newest one.
        version: u32,
        /// The network that it wants to talk to.
        network: Digest,
    },
    /// Transactions.
    Submit {
        /// The tag of the first packet; the others follow.
        tag: u64,
        /// The packets.
        packets: PacketSlab,
        /// Whether the client wants to be told what of it is accepted, before the verdict. Since [`ACCEPTED_SINCE`].
        tell: bool,
    },
    /// A question.
    Query {
        /// The client's number for it.
        id: u64,
        /// The question.
        query: Query,
    },
}

const HELLO: u8 = 1;
const SUBMIT: u8 = 2;
const QUERY: u8 = 3;
const SUBMIT_AND_TELL: u8 = 4;

impl ClientFrame {
    /// The encoding.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        match self {
            Self::Hello { version, network } => {
                writer.u8(HELLO).u32(*version).digest(network);
            }
            Self::Submit { tag, packets, tell } => {
                writer = Writer::with_capacity(9 + packets.as_bytes().len());
                writer.u8(if *tell { SUBMIT_AND_TELL } else { SUBMIT }).u64(*tag).raw(packets.as_bytes());
            }
            Self::Query { id, query } => {
                writer.u8(QUERY).u64(*id);
                query.write(&mut writer);
            }
        }
        writer.finish_bytes()
    }

    /// The inverse of [`Self::encode`]. The packets of a submission share the bytes of the frame.
    pub fn decode(frame: &Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(frame);
        let decoded = match reader.u8("frame kind")? {
            HELLO => {
                Self::Hello { version: reader.u32("protocol version")?, network: reader.digest("network")? }
            }
            kind @ (SUBMIT | SUBMIT_AND_TELL) => {
                let tag = reader.u64("tag")?;
                let what = "submitted packets";
                let packets = PacketSlab::new(frame.slice_ref(reader.rest()))
                    .ok_or(WireError::Invalid { what, reason: "not whole packets" })?;
                match packets.len() {
                    0 => return Err(WireError::Invalid { what, reason: "none" }),
                    1..=SUBMIT_PACKETS_MAX => {}
                    n => return Err(WireError::TooMany { what, count: n as u64, max: SUBMIT_PACKETS_MAX }),
                }
                if tag.checked_add(packets.len() as u64).is_none() {
                    return Err(WireError::Invalid {
                        what: "tag",
                        reason: "the last packet's tag overflows",
                    });
                }
                Self::Submit { tag, packets, tell: kind == SUBMIT_AND_TELL }
            }
            QUERY => Self::Query { id: reader.u64("query id")?, query: Query::read(&mut reader)? },
            _ => return Err(WireError::Invalid { what: "frame kind", reason: "unknown" }),
        };
        reader.finish()?;
        Ok(decoded)
    }
}

impl Query {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Account { chain, account, record } => {
                writer.u8(if *record { 10 } else { 1 }).u32(chain.0).u64(account.0)
            }
            Self::Transaction { chain: None, id } => writer.u8(2).raw(&id.0),
            Self::Transaction { chain: Some(chain), id } => writer.u8(3).u32(chain.0).raw(&id.0),
            Self::Block { height } => writer.u8(4).u64(height.0),
            Self::Proof { chain, id } => writer.u8(5).u32(chain.0).raw(&id.0),
            Self::Status => writer.u8(6),
            Self::Counters => writer.u8(7),
            Self::Feed(feed) => feed.write(writer.u8(8)),
            Self::Attestation { chain, fingerprint } => writer.u8(9).u32(chain.0).raw(&fingerprint.0),
            Self::Row { chain, key } => writer.u8(11).u32(chain.0).raw(key),
            Self::Members => writer.u8(13),
            Self::Consent { epoch, members, rules: RULES_FIRST } => {
                writer.u8(14).u64(epoch.0).digest(members)
            }
            Self::Consent { epoch, members, rules } => {
                writer.u8(16).u64(epoch.0).digest(members).u16(rules.0)
            }
            Self::AccountsOf { chain, key, from } => writer.u8(12).u32(chain.0).raw(key).u64(from.0),
            Self::Epochs { from } => writer.u8(15).u64(from.0),
        };
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let chain = |reader: &mut Reader<'_>| reader.u32("queried chain").map(ChainId);
        let id = |reader: &mut Reader<'_>| reader.array("queried transaction").map(TransactionId);
        Ok(match reader.u8("query kind")? {
            kind @ (1 | 10) => Self::Account {
                chain: chain(reader)?,
                account: AccountId(reader.u64("queried account")?),
                record: kind == 10,
            },
            2 => Self::Transaction { chain: None, id: id(reader)? },
            3 => Self::Transaction { chain: Some(chain(reader)?), id: id(reader)? },
            4 => Self::Block { height: Height(reader.u64("queried height")?) },
            5 => Self::Proof { chain: chain(reader)?, id: id(reader)? },
            6 => Self::Status,
            7 => Self::Counters,
            8 => Self::Feed(FeedQuery::read(reader)?),
            9 => {
                let fingerprint =
                    |reader: &mut Reader<'_>| reader.array("queried fingerprint").map(Fingerprint);
                Self::Attestation { chain: chain(reader)?, fingerprint: fingerprint(reader)? }
            }
            11 => Self::Row { chain: chain(reader)?, key: reader.array("queried key")? },
            12 => Self::AccountsOf {
                chain: chain(reader)?,
                key: reader.array("queried public key")?,
                from: AccountId(reader.u64("first account")?),
            },
            13 => Self::Members,
            kind @ (14 | 16) => Self::Consent {
                epoch: Epoch(reader.u64("epoch")?),
                members: reader.digest("digest of members")?,
                rules: match kind {
                    14 => RULES_FIRST,
                    _ => match RulesVersion(reader.u16("rules of members")?) {
                        later if later > RULES_FIRST => later,
                        _ => {
                            let (what, reason) = ("rules of members", "the first ones are not named");
                            return Err(WireError::Invalid { what, reason });
                        }
                    },
                },
            },
            15 => Self::Epochs { from: Epoch(reader.u64("first epoch")?) },
            _ => return Err(WireError::Invalid { what: "query kind", reason: "unknown" }),
        })
    }
}

/// What became of one submitted packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The client's tag.
    pub tag: u64,
    /// What became of it.
    pub verdict: Verdict,
}

/// A frame to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFrame {
    /// The answer to a good `Hello`.
    Welcome {
        /// The version that is spoken from here on.
        version: u32,
        /// The network.
        network: Digest,
        /// Who this is.
        validator: ValidatorIndex,
        /// Where it stands.
        as_of: AsOf,
        /// Whether it is a member.
        standing: Standing,
    },
    /// What became of submitted packets.
    Notices(Vec<Notice>),
    /// The tags of transactions that are in the mempool now, of submissions that ask to be told. A verdict follows, and
    /// may have overtaken this. What is accepted is in no block yet, and is lost if the validator ends.
    Accepted(Vec<u64>),
    /// The answer to a query.
    Answer {
        /// The client's number for the query.
        id: u64,
        /// The height that it speaks of.
        as_of: AsOf,
        /// JSON: one of [`answers`](super::answers).
        body: Bytes,
    },
    /// Why the connection is about to be closed.
    Rejected {
        /// For a person.
        reason: String,
    },
}

const WELCOME: u8 = 1;
const NOTICES: u8 = 2;
const ANSWER: u8 = 3;
const REJECTED: u8 = 4;
const ACCEPTED: u8 = 5;
const TAG_BYTES: usize = 8;
const NOTICE_BYTES: usize = 9;
/// Bytes of an answer before its body: kind, number, height, whether behind, how far, length.
const ANSWER_OVERHEAD_BYTES: usize = 1 + 8 + 8 + 1 + 8 + 4;

const _: () = assert!(ANSWER_OVERHEAD_BYTES + ANSWER_BYTES_MAX <= SERVER_FRAME_BYTES_MAX);

impl ServerFrame {
    /// The encoding. A reason is cut to [`REASON_BYTES_MAX`].
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        match self {
            Self::Welcome { version, network, validator, as_of, standing } => {
                writer.u8(WELCOME).u32(*version).digest(network).u16(validator.0);
                let writer = as_of.write(&mut writer);
                if *version >= STANDING_SINCE {
                    standing.write(writer);
                }
            }
            Self::Notices(notices) => {
                assert!(notices.len() <= NOTICES_MAX, "{} notices in one frame", notices.len());
                writer = Writer::with_capacity(5 + notices.len() * NOTICE_BYTES);
                writer.u8(NOTICES).count(notices.len());
                for notice in notices {
                    writer.u64(notice.tag).u8(notice.verdict.code());
                }
            }
            Self::Accepted(tags) => {
                assert!(tags.len() <= NOTICES_MAX, "{} tags in one frame", tags.len());
                writer = Writer::with_capacity(5 + tags.len() * TAG_BYTES);
                writer.u8(ACCEPTED).count(tags.len());
                for tag in tags {
                    writer.u64(*tag);
                }
            }
            Self::Answer { id, as_of, body } => {
                assert!(body.len() <= ANSWER_BYTES_MAX, "an answer of {} bytes", body.len());
                writer = Writer::with_capacity(ANSWER_OVERHEAD_BYTES + body.len());
                writer.u8(ANSWER).u64(*id);
                as_of.write(&mut writer).blob(body);
            }
            Self::Rejected { reason } => {
                let end = reason.floor_char_boundary(REASON_BYTES_MAX);
                writer.u8(REJECTED).blob(&reason.as_bytes()[..end]);
            }
        }
        writer.finish_bytes()
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(frame: &Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(frame);
        let decoded = match reader.u8("frame kind")? {
            WELCOME => {
                let version = reader.u32("protocol version")?;
                Self::Welcome {
                    version,
                    network: reader.digest("network")?,
                    validator: ValidatorIndex(reader.u16("validator")?),
                    as_of: AsOf::read(&mut reader)?,
                    standing: match version {
                        STANDING_SINCE.. => Standing::read(&mut reader)?,
                        _ => Standing::UNSAID,
                    },
                }
            }
            NOTICES => {
                let count = reader.count("notices", NOTICES_MAX, NOTICE_BYTES)?;
                let notice = |_| {
                    let tag = reader.u64("tag")?;
                    Ok(Notice { tag, verdict: Verdict::try_from(reader.u8("verdict")?)? })
                };
                Self::Notices((0..count).map(notice).collect::<Result<_, WireError>>()?)
            }
            ACCEPTED => {
                let count = reader.count("accepted tags", NOTICES_MAX, TAG_BYTES)?;
                Self::Accepted((0..count).map(|_| reader.u64("tag")).collect::<Result<_, WireError>>()?)
            }
            ANSWER => Self::Answer {
                id: reader.u64("query id")?,
                as_of: AsOf::read(&mut reader)?,
                body: frame.slice_ref(reader.blob("answer", ANSWER_BYTES_MAX)?),
            },
            REJECTED => Self::Rejected { reason: reader.text("reason", REASON_BYTES_MAX)? },
            _ => return Err(WireError::Invalid { what: "frame kind", reason: "unknown" }),
        };
        reader.finish()?;
        Ok(decoded)
    }
}
