//! What a chain says of a fingerprint, and of those that it took the place of.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use client::{Answer, ClientError, FoundAttestation};
use engine::types::{Attestation, ChainId, DataSummary, Digest, Fingerprint, Link, Status};
use proof::{HISTORY_MAX as HISTORY_FILE_MAX, History};
use serde_json::{Value, json};

use super::{Asked, Checked, PROOF_PATIENCE, print, print_found, print_json};
use crate::cli::rows;

/// How many are shown of a history; the last one names where to go on.
const HISTORY_MAX: usize = 1_000;

impl Asked {
    /// Prints what a chain says of a fingerprint; `false` if it is not registered.
    pub(super) fn attestation(
        &mut self,
        chain: ChainId,
        fingerprint: Fingerprint,
        json: bool,
    ) -> Result<bool> {
        let Answer { as_of, value: found } = self.client.attestation(chain, &fingerprint)?;
        let checked = self.checked(found.proof.chain.height, &found.state_root)?;
        let registered = found.attestation.is_some();
        if json {
            let answer = json!({
                "registered": registered,
                "attestation": found.attestation.map(|of| as_json(&fingerprint, &of, &found)),
                "state_root": found.state_root,
                "proof": found.proof,
            });
            return print_found(as_of, (&answer, registered), &checked);
        }
        let height = found.proof.chain.height;
        let Some(attestation) = &found.attestation else {
            println!("fingerprint {fingerprint} is not registered on chain {chain} after height {height}");
            rows(&[
                ("state root", found.state_root.to_string()),
                ("as of", as_of.to_string()),
                ("checked", checked.text()),
            ]);
            return Ok(false);
        };
        println!("fingerprint {fingerprint} on chain {chain} after height {height}");
        let mut shown = describe(attestation, &found);
        shown.extend([
            ("history", attestation.history.to_string()),
            ("state root", found.state_root.to_string()),
            ("as of", as_of.to_string()),
            ("checked", checked.text()),
        ]);
        rows(&shown);
        Ok(true)
    }

    /// Prints an attestation and those before it, each of which the one after it supersedes, and checks each against
    /// the one after it. A state root of one answer is compared with other validators as often as it is another one.
    pub(super) fn attestation_history(
        &mut self,
        chain: ChainId,
        fingerprint: Fingerprint,
        json: bool,
    ) -> Result<()> {
        let mut shown: Vec<Value> = Vec::new();
        let mut checked: Option<Checked> = None;
        let mut next = Some(fingerprint);
        // The one after it, whose history has to follow.
        let mut after: Option<(Fingerprint, Attestation)> = None;
        let (mut as_of, mut count, mut state_root) = (None, 0, None);
        // One more than is shown: what the last one that is shown follows from.
        while let Some(fingerprint) = next.filter(|_| count <= HISTORY_MAX) {
            let Answer { as_of: at, value: found } = self.client.attestation(chain, &fingerprint)?;
            if state_root != Some(found.state_root) {
                let of_root = self.checked(found.proof.chain.height, &found.state_root)?;
                checked = Some(match checked {
                    None => of_root,
                    Some(before) => before.and(of_root),
                });
                state_root = Some(found.state_root);
                as_of = as_of.or(Some(at));
            }
            let Some(attestation) = found.attestation else {
                match &after {
                    None => {
                        let reason = format!("fingerprint {fingerprint} is not registered on chain {chain}");
                        return Err(ClientError::NotFound { reason, as_of: at }.into());
                    }
                    Some((after, _)) => bail!("{after} supersedes {fingerprint}, which is not registered"),
                }
            };
            if let Some(after) = &after {
                follows(after, (fingerprint, &attestation))?;
            }
            if count == HISTORY_MAX {
                break;
            }
            match json {
                true => shown.push(as_json(&fingerprint, &attestation, &found)),
                false => {
                    println!("{fingerprint}");
                    rows(&describe(&attestation, &found));
                }
            }
            next = attestation.link.supersedes();
            after = Some((fingerprint, attestation));
            count += 1;
        }
        if let (Some((first, of)), None) = (&after, next) {
            follows_from(first, of, Digest::default())?;
        }
        let (Some(as_of), Some(checked)) = (as_of, checked) else { return Ok(()) };
        if json {
            return print_json(as_of, &json!({ "history": shown, "more_from": next }), &checked);
        }
        match next {
            None => println!(
                "{count} attestation(s), the last one first; each history follows from the one before"
            ),
            Some(next) => println!("the last {count}; those before them: --history of {next}"),
        }
        println!("as of {as_of}; {}", checked.text());
        Ok(())
    }
}

impl Asked {
    /// Writes a proof of what a chain says of a fingerprint, and of all that it superseded, into one file.
    pub(super) fn write_history(
        &mut self,
        (chain, fingerprint): (ChainId, Fingerprint),
        file: &Path,
        json: bool,
    ) -> Result<()> {
        let mut earlier = Vec::new();
        let mut next = Some(fingerprint);
        while let Some(fingerprint) = next {
            let Answer { as_of, value: found } = self.client.attestation(chain, &fingerprint)?;
            let Some(attestation) = found.attestation else {
                let reason = format!("fingerprint {fingerprint} is not registered on chain {chain}");
                return Err(ClientError::NotFound { reason, as_of }.into());
            };
            if earlier.len() > HISTORY_FILE_MAX {
                bail!(
                    "more than {HISTORY_FILE_MAX} attestations were superseded, one after the other, which no file has: \
                     write one for an earlier fingerprint as well, such as {fingerprint}"
                );
            }
            earlier.push(attestation.encode());
            next = attestation.link.supersedes();
        }
        // Asked for last: what was superseded does not change any more.
        let proof = self.client.prove_attestation(chain, &fingerprint, PROOF_PATIENCE)?;
        let proof = proof.encode().context("what the validator answered makes no proof")?;
        let history = History { proof, earlier: earlier.split_off(1) };
        let (genesis, header) = self.genesis_header();
        crate::proofs::write_history(&history, genesis, (file, header.as_deref()), json)
    }
}

/// Refuses an attestation that does not follow from the one before it, or one before it that was not superseded by it.
fn follows(
    (later, of): &(Fingerprint, Attestation),
    (earlier, before): (Fingerprint, &Attestation),
) -> Result<()> {
    let superseded =
        (before.status, before.later, before.ended) == (Status::Superseded, *later, of.registered);
    if !superseded {
        bail!("{later} supersedes {earlier} at height {}, of which {earlier} says nothing", of.registered);
    }
    follows_from(later, of, before.history)
}

fn follows_from(fingerprint: &Fingerprint, attestation: &Attestation, before: Digest) -> Result<()> {
    if !attestation.follows(fingerprint, before) {
        bail!("the history of {fingerprint} does not follow from what was registered before it");
    }
    Ok(())
}

fn describe(of: &Attestation, found: &FoundAttestation) -> Vec<(&'static str, String)> {
    let status = match of.status {
        Status::InForce => of.status.name().to_owned(),
        Status::Superseded => format!("superseded at height {} by {}", of.ended, of.later),
        Status::Revoked => format!("revoked at height {}, reason {}", of.ended, of.reason),
    };
    let registered = match found.transaction {
        None => format!("at height {}", of.registered),
        Some(id) => format!("at height {}, by transaction {id} (the validator's word)", of.registered),
    };
    let mut shown = vec![
        ("status", status),
        ("owner", format!("account {}", of.owner)),
        ("type", of.kind.to_string()),
        ("registered", registered),
    ];
    match of.link {
        Link::None => {}
        Link::RefersTo(earlier) => shown.push(("refers to", earlier.to_string())),
        Link::Supersedes(earlier) => shown.push(("supersedes", earlier.to_string())),
    }
    match (of.data, &found.data) {
        (DataSummary::None, _) => {}
        (DataSummary::Inline(bytes, _), Some(data)) => {
            shown.push(("data", format!("{} ({bytes} bytes)", print::text_of(data))));
        }
        (DataSummary::Inline(bytes, hash), None) => {
            shown
                .push(("data", format!("{bytes} bytes, which this validator does not find; SHA-256 {hash}")));
        }
        (DataSummary::Hash(hash), _) => shown.push(("data", format!("kept elsewhere; SHA-256 {hash}"))),
    }
    shown
}

fn as_json(fingerprint: &Fingerprint, of: &Attestation, found: &FoundAttestation) -> Value {
    let unless_none = |fingerprint: Fingerprint| (fingerprint != Fingerprint::NONE).then_some(fingerprint);
    let (superseded_at, revoked_at) = match of.status {
        Status::InForce => (None, None),
        Status::Superseded => (Some(of.ended), None),
        Status::Revoked => (None, Some(of.ended)),
    };
    json!({
        "fingerprint": fingerprint,
        "status": of.status.name(),
        "owner": of.owner,
        "type": of.kind,
        "registered": of.registered,
        "transaction": found.transaction,
        "supersedes": of.link.supersedes(),
        "refers_to": of.link.refers_to(),
        "superseded_by": unless_none(of.later),
        "superseded_at": superseded_at,
        "revoked_at": revoked_at,
        "reason": (of.status == Status::Revoked).then_some(of.reason),
        "data_hash": of.data.hash(),
        "data": found.data.as_ref().map(hex::encode),
        "history": of.history,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::types::{AccountId, Height};

    #[test]
    fn what_was_superseded_says_by_what_and_since_when() {
        let [first, second] = [Fingerprint([1; 32]), Fingerprint([2; 32])];
        let said = |link| (7, link, DataSummary::None);
        let by = |height| (AccountId(3), Height(height));
        let before = Attestation::register(&first, by(5), said(Link::None), Digest::default());
        let link = Link::Supersedes(first);
        let after = (second, Attestation::register(&second, by(9), said(link), before.history));
        assert!(follows(&after, (first, &before.superseded(second, Height(9)))).is_ok());
        // What a liar could say with another table: the hash chain is the same.
        for lie in [
            before,
            before.superseded(second, Height(8)),
            before.superseded(Fingerprint([4; 32]), Height(9)),
            before.revoked(1, Height(9)),
        ] {
            assert!(follows(&after, (first, &lie)).is_err(), "{lie:?}");
        }
        let other = Attestation::register(&first, by(4), said(Link::None), Digest::default());
        assert!(follows(&after, (first, &other.superseded(second, Height(9)))).is_err());
    }
}
