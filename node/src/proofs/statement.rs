//! What a proof that holds says, in rows for a person and as fields for a program.

use engine::types::{AccountFlags, AccountId, Asset, ChainId, ReservationId};
use proof::{
    Administrators, Attestation, ChainKind, Fact, Payment, Proposal, ProvedHistory, Statement, Status,
    Unexecuted, kind_name, outcome_name,
};
use serde_json::{Value, json};

use super::same;
use crate::cli::{Reserved, grouped};
use crate::query::{decisions, print, reservations};

/// What is proved, in rows.
pub(super) fn statement_rows(statement: &Statement) -> Vec<(&'static str, String)> {
    let Statement { signed, validators, final_height, epoch, .. } = statement;
    let mut rows = vec![
        (
            "network",
            format!("{} (\"{}\")", hex::encode(statement.network), statement.network_name.escape_debug()),
        ),
        (
            "chain",
            match statement.kind {
                ChainKind::Transfers => format!("{}, asset {}", statement.chain, Asset(statement.asset)),
                ChainKind::Attestations => format!("{}, attestations", statement.chain),
                ChainKind::Governance => format!("{}, governance", statement.chain),
            },
        ),
        ("height", statement.height.to_string()),
    ];
    if statement.issued > 0 || statement.burned > 0 {
        let (issued, burned) = (grouped(statement.issued), grouped(statement.burned));
        rows.push(("issued, burned", format!("{issued}, {burned} on the chain by then")));
    }
    match &statement.fact {
        Fact::Attestation { fingerprint, attestation } => {
            rows.push(("fingerprint", hex::encode(fingerprint)));
            rows.extend(attestation_rows(attestation));
        }
        Fact::Reservation { payer, nonce, reservation } => {
            rows.push(("reservation", format!("{}:{payer}/{nonce}", statement.chain)));
            rows.extend(reservation.iter().flat_map(|of| reservations::describe(&same::reservation(of))));
        }
        Fact::NotRegistered { fingerprint } => rows.push(("fingerprint", hex::encode(fingerprint))),
        Fact::Charter(charter) => {
            rows.push(("status", charter.status.name().to_owned()));
            rows.extend(decisions::rows(&same::roles(&charter.roles)));
        }
        Fact::Record { account, record } => {
            rows.push(("account", account.to_string()));
            rows.extend(record.iter().map(|of| ("key since", print::since(of.key_since))));
            rows.extend(record.iter().flat_map(|of| print::record_rows(&same::record(of))));
        }
        Fact::OldKey { account, version, key } => {
            rows.push(("account", account.to_string()));
            let found = key.map(|of| format!("{} (version {version})", hex::encode(of.key)));
            rows.push(("key", found.unwrap_or_else(|| format!("none of version {version} was replaced"))));
            rows.extend(key.map(|of| ("from", print::since(of.since))));
            rows.extend(key.map(|of| ("until", format!("height {}, which gave it the next one", of.until))));
        }
        Fact::Administrators(Administrators { version, council }) => rows.extend([
            ("administrators", decisions::accounts(&same::council(council))),
            ("threshold", format!("{} must approve", council.threshold)),
            ("version", version.to_string()),
        ]),
        Fact::Members(members) => rows.extend(members.iter().flat_map(|of| {
            [
                ("members", format!("{} for epoch {}", of.count, of.epoch)),
                ("digest", hex::encode(of.digest)),
                ("decided", format!("at height {}, by proposal {}", of.decided, hex::encode(of.proposal))),
            ]
        })),
        Fact::Member { place, member } => {
            rows.push(("place", place.to_string()));
            rows.extend(member.iter().map(|of| ("member", decisions::member(&same::member(of)))));
        }
        Fact::Proposal { id, proposal } => {
            rows.push(("proposal", hex::encode(id)));
            rows.extend(proposal.iter().flat_map(proposal_rows));
        }
        Fact::Account(account) => rows.extend([
            ("account", account.id.to_string()),
            ("balance", grouped(account.balance)),
            ("status", AccountFlags::from_bits(account.flags).name().to_owned()),
            ("frozen", AccountFlags::from_bits(account.flags).frozen().name().to_owned()),
            ("key", format!("{} (version {})", hex::encode(account.key), account.key_version)),
            ("nonce window", format!("{:#018x} from {}", account.window_used, account.window_base)),
        ]),
        Fact::Transaction { id, outcome, position, of } => rows.extend([
            ("transaction", hex::encode(id)),
            ("outcome", outcome_name(*outcome).map_or_else(|| format!("code {outcome}"), str::to_owned)),
            ("place", format!("{position} of {of}")),
        ]),
        Fact::NeverExecuted(Unexecuted { body, kind, account, nonce, expiry, id, payment, .. }) => {
            rows.extend(id.map(|id| ("transaction", hex::encode(id))));
            rows.push(match payment {
                Some(Payment { credit_chain, credit, amount }) => {
                    ("transfer", print::payment(*amount, *account, *credit, *credit_chain))
                }
                None => ("kind", format!("{}, of account {account}", kind_name(*kind).unwrap_or("unknown"))),
            });
            rows.push(("reference", hex::encode(&body[12..24])));
            rows.push(("nonce", format!("{nonce}, unspent")));
            rows.push(("expiry", format!("height {expiry}")));
        }
    }
    rows.push((
        "final through",
        match epoch {
            0 => format!("block {final_height}, which {signed} of {validators} validators signed"),
            _ => format!(
                "block {final_height}, which {signed} of the {validators} validators of epoch {epoch} signed"
            ),
        },
    ));
    rows.push(("time of that block", format!("{} ms since 1970", statement.final_time_ms)));
    rows
}

fn proposal_rows(of: &Proposal) -> Vec<(&'static str, String)> {
    let decided = match of.decided {
        Some((number, at)) if matches!(of.decision, proof::Decision::Members(_)) => {
            format!("decision {number}, made at height {at}; the next epoch has these members and rules")
        }
        Some((number, since)) => format!("decision {number}, takes effect at height {since}"),
        None => format!(
            "not yet; until {}, and while version {} of the administrators decides, it can be approved",
            print::time(of.until_ms),
            of.administrators
        ),
    };
    let approvals: Vec<_> = of.approvals.iter().map(ToString::to_string).collect();
    vec![
        ("says", decisions::decision(&same::decision(&of.decision))),
        ("approved by", format!("account(s) {}", approvals.join(", "))),
        ("decided", decided),
    ]
}

/// What was said of a fingerprint, in rows.
pub(super) fn attestation_rows(of: &Attestation) -> Vec<(&'static str, String)> {
    let status = match of.status {
        Status::InForce => "in force".to_owned(),
        Status::Superseded { at, by } => format!("superseded at height {at} by {}", hex::encode(by)),
        Status::Revoked { at, reason } => format!("revoked at height {at}, reason {reason}"),
    };
    let mut rows = vec![
        ("status", status),
        ("owner", format!("account {}", of.owner)),
        ("type", of.kind.to_string()),
        ("registered", format!("at height {}", of.registered)),
    ];
    rows.extend(of.supersedes.map(|earlier| ("supersedes", hex::encode(earlier))));
    rows.extend(of.refers_to.map(|earlier| ("refers to", hex::encode(earlier))));
    rows.extend(of.data_hash.map(|hash| ("data", format!("SHA-256 {}", hex::encode(hash)))));
    rows.push(("history", hex::encode(of.history)));
    rows
}

/// What is proved of a history, as fields.
pub(super) fn history_json(history: &ProvedHistory) -> Value {
    let mut fields = statement_json(&history.last);
    let earlier = history.earlier.iter().map(|(fingerprint, of)| attestation_json(fingerprint, of));
    fields["superseded"] = earlier.collect();
    fields
}

fn attestation_json(fingerprint: &[u8; 32], of: &Attestation) -> Value {
    let (status, ended, by, reason) = match of.status {
        Status::InForce => ("in force", None, None, None),
        Status::Superseded { at, by } => ("superseded", Some(at), Some(hex::encode(by)), None),
        Status::Revoked { at, reason } => ("revoked", Some(at), None, Some(reason)),
    };
    json!({
        "fingerprint": hex::encode(fingerprint),
        "status": status,
        "ended": ended,
        "superseded_by": by,
        "reason": reason,
        "owner": of.owner,
        "type": of.kind,
        "registered": of.registered,
        "supersedes": of.supersedes.map(hex::encode),
        "refers_to": of.refers_to.map(hex::encode),
        "data_hash": of.data_hash.map(hex::encode),
        "data_bytes": of.data_bytes,
        "history": hex::encode(of.history),
    })
}

/// What is proved, as fields.
pub(super) fn statement_json(statement: &Statement) -> Value {
    let fact = match &statement.fact {
        Fact::Attestation { fingerprint, attestation } => {
            json!({ "attestation": attestation_json(fingerprint, attestation) })
        }
        Fact::Charter(charter) => json!({ "chain": {
            "kind": charter.kind.name(),
            "status": charter.status.name(),
            "since": charter.since,
            "proposal": charter.proposal.map(hex::encode),
            "roles": decisions::roles_fields(&same::roles(&charter.roles)),
        }}),
        Fact::Reservation { payer, nonce, reservation } => {
            let id = ReservationId { payer: AccountId(u64::from(*payer)), nonce: *nonce };
            let reserved = Reserved { chain: ChainId(statement.chain), id };
            let mut fields = match reservation {
                Some(of) => reservations::fields(reserved, &same::reservation(of)),
                None => json!({ "name": reserved.to_string() }),
            };
            fields["open"] = json!(reservation.is_some());
            json!({ "reservation": fields })
        }
        Fact::Record { account, record } => {
            let fields = record.as_ref().map(|record| {
                let (key_since, record) = (record.key_since, same::record(record));
                json!({
                    "key_since": key_since,
                    "changes": record.changes,
                    "safeguards": print::safeguards_fields(&record.safeguards),
                    "pending": print::pending_fields(&record),
                    "approvals": print::approval_fields(&record),
                })
            });
            json!({ "record": { "account": account, "record": fields } })
        }
        Fact::OldKey { account, version, key } => json!({ "old_key": {
            "account": account,
            "version": version,
            "key": key.map(|of| hex::encode(of.key)),
            "since": key.map(|of| of.since),
            "until": key.map(|of| of.until),
        }}),
        Fact::Administrators(Administrators { version, council }) => json!({ "administrators": {
            "version": version,
            "accounts": council.accounts,
            "threshold": council.threshold,
        }}),
        Fact::Members(members) => json!({ "members": members.map(|of| json!({
            "epoch": of.epoch,
            "decided": of.decided,
            "count": of.count,
            "digest": hex::encode(of.digest),
            "proposal": hex::encode(of.proposal),
        }))}),
        Fact::Member { place, member } => {
            let fields = member.as_ref().map(|of| decisions::member_fields(&same::member(of)));
            json!({ "member": { "place": place, "member": fields } })
        }
        Fact::Proposal { id, proposal } => {
            let fields = proposal.as_ref().map(|of| decisions::proposal_fields(&same::proposal(of)));
            json!({ "proposal": { "proposal": hex::encode(id), "record": fields } })
        }
        Fact::NotRegistered { fingerprint } => {
            json!({ "not_registered": { "fingerprint": hex::encode(fingerprint) } })
        }
        Fact::Account(account) => json!({ "account": {
            "account": account.id,
            "balance": account.balance,
            "key": hex::encode(account.key),
            "key_version": account.key_version,
            "window_base": account.window_base,
            "window_used": account.window_used,
            "flags": account.flags,
        }}),
        Fact::Transaction { id, outcome, position, of } => json!({ "transaction": {
            "id": hex::encode(id),
            "outcome": outcome_name(*outcome),
            "outcome_code": outcome,
            "position": position,
            "of": of,
        }}),
        Fact::NeverExecuted(unexecuted) => {
            let Unexecuted { body, kind, chain, account, nonce, expiry, id, payment } = unexecuted;
            let mut fields = json!({
                "id": id.map(hex::encode),
                "signed_bytes": hex::encode(body),
                "kind": kind_name(*kind),
                "kind_number": kind,
                "reference": hex::encode(&body[12..24]),
                "debit": account,
                "nonce": nonce,
                "expiry": expiry,
            });
            if let Some(Payment { credit_chain, credit, amount }) = payment {
                fields["credit_chain"] = json!(credit_chain.unwrap_or(*chain));
                fields["credit"] = json!(credit);
                fields["amount"] = json!(amount);
            }
            json!({ "never_executed": fields })
        }
    };
    json!({
        "says": statement.to_string(),
        "network": hex::encode(statement.network),
        "network_name": statement.network_name,
        "chain": statement.chain,
        "asset": (statement.kind == ChainKind::Transfers).then(|| Asset(statement.asset).to_string()),
        "height": statement.height,
        "issued": statement.issued,
        "burned": statement.burned,
        "fact": fact,
        "final_height": statement.final_height,
        "final_time_ms": statement.final_time_ms,
        "epoch": statement.epoch,
        "signed": statement.signed,
        "validators": statement.validators,
    })
}
