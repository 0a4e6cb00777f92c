//! Proofs as files: written for strangers, and checked as a stranger does, without a network.
//!
//! ```text
//! query … --proof FILE ── client collects ── checked against the genesis, if it is known ──▶ FILE
//! verify-proof FILE --genesis genesis.header ──▶ what is proved, or what is wrong
//! ```
//!
//! Invariant: where the genesis is known, no file is written that does not hold.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use engine::types::{
    AccountFlags, AccountId, Asset, ChainId, Digest, LockWindows, Price, Purpose, Quota, Registrar,
    Reservation, ReservationId, Roles, Transaction,
};
use proof::{
    Attestation, ChainKind, Charter, Fact, FormError, GENESIS_HEADER_BYTES_MAX, PROOF_BYTES_MAX, Payment,
    Proof, ProofError, Statement, Status, Unexecuted, kind_name, outcome_name,
};
use serde_json::{Value, json};

use crate::cli::{Reserved, SignedSource, VerifyProofArgs, grouped, print_json, rows, write_new};
use crate::config::ConfigError;
use crate::query::{decisions, print, reservations};

/// The header of a genesis that a proof cannot be checked with.
#[derive(Debug, thiserror::Error)]
pub enum GenesisHeaderError {
    /// It is no header.
    #[error("{}: this is not the header of a genesis ({reason}); take the file genesis.header of the network", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: FormError,
    },
    /// It is of another network than the one that is expected.
    #[error(
        "{}: this is the header of the network {found}, and --network-id names {expected}; take the header of that \
         network",
        file.display()
    )]
    OtherNetwork {
        /// The file.
        file: PathBuf,
        /// The network id that was typed.
        expected: Digest,
        /// The network id of the header.
        found: Digest,
    },
}

/// Checks a proof; `false` where it does not hold, or does not speak of the transaction that it must speak of.
///
/// # Errors
/// A file cannot be read, or is not the header of the genesis that is expected ([`GenesisHeaderError`]).
pub fn verify_proof(args: &VerifyProofArgs) -> Result<bool> {
    let proof = read(&args.proof, PROOF_BYTES_MAX)?;
    let genesis = read(&args.genesis, GENESIS_HEADER_BYTES_MAX)?;
    let file = || args.genesis.clone();
    let header = proof::Genesis::decode(&genesis)
        .map_err(|reason| GenesisHeaderError::Unreadable { file: file(), reason })?;
    let found = Digest(header.network);
    if let Some(expected) = args.network_id.filter(|expected| *expected != found) {
        return Err(GenesisHeaderError::OtherNetwork { file: file(), expected, found }.into());
    }
    let transaction = args.transaction.as_ref().map(|bytes| bytes.transaction(&found)).transpose()?;
    let verdict = proof::verify(&proof, &genesis);
    // The id of the transaction that was named, if the proof speaks of it.
    let named = verdict.as_ref().ok().zip(transaction.as_ref());
    let named = named.map(|(statement, transaction)| {
        speaks_of(statement, transaction).then(|| transaction.id(&found).to_string())
    });
    if args.json {
        let mut told = verdict_json(&verdict);
        match &named {
            Some(Some(named)) => told["speaks_of"] = json!(named),
            // Who asks about one transaction must not read that something about another one holds.
            Some(None) => {
                told["holds"] = json!(false);
                told["reason"] = json!("the proof holds, but it does not speak of that transaction");
            }
            None => {}
        }
        print_json(&told)?;
    } else {
        match (&verdict, &named) {
            (Ok(statement), None | Some(Some(_))) => {
                println!("the proof holds: {statement}");
                let named = named.iter().flatten().map(|id| ("the transaction", id.clone()));
                rows(&named.chain(statement_rows(statement)).collect::<Vec<_>>());
            }
            (Ok(statement), Some(None)) => {
                println!("the proof holds, but it does not speak of that transaction: {statement}");
            }
            (Err(error), _) => println!("the proof does not hold: {error}"),
        }
    }
    Ok(verdict.is_ok() && named != Some(None))
}

/// Whether a statement is about a transaction: about its id, or about all that its first packet signs.
fn speaks_of(statement: &Statement, transaction: &Transaction) -> bool {
    match &statement.fact {
        Fact::Transaction { id, .. } => transaction.id(&Digest(statement.network)).0 == *id,
        Fact::NeverExecuted(unexecuted) => *transaction.run().first().body() == unexecuted.body,
        _ => false,
    }
}

/// Writes a proof, after it was checked as far as that is possible without the genesis if that is not known, and says
/// what it proves and how to check it: with the file that has the header, and, where the proof does not cover the
/// question, with the transaction that it was asked of.
///
/// # Errors
/// It does not hold, or the file cannot be written.
pub fn write(
    proof: &Proof,
    genesis_header: Option<&[u8]>,
    (file, header_file): (&Path, Option<&Path>),
    asked_of: Option<&SignedSource>,
    as_json: bool,
) -> Result<()> {
    let bytes = proof.encode().context("what the validator answered makes no proof")?;
    let checked = match genesis_header {
        Some(header) => proof::verify(&bytes, header).map(Some),
        None => proof.check_claim().map(|()| None),
    };
    let statement = match checked {
        Ok(statement) => statement,
        Err(error) => bail!("no proof is written: {error}"),
    };
    write_new(file, &bytes)?;
    if as_json {
        let proved = statement.as_ref().map(statement_json);
        let told = json!({ "file": file, "bytes": bytes.len(), "statement": proved });
        print_json(&told)?;
        return Ok(());
    }
    println!("a proof of {} bytes is in {}", grouped(bytes.len() as u64), file.display());
    match &statement {
        Some(statement) => {
            println!("it says: {statement}");
            rows(&statement_rows(statement));
        }
        None => println!("it is not checked here, because that takes the header of the genesis"),
    }
    let header = header_file.unwrap_or(Path::new("genesis.header"));
    let with = asked_of.map_or_else(String::new, |source| format!(" --transaction {source}"));
    println!("check it:  millrace verify-proof {} --genesis {}{with}", file.display(), header.display());
    Ok(())
}

/// A file, and a byte more than `most` at most: longer ones are refused by their length.
fn read(file: &Path, most: usize) -> Result<Vec<u8>, ConfigError> {
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|opened| opened.take(most as u64 + 1).read_to_end(&mut bytes));
    opened.map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
    Ok(bytes)
}

fn statement_rows(statement: &Statement) -> Vec<(&'static str, String)> {
    let Statement { signed, validators, final_height, .. } = statement;
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
            rows.extend(reservation.iter().flat_map(|of| reservations::describe(&reservation_of(of))));
        }
        Fact::NotRegistered { fingerprint } => rows.push(("fingerprint", hex::encode(fingerprint))),
        Fact::Charter(charter) => {
            rows.push(("status", charter.status.name().to_owned()));
            rows.extend(decisions::rows(&roles(charter)));
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
        format!("block {final_height}, which {signed} of {validators} validators signed"),
    ));
    rows.push(("time of that block", format!("{} ms since 1970", statement.final_time_ms)));
    rows
}

/// The same roles, as the engine has them.
pub(crate) fn roles(charter: &Charter) -> Roles {
    let of = &charter.roles;
    Roles {
        issuer: of.issuer.map(AccountId),
        issuance_cap: of.issuance_cap,
        freezer: of.freezer.map(AccountId),
        registrar: match of.registrar {
            None => Registrar::Nobody,
            Some(proof::ANYONE) => Registrar::Anyone,
            Some(account) => Registrar::Account(AccountId(account)),
        },
        accounts_cap: of.accounts_cap,
        attestations_cap: of.attestations_cap,
        windows: LockWindows { rekey_seconds: of.rekey_window, recovery_seconds: of.recovery_window },
        quota: Quota(of.quota),
    }
}

/// The same reservation, as the engine has it.
fn reservation_of(of: &proof::Reservation) -> Reservation {
    let account = |account: u32| AccountId(account.into());
    let purpose = match of.purpose {
        proof::Purpose::Payment { payee, settler } => {
            Purpose::Payment { payee: account(payee), settler: account(settler) }
        }
        proof::Purpose::Swap { chain, price, to, taker } => Purpose::Swap(Price {
            chain: ChainId(chain),
            amount: price,
            to: account(to),
            taker: taker.map(account),
        }),
    };
    Reservation { amount: of.amount, due_ms: of.due_ms, purpose }
}

fn attestation_rows(of: &Attestation) -> Vec<(&'static str, String)> {
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

fn verdict_json(verdict: &Result<Statement, ProofError>) -> Value {
    match verdict {
        Ok(statement) => json!({ "holds": true, "statement": statement_json(statement) }),
        Err(error) => json!({ "holds": false, "reason": error.to_string() }),
    }
}

fn statement_json(statement: &Statement) -> Value {
    let fact = match &statement.fact {
        Fact::Attestation { fingerprint, attestation } => {
            json!({ "attestation": attestation_json(fingerprint, attestation) })
        }
        Fact::Charter(charter) => json!({ "chain": {
            "kind": charter.kind.name(),
            "status": charter.status.name(),
            "since": charter.since,
            "proposal": charter.proposal.map(hex::encode),
            "roles": decisions::roles_fields(&roles(charter)),
        }}),
        Fact::Reservation { payer, nonce, reservation } => {
            let id = ReservationId { payer: AccountId(u64::from(*payer)), nonce: *nonce };
            let reserved = Reserved { chain: ChainId(statement.chain), id };
            let mut fields = match reservation {
                Some(of) => reservations::fields(reserved, &reservation_of(of)),
                None => json!({ "name": reserved.to_string() }),
            };
            fields["open"] = json!(reservation.is_some());
            json!({ "reservation": fields })
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
        "signed": statement.signed,
        "validators": statement.validators,
    })
}
