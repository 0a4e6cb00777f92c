//! The table of operations. JSON-RPC, REST and the machine-readable description are made from it, and nothing else says
//! what there is.
//!
//! ```text
//! OPERATIONS ─┬─▶ rpc: the method of that name        ─┐
//!             ├─▶ rest: the path                       ├─▶ the same function, the same answer
//!             └─▶ openapi: what both take and answer  ─┘
//! ```

use engine::limits::FEED_EVENTS_MAX;
use serde_json::Value;

use crate::arguments::{Arguments, Form, Parameter, Place};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::host::Boxed;
use crate::tokens::Scope;

mod asking;
mod governing;
mod proving;
mod rehearsing;
mod submitting;

pub(crate) use asking::{block_value, feed_query, happened};
pub use submitting::WAIT_MS_MAX;

/// The method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// It changes nothing.
    Get,
    /// It takes a body.
    Post,
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caller(pub u64);

/// What an operation answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The HTTP status over REST: 200, or 202 where it is not decided yet.
    pub status: u16,
    /// The answer.
    pub value: Value,
}

impl Reply {
    /// What was asked for.
    pub fn ok(value: Value) -> Self {
        Self { status: 200, value }
    }
}

/// A member of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type in JSON: object, array, string, boolean, or integer, which beyond 2^53 is a string of digits.
    pub form: &'static str,
    /// Whether it is always there.
    pub always: bool,
    /// What it means.
    pub about: &'static str,
}

const fn field(name: &'static str, form: &'static str, about: &'static str) -> Field {
    Field { name, form, always: true, about }
}

const fn maybe(name: &'static str, form: &'static str, about: &'static str) -> Field {
    Field { name, form, always: false, about }
}

/// What does the work of an operation.
type Run = for<'a> fn(&'a Gateway, Caller, &'a Arguments) -> Boxed<'a, Result<Reply, Failure>>;

/// Something that can be asked for.
pub struct Operation {
    /// The method of JSON-RPC, and the operation's id in the description.
    pub name: &'static str,
    /// The method of HTTP.
    pub verb: Verb,
    /// The path over REST, with parameters in braces.
    pub path: &'static str,
    /// What a caller needs.
    pub scope: Scope,
    /// What it is for, in a line.
    pub about: &'static str,
    /// What it takes.
    pub parameters: &'static [Parameter],
    /// What it answers.
    pub answer: &'static [Field],
    /// What does it.
    pub run: Run,
}

const fn path(name: &'static str, form: Form, about: &'static str) -> Parameter {
    Parameter { name, place: Place::Path, form, required: true, about }
}

const fn query(name: &'static str, form: Form, about: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, form, required: false, about }
}

const fn body(name: &'static str, form: Form, required: bool, about: &'static str) -> Parameter {
    Parameter { name, place: Place::Body, form, required, about }
}

const CHAIN: Parameter = path("chain", Form::Whole(u32::MAX as u64), "The number of the chain.");
const ACCOUNT: Parameter = path("account", Form::Whole(u64::MAX), "The number of the account.");
const ID: Parameter = path("id", Form::Bytes32, "The id of the transaction.");
const FINGERPRINT: Parameter = path("fingerprint", Form::Bytes32, "The SHA-256 that was registered.");
const IN_CHAIN: Parameter = query(
    "chain",
    Form::Whole(u32::MAX as u64),
    "The chain of the transaction; without it, all are searched.",
);
const MIN_HEIGHT: Parameter = query(
    "min_height",
    Form::Whole(u64::MAX),
    "Wait, for 5 seconds at most, until the node has committed this height: to read what was written before.",
);
/// Of states, of which the node has only the newest.
const AT: Parameter = query(
    "at",
    Form::Whole(u64::MAX),
    "Answer for this height, or not at all. The node has the state of its newest height only: for an older one the error \
     `not at that height` says which that is. A height that comes within 5 seconds is waited for.",
);
/// Of what stands in blocks.
const AT_BLOCK: Parameter = query(
    "at",
    Form::Whole(u64::MAX),
    "Answer for this height, which can be any one whose block the node keeps; for others the error `not at that height` \
     says which these are. A height that comes within 5 seconds is waited for.",
);
const TRANSACTION: Parameter = body(
    "transaction",
    Form::Transaction,
    true,
    "The signed bytes (docs/WIRE.md), in hexadecimal or base64. Over REST they can be the whole body, as \
     application/octet-stream.",
);
const AS_OF: Field = field(
    "as_of",
    "object",
    "The durable height that the answer speaks of, and how many blocks the node knows itself to be behind it.",
);
const VIEW: Field = field("view", "string", "`latest`: the newest durable height of this node.");
const ON_CHAIN: Field = field("chain", "integer", "The chain.");
const STATE_ROOT: Field = field("state_root", "string", "The state root to which the proof leads.");
const PROOF: Field = field(
    "proof",
    "object",
    "The Merkle path to the state root. The gateway has not checked it: docs/PROOFS.md says how you can.",
);
const SAID: Field = field("said", "object", "What the transaction says, by its kind.");

const RECEIPT: &[Field] = &[
    field("id", "string", "The id of the transaction: the reference under which it is found later."),
    field(
        "status",
        "string",
        "`committed`: durable and executed. `failed`: durable, without effect but on the nonce. `accepted`: in this \
         node's mempool, and lost if the node ends. `pending`: nothing is known yet.",
    ),
    maybe("code", "integer", "Of what is decided: the code of docs/ERRORS.md."),
    maybe("outcome", "string", "Of what is decided: the words of docs/ERRORS.md, with `_` for a space."),
    maybe("chain", "integer", "With `receipt` = `full`: the chain of the transaction."),
    maybe("height", "integer", "With `receipt` = `full`: the height of its block."),
    maybe(
        "position",
        "integer",
        "With `receipt` = `full`: its place among the block's transactions on this chain.",
    ),
];

const PROVED: &[Field] = &[
    field("view", "string", "`proven`: under a finalization certificate of the validators."),
    field("height", "integer", "The height of which the proof speaks."),
    field("proof", "string", "The proof, in hexadecimal: the file that `millrace verify-proof` checks."),
    field("bytes", "integer", "How long it is."),
];

/// All operations.
pub static OPERATIONS: &[Operation] = &[
    Operation {
        name: "submit",
        verb: Verb::Post,
        path: "/v1/transactions",
        scope: Scope::Submit,
        about: "Submits a signed transaction. The same bytes again get the first verdict, from every node.",
        parameters: &[
            TRANSACTION,
            body(
                "wait",
                Form::Word(&["committed", "accepted"]),
                false,
                "For what to wait: `committed` (the default) or `accepted`.",
            ),
            body(
                "timeout_ms",
                Form::Whole(WAIT_MS_MAX),
                false,
                "How long, 10,000 by default. Then the answer is 202 and the reference.",
            ),
            body(
                "receipt",
                Form::Word(&["verdict", "full"]),
                false,
                "`full` also says where the transaction is; `verdict` is the default.",
            ),
        ],
        answer: RECEIPT,
        run: |gateway, caller, arguments| Box::pin(submitting::submit(gateway, caller, arguments)),
    },
    Operation {
        name: "decode",
        verb: Verb::Post,
        path: "/v1/decode",
        scope: Scope::Read,
        about: "Says what signed bytes mean, without submitting them and without asking the ledger.",
        parameters: &[TRANSACTION],
        answer: &[
            field("id", "string", "The id of the transaction in this network."),
            ON_CHAIN,
            field("signer", "integer", "The account that signs."),
            field("key_version", "integer", "The version of the key with which it is signed."),
            field("nonce", "integer", "Its nonce."),
            field("expiry", "integer", "The last height at which it may execute."),
            field("packets", "integer", "How many packets of 128 bytes it has."),
            SAID,
        ],
        run: |gateway, _, arguments| Box::pin(std::future::ready(rehearsing::decode(gateway, arguments))),
    },
    Operation {
        name: "dry_run",
        verb: Verb::Post,
        path: "/v1/dry-run",
        scope: Scope::Read,
        about: "Says what would keep a signed transfer from applying now. It is not submitted, and later it may be \
                otherwise.",
        parameters: &[TRANSACTION],
        answer: &[
            AS_OF,
            VIEW,
            field("id", "string", "The id of the transaction."),
            field(
                "would",
                "string",
                "As far as it was checked: `apply`; `fail`, in a block; or `be_refused`, by the node.",
            ),
            field("code", "integer", "Why: the code of docs/ERRORS.md."),
            field("words", "string", "The words of docs/ERRORS.md for it."),
            field("checked", "array", "What was checked, in this order. Nothing else was."),
        ],
        run: |gateway, _, arguments| Box::pin(rehearsing::dry_run(gateway, arguments)),
    },
    Operation {
        name: "transaction",
        verb: Verb::Get,
        path: "/v1/transactions/{id}",
        scope: Scope::Read,
        about: "Where a transaction is, and what became of it.",
        parameters: &[ID, IN_CHAIN, MIN_HEIGHT],
        answer: &[
            AS_OF,
            VIEW,
            ON_CHAIN,
            field("id", "string", "The id."),
            field("height", "integer", "The height of its block."),
            field("position", "integer", "Its place among the block's transactions on this chain."),
            field("outcome", "string", "What execution made of it."),
            field("code", "integer", "The same as the code of docs/ERRORS.md."),
            field("author", "integer", "The validator that sealed its batch."),
            field("sequence", "integer", "The number of that batch in the validator's stream."),
            field("packet", "string", "The transaction itself, in hexadecimal."),
            SAID,
            maybe("opened", "integer", "The first of the accounts that it has opened; the others follow."),
            maybe("crossing", "object", "What became of a payment to another chain."),
        ],
        run: |gateway, _, arguments| Box::pin(asking::transaction(gateway, arguments)),
    },
    Operation {
        name: "account",
        verb: Verb::Get,
        path: "/v1/chains/{chain}/accounts/{account}",
        scope: Scope::Read,
        about: "An account, with its proof and the nonces that are free.",
        parameters: &[CHAIN, ACCOUNT, MIN_HEIGHT, AT],
        answer: &[
            AS_OF,
            VIEW,
            ON_CHAIN,
            field("account", "integer", "The account."),
            field("balance", "integer", "What it holds."),
            field("key", "string", "Its public key, in hexadecimal."),
            field("key_version", "integer", "The version of the key."),
            field("status", "string", "Whether it is open, closing or closed."),
            field("frozen", "string", "Which ways it is closed to money."),
            field("next_nonce", "integer", "The nonce above all that are used."),
            field("free_nonces", "array", "The lowest 16 nonces that are not used."),
            STATE_ROOT,
            PROOF,
            maybe("record", "object", "What the chain keeps of it beside its leaf, with its path."),
        ],
        run: |gateway, _, arguments| Box::pin(asking::account(gateway, arguments)),
    },
    Operation {
        name: "accounts_of",
        verb: Verb::Get,
        path: "/v1/chains/{chain}/accounts",
        scope: Scope::Read,
        about: "The accounts of a chain that have a public key.",
        parameters: &[
            CHAIN,
            Parameter { required: true, ..query("key", Form::Bytes32, "The public key.") },
            query("from", Form::Whole(u64::MAX), "The lowest account of interest, for the next page."),
            MIN_HEIGHT,
            AT,
        ],
        answer: &[
            AS_OF,
            VIEW,
            ON_CHAIN,
            field("accounts", "array", "They, ascending."),
            field("more", "boolean", "Whether there are more: ask again from above the last one."),
        ],
        run: |gateway, _, arguments| Box::pin(asking::accounts_of(gateway, arguments)),
    },
    Operation {
        name: "history",
        verb: Verb::Get,
        path: "/v1/chains/{chain}/history",
        scope: Scope::Read,
        about: "What happened on a chain, or to one account, in the order of execution. Pages stay as they are while \
                blocks arrive. With `Accept: text/csv` it is a table.",
        parameters: &[
            CHAIN,
            query("account", Form::Whole(u64::MAX), "Only what concerns this account."),
            query("reference", Form::Reference, "Only what carries this reference of its sender."),
            query("from", Form::Cursor, "Where to go on: the member `next` of the page before, of any node."),
            query("limit", Form::Whole(FEED_EVENTS_MAX as u64), "So many events at most, 100 by default."),
            MIN_HEIGHT,
        ],
        answer: &[
            AS_OF,
            VIEW,
            ON_CHAIN,
            field("events", "array", "They. A page may have fewer than the limit, and none."),
            field("next", "string", "Where to go on."),
            field("at_end", "boolean", "Whether the page ends with the durable height."),
        ],
        run: |gateway, _, arguments| Box::pin(asking::history(gateway, arguments)),
    },
    Operation {
        name: "block",
        verb: Verb::Get,
        path: "/v1/blocks/{height}",
        scope: Scope::Read,
        about: "A committed block.",
        parameters: &[path("height", Form::Whole(u64::MAX), "Its height."), MIN_HEIGHT],
        answer: &[
            AS_OF,
            VIEW,
            field("height", "integer", "Its height."),
            field("digest", "string", "Its digest."),
            field("time_ms", "integer", "Its time, in milliseconds since 1970."),
            field("epoch", "integer", "Its epoch."),
            field("consensus_view", "integer", "The view in which it was proposed."),
            field("proposer", "integer", "Who proposed it."),
            field("parent", "string", "The digest of the block before."),
            field("transactions", "integer", "How many transactions it has, over all chains."),
            field("failures", "integer", "How many of them did not apply."),
            STATE_ROOT,
            field("entries", "array", "What the state root commits to, every chain ascending."),
            field("block", "string", "Its bytes, in hexadecimal."),
            field(
                "certificate",
                "string",
                "Its finalization certificate; empty where a later one covers it.",
            ),
        ],
        run: |gateway, _, arguments| Box::pin(asking::block(gateway, arguments)),
    },
    Operation {
        name: "chains",
        verb: Verb::Get,
        path: "/v1/chains",
        scope: Scope::Read,
        about: "All chains of the network.",
        parameters: &[MIN_HEIGHT, AT_BLOCK],
        answer: &[AS_OF, VIEW, field("chains", "array", "Each as `chain` has it, without its proof.")],
        run: |gateway, _, arguments| Box::pin(asking::chains(gateway, arguments)),
    },
    Operation {
        name: "chain",
        verb: Verb::Get,
        path: "/v1/chains/{chain}",
        scope: Scope::Read,
        about: "A chain: its kind, its status, what it has.",
        parameters: &[CHAIN, MIN_HEIGHT, AT_BLOCK],
        answer: &[
            AS_OF,
            VIEW,
            ON_CHAIN,
            field("kind", "string", "What it does."),
            field("status", "string", "Whether it takes new work."),
            field("asset", "string", "What its balances are balances of; empty where its kind has none."),
            field("accounts", "integer", "How many accounts it has."),
            field("rows", "integer", "How many rows its table has."),
            field("issued", "integer", "What was issued since the beginning."),
            field("burned", "integer", "What was burned since the beginning."),
            STATE_ROOT,
            maybe(
                "proof",
                "object",
                "The Merkle path to the state root, as `account` has it. With `at` it is missing: the block of that height \
                 names every chain.",
            ),
        ],
        run: |gateway, _, arguments| Box::pin(asking::chain(gateway, arguments)),
    },
    Operation {
        name: "charter",
        verb: Verb::Get,
        path: "/v1/chains/{chain}/charter",
        scope: Scope::Read,
        about: "What is in effect on a chain: who may do what there, and the caps.",
        parameters: &[CHAIN, MIN_HEIGHT, AT],
        answer: &[
            AS_OF,
            VIEW,
            ON_CHAIN,
            maybe(
                "charter",
                "object",
                "It, as `millrace query chain --json` has it. It is missing where the genesis alone says it, and this \
                 gateway does not have that.",
            ),
        ],
        run: |gateway, _, arguments| Box::pin(governing::charter(gateway, arguments)),
    },
    Operation {
        name: "governance",
        verb: Verb::Get,
        path: "/v1/governance",
        scope: Scope::Read,
        about: "Who decides about chains and validators, what is proposed, and what takes effect when.",
        parameters: &[
            query("from", Form::Bytes32, "Where to go on: the member `next` of the page before."),
            MIN_HEIGHT,
            AT,
        ],
        answer: &[
            AS_OF,
            VIEW,
            maybe("chain", "integer", "The chain that decides; missing where the network has none."),
            maybe("version", "integer", "The version of the set of administrators."),
            maybe(
                "administrators",
                "array",
                "Their accounts; missing where only a genesis says it that is not here.",
            ),
            maybe("threshold", "integer", "How many of them must approve."),
            field(
                "proposals",
                "array",
                "In the order of their names, each with its decision, approvals and `state`: open, decided (and in effect \
                 from a height, or the next epoch, on), in_effect, expired or void.",
            ),
            maybe("next", "string", "Where to go on, if there are more."),
        ],
        run: |gateway, _, arguments| Box::pin(governing::governance(gateway, arguments)),
    },
    Operation {
        name: "attestation",
        verb: Verb::Get,
        path: "/v1/chains/{chain}/attestations/{fingerprint}",
        scope: Scope::Read,
        about: "What a chain says of a fingerprint, with its proof; also that it is not registered.",
        parameters: &[CHAIN, FINGERPRINT, MIN_HEIGHT, AT],
        answer: &[
            AS_OF,
            VIEW,
            ON_CHAIN,
            field("fingerprint", "string", "The fingerprint."),
            field("registered", "boolean", "Whether the chain knows it."),
            maybe("transaction", "string", "The transaction that registered it."),
            maybe("data", "string", "What was registered with it, in hexadecimal."),
            STATE_ROOT,
            PROOF,
        ],
        run: |gateway, _, arguments| Box::pin(asking::attestation(gateway, arguments)),
    },
    Operation {
        name: "prove_transaction",
        verb: Verb::Get,
        path: "/v1/proofs/transactions/{id}",
        scope: Scope::Read,
        about: "A proof for strangers that a transaction is in a block, with its outcome. It is checked here first.",
        parameters: &[ID, IN_CHAIN],
        answer: PROVED,
        run: |gateway, _, arguments| Box::pin(proving::transaction(gateway, arguments)),
    },
    Operation {
        name: "prove_account",
        verb: Verb::Get,
        path: "/v1/proofs/chains/{chain}/accounts/{account}",
        scope: Scope::Read,
        about: "A proof for strangers of an account as it is now: its *proven* view. It is checked here first.",
        parameters: &[CHAIN, ACCOUNT],
        answer: PROVED,
        run: |gateway, _, arguments| Box::pin(proving::account(gateway, arguments)),
    },
    Operation {
        name: "prove_attestation",
        verb: Verb::Get,
        path: "/v1/proofs/chains/{chain}/attestations/{fingerprint}",
        scope: Scope::Read,
        about: "A proof for strangers of what a chain says of a fingerprint. It is checked here first.",
        parameters: &[CHAIN, FINGERPRINT],
        answer: PROVED,
        run: |gateway, _, arguments| Box::pin(proving::attestation(gateway, arguments)),
    },
    Operation {
        name: "status",
        verb: Verb::Get,
        path: "/v1/status",
        scope: Scope::Read,
        about: "How the node is.",
        parameters: &[MIN_HEIGHT],
        answer: &[AS_OF, VIEW, field("status", "object", "As `millrace query status --json` has it.")],
        run: |gateway, _, _| Box::pin(asking::status(gateway)),
    },
    Operation {
        name: "validators",
        verb: Verb::Get,
        path: "/v1/validators",
        scope: Scope::Read,
        about: "Who validates in the present epoch, by the node's word.",
        parameters: &[MIN_HEIGHT],
        answer: &[
            AS_OF,
            VIEW,
            field("epoch", "integer", "The epoch."),
            field("begins_after", "integer", "The last height of the epoch before."),
            field("validators", "array", "They, in their places."),
        ],
        run: |gateway, _, _| Box::pin(asking::validators(gateway)),
    },
];

/// The operation of a name.
pub fn named(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_paths_are_there_once_and_paths_have_their_parameters() {
        let names: BTreeSet<_> = OPERATIONS.iter().map(|of| of.name).collect();
        let paths: BTreeSet<_> = OPERATIONS.iter().map(|of| (of.verb == Verb::Get, of.path)).collect();
        assert_eq!((names.len(), paths.len()), (OPERATIONS.len(), OPERATIONS.len()));
        for operation in OPERATIONS {
            let in_path =
                operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let declared = operation.parameters.iter().filter(|of| of.place == Place::Path).map(|of| of.name);
            assert_eq!(in_path.collect::<Vec<_>>(), declared.collect::<Vec<_>>(), "{}", operation.name);
            let has_body = operation.parameters.iter().any(|of| of.place == Place::Body);
            assert_eq!(has_body, operation.verb == Verb::Post, "{}", operation.name);
            assert!(operation.about.ends_with('.') && operation.path.starts_with("/v1/"));
        }
    }
}
