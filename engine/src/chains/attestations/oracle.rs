//! The definition of the kind, in the plainest words. It hashes and writes out for itself what the executor asks
//! [`Attestation`](crate::types::Attestation) for.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::execute::oracle::{About, Fault, Fields, Oracle, UNKNOWN_ROW};
use crate::types::{
    AccountId, Attest, ChainTime, Content, Data, Fingerprint, Height, Link, Outcome, Registration, Revoke,
};

/// What the chain says of a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainAttestation {
    /// The fingerprint.
    pub fingerprint: [u8; 32],
    status: u8,
    kind: u32,
    reason: u32,
    owner: AccountId,
    registered: Height,
    ended: Height,
    /// Its form, length and hash.
    data: (u8, u32, [u8; 32]),
    /// How it is tied to an earlier one, and to which.
    link: (u8, [u8; 32]),
    later: [u8; 32],
    history: [u8; 32],
}

impl PlainAttestation {
    fn in_force(&self) -> bool {
        self.status == 0
    }

    /// status | link | form | 0 | type | data bytes | reason | owner | registered | ended | data hash | earlier | later
    fn said(&self) -> Vec<u8> {
        let mut said = vec![self.status, self.link.0, self.data.0, 0];
        said.extend(self.kind.to_le_bytes());
        said.extend(self.data.1.to_le_bytes());
        said.extend(self.reason.to_le_bytes());
        said.extend(self.owner.0.to_le_bytes());
        said.extend(self.registered.0.to_le_bytes());
        said.extend(self.ended.0.to_le_bytes());
        said.extend(self.data.2);
        said.extend(self.link.1);
        said.extend(self.later);
        said
    }

    /// All of it: what the leaf has behind its keys.
    pub fn value(&self) -> Vec<u8> {
        [self.said(), self.history.to_vec()].concat()
    }
}

impl PlainAttestation {
    fn read(fingerprint: [u8; 32], value: &[u8]) -> Option<Self> {
        let mut fields = Fields(value);
        let (status, tie, form, _zero) = (fields.byte()?, fields.byte()?, fields.byte()?, fields.byte()?);
        let (kind, data_bytes, reason) = (fields.small()?, fields.small()?, fields.small()?);
        let (owner, registered) = (AccountId(fields.number()?), Height(fields.number()?));
        let (ended, hash) = (Height(fields.number()?), fields.array()?);
        let (link, later, history) = ((tie, fields.array()?), fields.array()?, fields.array()?);
        let data = (form, data_bytes, hash);
        let read =
            Self { fingerprint, status, kind, reason, owner, registered, ended, data, link, later, history };
        let nothing = [0; 32];
        let ends = match status {
            0 => ended.0 == 0 && later == nothing && reason == 0,
            1 => later != nothing && reason == 0,
            2 => later == nothing,
            _ => false,
        };
        let is_tied = tie <= 2 && (tie == 0) == (link.1 == nothing);
        let has_data = match form {
            0 => data_bytes == 0 && hash == nothing,
            1 => data_bytes > 0,
            2 => data_bytes == 0,
            _ => false,
        };
        (ends && is_tied && has_data && read.value() == value).then_some(read)
    }
}

/// Reads a row that only chains of this kind have: what is said of a fingerprint.
pub(super) fn restore(oracle: &mut Oracle, about: &About, value: &[u8]) -> Result<(), Fault> {
    let About::Named(fingerprint) = *about else { return Err(UNKNOWN_ROW) };
    let attestation = PlainAttestation::read(fingerprint, value).ok_or("is not an attestation")?;
    oracle.named(attestation.owner.0)?;
    oracle.attestations.insert(fingerprint, attestation);
    Ok(())
}

/// One transaction, once its nonce is spent: a copy of all attestations is changed, and counts if nothing fails.
pub(super) fn execute(oracle: &mut Oracle, at: ChainTime, content: &Content<'_>) -> Outcome {
    let height = at.height;
    let signer = match content {
        Content::Attest(Attest { owner, .. }) | Content::Revoke(Revoke { owner, .. }) => *owner,
        _ => return oracle.common(at, content).unwrap_or(Outcome::OtherKind),
    };
    if let Err(reason) = oracle.accounts()[signer.0 as usize].may_pay() {
        return reason;
    }
    let mut changed = Changes { oracle, after: BTreeMap::new(), new: Vec::new() };
    let done = match content {
        Content::Attest(attest) => attest
            .registrations
            .iter()
            .try_for_each(|registration| register(&mut changed, height, signer, &registration)),
        Content::Revoke(revoke) => revoke
            .fingerprints
            .iter()
            .try_for_each(|fingerprint| revoke_one(&mut changed, height, signer, revoke.reason, fingerprint)),
        _ => unreachable!("the others are done above"),
    };
    match done {
        Ok(()) => {
            let Changes { mut after, new, .. } = changed;
            let new = new
                .into_iter()
                .map(|fingerprint| (fingerprint, after.remove(&fingerprint).expect("it changed")));
            let new: Vec<_> = new.collect();
            for (fingerprint, attestation) in new.into_iter().chain(after) {
                oracle.table.put(fingerprint, attestation.value());
                oracle.attestations.insert(fingerprint, attestation);
            }
            Outcome::Applied
        }
        Err(reason) => reason,
    }
}

/// What the transaction has changed so far.
struct Changes<'a> {
    oracle: &'a Oracle,
    after: BTreeMap<[u8; 32], PlainAttestation>,
    /// Which of them are new, in order.
    new: Vec<[u8; 32]>,
}

impl Changes<'_> {
    fn get(&self, fingerprint: &[u8; 32]) -> Option<PlainAttestation> {
        self.after.get(fingerprint).or_else(|| self.oracle.attestations.get(fingerprint)).cloned()
    }
}

fn register(
    changes: &mut Changes<'_>,
    height: Height,
    owner: AccountId,
    Registration { fingerprint, kind, link, data }: &Registration<'_>,
) -> Result<(), Outcome> {
    if changes.get(&fingerprint.0).is_some() {
        return Err(Outcome::FingerprintTaken);
    }
    let mut history_before = [0; 32];
    let link = match link {
        Link::None => (0, [0; 32]),
        Link::RefersTo(Fingerprint(earlier)) => {
            changes.get(earlier).ok_or(Outcome::UnknownFingerprint)?;
            (1, *earlier)
        }
        Link::Supersedes(Fingerprint(earlier)) => {
            let mut superseded = changeable(changes, earlier, owner)?;
            history_before = superseded.history;
            superseded.status = 1;
            superseded.ended = height;
            superseded.later = fingerprint.0;
            changes.after.insert(*earlier, superseded);
            (2, *earlier)
        }
    };
    let there_are = changes.oracle.attestations.len() + changes.new.len();
    if there_are as u64 >= changes.oracle.is.roles.attestations_cap || !changes.oracle.has_room() {
        return Err(Outcome::ChainFull);
    }
    let data = match data {
        Data::None => (0, 0, [0; 32]),
        Data::Inline(data) => (1, data.len() as u32, Sha256::digest(data).into()),
        Data::Hash(hash) => (2, 0, hash.0),
    };
    let mut attestation = PlainAttestation {
        fingerprint: fingerprint.0,
        status: 0,
        kind: *kind,
        reason: 0,
        owner,
        registered: height,
        ended: Height(0),
        data,
        link,
        later: [0; 32],
        history: [0; 32],
    };
    let said = attestation.said();
    let message = [&b"millrace/attestation"[..], &fingerprint.0, &said, &history_before].concat();
    attestation.history = Sha256::digest(message).into();
    changes.after.insert(fingerprint.0, attestation);
    changes.new.push(fingerprint.0);
    Ok(())
}

fn revoke_one(
    changes: &mut Changes<'_>,
    height: Height,
    owner: AccountId,
    reason: u32,
    fingerprint: &[u8; 32],
) -> Result<(), Outcome> {
    let mut attestation = changeable(changes, fingerprint, owner)?;
    let message =
        [&b"millrace/revocation"[..], &attestation.history, &reason.to_le_bytes(), &height.0.to_le_bytes()];
    attestation.history = Sha256::digest(message.concat()).into();
    attestation.status = 2;
    attestation.reason = reason;
    attestation.ended = height;
    changes.after.insert(*fingerprint, attestation);
    Ok(())
}

/// An attestation that this owner may still supersede or revoke.
fn changeable(
    changes: &Changes<'_>,
    fingerprint: &[u8; 32],
    owner: AccountId,
) -> Result<PlainAttestation, Outcome> {
    let attestation = changes.get(fingerprint).ok_or(Outcome::UnknownFingerprint)?;
    if attestation.owner != owner {
        Err(Outcome::OtherOwner)
    } else if !attestation.in_force() {
        Err(Outcome::NotInForce)
    } else {
        Ok(attestation)
    }
}
