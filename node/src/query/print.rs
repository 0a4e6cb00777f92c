//! Answers as text and as readable JSON.

use engine::types::Transfer;
use engine::wire::Block;
use serde_json::{Value, json};

use super::answers::{BlockAnswer, StatusAnswer};
use crate::cli::{grouped, rows};

/// The lowest nonce above all used ones of a window.
pub(super) fn next_nonce(base: u64, used: u64) -> u64 {
    base + u64::from(u64::BITS - used.leading_zeros())
}

/// The fields of a transfer.
pub(super) fn transfer(transfer: &Transfer) -> Value {
    json!({
        "chain": transfer.chain,
        "key_version": transfer.key_version,
        "reference": hex::encode(transfer.reference),
        "debit": transfer.debit,
        "credit": transfer.credit,
        "amount": transfer.amount,
        "nonce": transfer.nonce,
        "expiry": transfer.expiry,
    })
}

/// The fields of a header and what its certificates order.
pub(super) fn header(block: &Block) -> Value {
    let header = block.header();
    let certificates: Vec<Value> = block
        .certificates()
        .iter()
        .map(|certificate| {
            json!({
                "batch": certificate.batch(),
                "digest": certificate.digest(),
                "transactions": certificate.transactions(),
                "signers": certificate.signers().iter().map(|(signer, _)| signer.0).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "height": header.height,
        "view": header.view,
        "parent": header.parent,
        "proposer": header.proposer,
        "time_ms": header.time_ms,
        "roots_first": header.roots_first,
        "roots": header.roots,
        "certificates": certificates,
    })
}

/// A block for a person.
pub(super) fn block(answer: &BlockAnswer, block: &Block, finality: &str, checked: &str) {
    let header = block.header();
    println!("block at height {}", header.height);
    rows(&[
        ("digest", answer.digest.to_string()),
        ("parent", header.parent.to_string()),
        ("view", format!("{}, proposed by validator {}", header.view, header.proposer)),
        ("time", format!("{} ms since 1970", header.time_ms)),
        ("transactions", format!("{}, of which {} failed", grouped(block.transactions()), answer.failures)),
        ("finality", finality.to_owned()),
        ("state root", answer.state_root.to_string()),
        ("checked", format!("the digest is the header's; {checked}")),
    ]);
    for entry in &answer.entries {
        println!("  chain {}: {} transactions", entry.chain, grouped(entry.transactions));
        println!("    transactions root  {}", entry.transactions_root);
        println!("    accounts root      {}", entry.accounts_root);
    }
    for certificate in block.certificates() {
        let signers: Vec<String> =
            certificate.signers().iter().map(|(signer, _)| signer.to_string()).collect();
        println!(
            "  batch: {}, {} transactions, held by validators {}",
            certificate.batch(),
            grouped(u64::from(certificate.transactions())),
            signers.join(", ")
        );
    }
}

/// How a validator is, for a person.
pub(super) fn status(status: &StatusAnswer) {
    println!("validator {} (\"{}\") of network \"{}\"", status.validator, status.name, status.network_name);
    let peers: Vec<String> = status.peers.iter().map(ToString::to_string).collect();
    rows(&[
        ("network id", status.network.to_string()),
        ("committed", format!("height {}", status.committed)),
        ("finalized", format!("height {}", status.finalized)),
        ("state root", status.state_root.to_string()),
        ("connected to", if peers.is_empty() { "nobody".into() } else { peers.join(", ") }),
        ("pending", format!("{} transactions", grouped(status.pending))),
        ("storage", status.storage.clone()),
        ("up for", format!("{} s", status.uptime_seconds)),
    ]);
}

#[cfg(test)]
mod tests {
    use super::next_nonce;

    #[test]
    fn the_next_nonce_is_above_all_used_ones() {
        assert_eq!(next_nonce(0, 0), 0);
        assert_eq!(next_nonce(0, 0b111), 3);
        assert_eq!(next_nonce(5, 0b101), 8);
        assert_eq!(next_nonce(7, u64::MAX), 71);
    }
}
