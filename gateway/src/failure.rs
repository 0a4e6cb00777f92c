//! What goes wrong, for whom: one table of codes, names and HTTP statuses. `docs/ERRORS.md` has the same table.

use client::AsOf;
use client::answers::{FailureKind, QueryFailure};
use engine::types::Refusal;
use serde_json::{Value, json};

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// In the member `code` of an error. Those of JSON-RPC 2.0 are negative; those from 1,001 on are the gateway's own.
    pub code: i64,
    /// In the member `name`.
    pub name: &'static str,
    /// The HTTP status over REST.
    pub status: u16,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $status:literal;)*) => {
        $($(#[$doc])* pub const $name: Kind = Kind { code: $code, name: $text, status: $status };)*

        /// All kinds but the refusals of a node, in the order of the page.
        pub const KINDS: &[Kind] = &[$($name),*];
    };
}

kinds! {
    /// Not JSON, or nested too deeply.
    PARSE = -32700, "parse error", 400;
    /// Not a call of JSON-RPC 2.0, or not a request of this door.
    INVALID_REQUEST = -32600, "invalid request", 400;
    /// No such method.
    METHOD_NOT_FOUND = -32601, "method not found", 404;
    /// A field is missing, unknown, or cannot be what it says.
    INVALID_PARAMS = -32602, "invalid params", 400;
    /// A defect of ours.
    INTERNAL = -32603, "internal error", 500;
    /// The committed ledger has no such thing.
    NOT_FOUND = 1001, "not found", 404;
    /// It is older than what the node keeps.
    BELOW_RETENTION = 1002, "below retention", 410;
    /// The node cannot be reached, or cannot say now.
    UNAVAILABLE = 1003, "unavailable", 503;
    /// The node has not reached the height that was asked for.
    BEHIND = 1004, "behind", 412;
    /// No token, or one that is not valid.
    UNAUTHORIZED = 1005, "unauthorized", 401;
    /// The token, or the lack of one, does not allow this.
    FORBIDDEN = 1006, "forbidden", 403;
    /// The Host header names another machine.
    WRONG_HOST = 1007, "wrong host", 421;
    /// A page of another origin asks.
    WRONG_ORIGIN = 1008, "wrong origin", 403;
    /// The body is too large.
    TOO_LARGE = 1009, "too large", 413;
    /// The caller does this too often.
    TOO_MANY = 1010, "too many", 429;
    /// The content is of another type.
    MEDIA_TYPE = 1011, "media type", 415;
    /// The body did not come in time.
    TOO_SLOW = 1012, "too slow", 408;
    /// The path takes another method of HTTP.
    WRONG_METHOD = 1013, "wrong method", 405;
    /// The node keeps no state of the height of `at`.
    NOT_AT = 1014, "not at that height", 410;
}

/// Something that went wrong, as it is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Its kind.
    pub kind: Kind,
    /// What is wrong and what to do, in English.
    pub message: String,
    /// After how many seconds the same may be tried again, where that can help.
    pub retry_after: Option<u32>,
    /// More, for programs: the nearest known name, the height of the node.
    pub data: Option<Value>,
}

impl Failure {
    /// A failure that trying again does not help.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None, data: None }
    }

    /// A field that cannot be what it says.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    /// The node is not there, or has no room.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(UNAVAILABLE, message).after(1)
    }

    /// It may be tried again after so many seconds.
    #[must_use]
    pub fn after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// With more for programs.
    #[must_use]
    pub fn with(self, data: Value) -> Self {
        Self { data: Some(data), ..self }
    }

    /// An unknown name, with the nearest known one.
    pub fn unknown<'a>(kind: Kind, what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let shown: String = name.chars().take(64).collect();
        match crate::nearest::nearest(name, known) {
            Some(nearest) => {
                Self::new(kind, format!("there is no {what} {shown:?}; did you mean {nearest:?}?"))
                    .with(json!({ "unknown": shown, "nearest": nearest }))
            }
            None => {
                Self::new(kind, format!("there is no {what} {shown:?}")).with(json!({ "unknown": shown }))
            }
        }
    }

    /// What a node says of a question that has no answer.
    pub fn of_node(failure: &QueryFailure, as_of: AsOf) -> Self {
        let data = json!({ "as_of": as_of });
        match failure.kind {
            FailureKind::NotFound => Self::new(NOT_FOUND, &failure.reason).with(data),
            FailureKind::BelowRetention => Self::new(BELOW_RETENTION, &failure.reason).with(data),
            FailureKind::Unavailable => Self::unavailable(&failure.reason).with(data),
        }
    }

    /// The node cannot answer for a height, and can for these.
    pub fn not_at(at: u64, (from, to): (u64, u64), as_of: AsOf) -> Self {
        let can = match from == to {
            true => format!("for height {from} alone, which is its newest"),
            false => format!("for the heights {from} to {to}"),
        };
        let message = format!("the node cannot answer this for height {at}: it can {can}");
        Self::new(NOT_AT, message).with(json!({ "as_of": as_of, "from": from, "to": to }))
    }

    /// A transaction that the node did not take. The code is that of `docs/ERRORS.md`.
    pub fn refused(refusal: Refusal, id: &str) -> Self {
        let status = match refusal {
            Refusal::Busy | Refusal::Stopping | Refusal::NotMember => 503,
            Refusal::SenderFull | Refusal::DuplicatePending => 409,
            Refusal::Malformed => 400,
            _ => 422,
        };
        let message =
            format!("the node did not take the transaction: {refusal}; docs/ERRORS.md says what to do");
        let kind = Kind { code: refusal.code().into(), name: refusal.name(), status };
        let failure = Self::new(kind, message).with(json!({ "id": id }));
        match status {
            503 => failure.after(1),
            _ => failure,
        }
    }

    /// The member `error` of an answer, over REST and over JSON-RPC.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.kind.code, "name": self.kind.name, "message": self.message });
        if let Some(seconds) = self.retry_after {
            error["retry_after_seconds"] = seconds.into();
        }
        if let Some(data) = &self.data {
            error["data"] = data.clone();
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_errors_has_every_kind_and_no_other() {
        let page = include_str!("../../docs/ERRORS.md");
        let (_, page) = page.split_once("## What a gateway says").expect("the section");
        let rows = page.lines().filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [code, name, status, when] = cells[..] else { return None };
            assert!(!when.is_empty(), "{code} says when");
            Some((code.parse::<i64>().ok()?, name, status.parse::<u16>().expect("a status")))
        });
        let kinds = KINDS.iter().map(|kind| (kind.code, kind.name, kind.status));
        assert_eq!(rows.collect::<Vec<_>>(), kinds.collect::<Vec<_>>());
    }

    #[test]
    fn a_busy_node_is_to_be_asked_again_and_a_bad_signature_is_not() {
        let busy = Failure::refused(Refusal::Busy, "00");
        assert_eq!((busy.kind.status, busy.kind.code, busy.retry_after), (503, 42, Some(1)));
        let bad = Failure::refused(Refusal::BadSignature, "00");
        assert_eq!((bad.kind.status, bad.kind.code, bad.retry_after), (422, 39, None));
    }
}
