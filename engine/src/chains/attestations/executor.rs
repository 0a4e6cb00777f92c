//! What transactions do with the fingerprints of a chain.

use super::super::accounts;
use crate::execute::Book;
use crate::types::{
    Attest, Attestation, ChainTime, Content, Digest, Fingerprint, Height, Link, Outcome, PacketRun,
    Registration, Revoke, Status,
};

/// One transaction of the account at `signer`, whose nonce is spent.
pub(super) fn execute(book: &mut Book, at: ChainTime, signer: usize, run: PacketRun<'_>) -> Outcome {
    let content = run.content().expect("a verified batch has transactions of known kinds");
    let done = match &content {
        Content::Attest(attest) => register_all(book, at.height, signer, attest),
        Content::Revoke(revoke) => revoke_all(book, at.height, signer, revoke),
        _ => return accounts::execute(book, at, signer, &content).unwrap_or(Outcome::OtherKind),
    };
    match done {
        Ok(()) => {
            book.table_mut().keep();
            Outcome::Applied
        }
        Err(reason) => {
            book.table_mut().take_back();
            reason
        }
    }
}

/// One registration after the other; those before one that fails are taken back.
fn register_all(book: &mut Book, height: Height, signer: usize, attest: &Attest<'_>) -> Result<(), Outcome> {
    book.state().flags_at(signer).debit()?;
    attest.registrations.iter().try_for_each(|of| register(book, height, attest, &of))
}

fn register(
    book: &mut Book,
    height: Height,
    attest: &Attest<'_>,
    of: &Registration<'_>,
) -> Result<(), Outcome> {
    let table = book.table();
    let witness = table.witness(&of.fingerprint.0).expect("the kind of this chain has a table");
    if table.row(witness).is_some_and(|row| *row.key() == of.fingerprint.0) {
        return Err(Outcome::FingerprintTaken);
    }
    let before = match of.link {
        Link::None => Digest::default(),
        Link::RefersTo(earlier) => {
            find(book, &earlier)?;
            Digest::default()
        }
        Link::Supersedes(earlier) => {
            let superseded = find_own(book, &earlier, attest.owner.0)?;
            let after = superseded.superseded(of.fingerprint, height);
            book.table_mut().set(&earlier.0, &after.encode());
            superseded.history
        }
    };
    if book.table().len_of_kind() as u64 >= book.state().roles().attestations_cap || !book.has_room() {
        return Err(Outcome::ChainFull);
    }
    let said = (of.kind, of.link, of.data.summary());
    let attestation = Attestation::register(&of.fingerprint, (attest.owner, height), said, before);
    book.table_mut().insert(witness, &of.fingerprint.0, &attestation.encode());
    Ok(())
}

fn revoke_all(book: &mut Book, height: Height, signer: usize, revoke: &Revoke<'_>) -> Result<(), Outcome> {
    book.state().flags_at(signer).debit()?;
    for fingerprint in revoke.fingerprints {
        let attestation = find_own(book, &Fingerprint(*fingerprint), revoke.owner.0)?;
        let after = attestation.revoked(revoke.reason, height);
        book.table_mut().set(fingerprint, &after.encode());
    }
    Ok(())
}

fn find(book: &Book, fingerprint: &Fingerprint) -> Result<Attestation, Outcome> {
    let value = book.table().get(&fingerprint.0).ok_or(Outcome::UnknownFingerprint)?;
    Ok(Attestation::decode(value).expect("what has no key of the ledger's own is an attestation"))
}

/// One that this owner may still change.
fn find_own(book: &Book, fingerprint: &Fingerprint, owner: u64) -> Result<Attestation, Outcome> {
    let attestation = find(book, fingerprint)?;
    if attestation.owner.0 != owner {
        return Err(Outcome::OtherOwner);
    }
    (attestation.status == Status::InForce).then_some(attestation).ok_or(Outcome::NotInForce)
}
