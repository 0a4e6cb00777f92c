//! The feed of a chain: what happened on it, in the order of execution, from a cursor on.
//!
//! ```text
//! height h:   0 … effects-1                effects … effects+inbox-1         … effects+inbox+transactions-1
//!             what took effect by itself   what other chains sent in h-1     the block's transactions on this chain
//! ```
//!
//! Every validator has the same order, so a cursor that one has given is understood by all, also after a restart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Reader, WireError, Writer};
use crate::limits::FEED_EVENTS_MAX;
use crate::types::{AccountId, ChainId, Content, Effect, Height, Outcome, PacketRun};

/// A place in the feed of a chain: the next event is this one, or the first above it. As text it is `height.place`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The height.
    pub height: Height,
    /// The place among what happened on the chain at that height, from 0.
    pub place: u32,
}

impl Cursor {
    /// The beginning of every feed.
    pub const START: Self = Self { height: Height(1), place: 0 };

    /// The first place of a height.
    #[must_use]
    pub fn at(height: Height) -> Self {
        Self { height, place: 0 }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.height, self.place))
    }
}

/// Text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is a height and a place with a dot between them, such as 17.3")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (height, place) = text.split_once('.').ok_or(NoCursor)?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(height) || !digits(place) {
            return Err(NoCursor);
        }
        let height = height.parse().map_err(|_| NoCursor)?;
        Ok(Self { height: Height(height), place: place.parse().map_err(|_| NoCursor)? })
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Which events of a chain are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedQuery {
    /// The chain.
    pub chain: ChainId,
    /// From here on.
    pub from: Cursor,
    /// Only what an account signed, received or got back, and what took effect for it by itself.
    pub account: Option<AccountId>,
    /// Only what carries this reference of its sender: nothing that took effect by itself.
    pub reference: Option<[u8; 12]>,
    /// So many events at most, 1 to [`FEED_EVENTS_MAX`].
    pub max: u16,
}

/// What happened with a transaction on one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happening {
    /// It was executed here, where its payer is.
    Executed {
        /// What became of it.
        outcome: Outcome,
    },
    /// Its payee, here, was credited: its payer is on another chain.
    Credited,
    /// Its payee, here, could not be credited: the money goes back.
    NotCredited {
        /// Why.
        reason: Outcome,
    },
    /// Its payer, here, has the money back.
    Refunded {
        /// Why.
        reason: Outcome,
    },
    /// It has paid for an offer on another chain: the account that the offer names, here, has the price.
    Swapped,
}

impl Happening {
    /// The chain on which this happens with that transaction.
    #[must_use]
    pub fn chain(self, run: PacketRun<'_>) -> ChainId {
        match self {
            Self::Executed { .. } | Self::Refunded { .. } | Self::Swapped => run.chain(),
            Self::Credited | Self::NotCredited { .. } => {
                run.destination().map_or(run.chain(), |(chain, _)| chain)
            }
        }
    }

    /// Whether an account of that chain has signed it, or is changed by it. An arrival that fails concerns the
    /// account that it names, also where there is none.
    #[must_use]
    pub fn concerns(self, run: PacketRun<'_>, account: AccountId) -> bool {
        match self {
            Self::Executed { outcome } => {
                run.debit() == account || (outcome == Outcome::Applied && changes(run, account))
            }
            Self::Refunded { .. } => run.debit() == account,
            Self::Credited | Self::NotCredited { .. } => match run.content() {
                Ok(Content::Take(of)) => of.credit == account || of.terms.offer.payer == account,
                _ => run.credit() == account,
            },
            Self::Swapped => match run.content() {
                Ok(Content::Take(of)) => of.envelope.signer == account || of.terms.to == account,
                _ => false,
            },
        }
    }
}

/// Whether a transaction that has applied changes an account that did not sign it.
fn changes(run: PacketRun<'_>, account: AccountId) -> bool {
    match run.content() {
        Ok(Content::Linked(linked)) => linked.payments.iter().any(|payment| payment.to == account),
        Ok(Content::Recover(recover)) => recover.account == account,
        Ok(Content::Reserve(of)) => of.payee == account || of.settler == account,
        Ok(Content::Settle(of)) => of.reservation.payer == account || of.payee == account,
        Ok(
            Content::Opening(_)
            | Content::Attest(_)
            | Content::Revoke(_)
            | Content::Rekey(_)
            | Content::Protect(_)
            | Content::Propose(_)
            | Content::Approve(_)
            | Content::Offer(_)
            | Content::Take(_),
        )
        | Err(_) => false,
        Ok(Content::Transfer(_) | Content::Command(_)) => run.credit() == account,
    }
}

impl FeedQuery {
    /// Whether something that took effect by itself is wanted.
    #[must_use]
    pub fn wants_effect(&self, effect: &Effect) -> bool {
        self.reference.is_none() && self.account.is_none_or(|account| effect.concerns(account))
    }

    /// Whether what happened with a transaction is wanted.
    #[must_use]
    pub fn wants(&self, happening: Happening, run: PacketRun<'_>) -> bool {
        self.account.is_none_or(|account| happening.concerns(run, account))
            && self.reference.is_none_or(|reference| run.reference() == reference)
    }

    pub(super) fn write<'a>(&self, writer: &'a mut Writer) -> &'a mut Writer {
        writer.u32(self.chain.0).u64(self.from.height.0).u32(self.from.place).u16(self.max);
        writer.u8(u8::from(self.account.is_some()) | u8::from(self.reference.is_some()) << 1);
        if let Some(account) = self.account {
            writer.u64(account.0);
        }
        writer.raw(self.reference.as_ref().map_or(&[][..], |reference| reference))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let chain = ChainId(reader.u32("chain of a feed")?);
        let height = Height(reader.u64("cursor")?);
        let from = Cursor { height, place: reader.u32("cursor")? };
        let max = reader.u16("events")?;
        if !(1..=FEED_EVENTS_MAX).contains(&usize::from(max)) {
            return Err(WireError::TooMany { what: "events", count: max.into(), max: FEED_EVENTS_MAX });
        }
        let filters = reader.u8("filters of a feed")?;
        if filters > 3 {
            return Err(WireError::Invalid { what: "filters of a feed", reason: "unknown" });
        }
        let account =
            (filters & 1 != 0).then(|| reader.u64("account of a feed").map(AccountId)).transpose()?;
        let reference = (filters & 2 != 0).then(|| reader.array("reference of a feed")).transpose()?;
        Ok(Self { chain, from, account, reference, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Transfer;

    #[test]
    fn a_cursor_is_read_as_it_is_written_and_nothing_else_is() {
        let cursor = Cursor { height: Height(17), place: 3 };
        assert_eq!((cursor.to_string().as_str(), "17.3".parse()), ("17.3", Ok(cursor)));
        assert_eq!(serde_json::to_string(&cursor).unwrap(), "\"17.3\"");
        assert_eq!(serde_json::from_str::<Cursor>("\"17.3\"").unwrap(), cursor);
        for text in ["", "17", ".", "17.", ".3", "17.3.1", "-1.0", "+1.0", "1. 0", "1.4294967296"] {
            assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text:?}");
        }
    }

    #[test]
    fn an_account_is_concerned_by_what_it_signs_receives_or_gets_back() {
        let (payer, payee) = (AccountId(1), AccountId(2));
        let transfer = |credit_chain| Transfer {
            chain: ChainId(7),
            key_version: 0,
            reference: *b"invoice 0042",
            debit: payer,
            credit_chain,
            credit: payee,
            amount: 5,
            nonce: 0,
            expiry: Height(9),
        };
        let within = transfer(None).sign(&crate::types::Digest([1; 32]), |_| [0; 64]);
        let across = transfer(Some(ChainId(8))).sign(&crate::types::Digest([1; 32]), |_| [0; 64]);
        let reason = Outcome::UnknownCredit;
        let executed = |outcome| Happening::Executed { outcome };
        for (happening, packet, chain, concerned) in [
            (executed(Outcome::Applied), &within, 7, [true, true]),
            (executed(Outcome::InsufficientBalance), &within, 7, [true, false]),
            (executed(Outcome::Sent), &across, 7, [true, false]),
            (Happening::Credited, &across, 8, [false, true]),
            (Happening::NotCredited { reason }, &across, 8, [false, true]),
            (Happening::Refunded { reason }, &across, 7, [true, false]),
        ] {
            assert_eq!(happening.chain(packet.run()), ChainId(chain), "{happening:?}");
            let found = [payer, payee].map(|account| happening.concerns(packet.run(), account));
            assert_eq!(found, concerned, "{happening:?}");
        }
        let asks = |account, reference| FeedQuery {
            chain: ChainId(7),
            from: Cursor::START,
            account,
            reference,
            max: 1,
        };
        let applied = executed(Outcome::Applied);
        assert!(asks(None, None).wants(applied, within.run()));
        assert!(asks(Some(payee), Some(*b"invoice 0042")).wants(applied, within.run()));
        assert!(!asks(Some(payee), Some(*b"invoice 0043")).wants(applied, within.run()));
        assert!(!asks(Some(AccountId(3)), Some(*b"invoice 0042")).wants(applied, within.run()));
    }
}
