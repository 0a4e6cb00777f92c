//! Checking what the engine produced, without an engine: for catch-up, clients and audits.
//!
//! ```text
//!   finalization certificate = epoch | view | parent view | payload | who signed | one Ed25519 signature each
//!   evidence                 = two signed votes of one validator that contradict each other
//! ```

use commonware_codec::{Copying, Decode as _, Encode as _};
use commonware_consensus::{
    Epochable as _, Viewable as _,
    simplex::{
        scheme::ed25519::Scheme,
        types::{Activity, Attributable as _, Finalization},
    },
    types::Epoch,
};
use commonware_parallel::Sequential;
use commonware_utils::sys_rng;

use crate::{
    FaultKind, Payload, StartError,
    committee::{Committee, Digest},
};

/// The engine's epoch. The committee of a network is fixed; a changed one is another network.
pub(crate) const EPOCH: Epoch = Epoch::new(0);

/// Checks certificates of one network.
#[derive(Debug)]
pub struct Verifier {
    committee: Committee,
    scheme: Scheme,
}

/// What a valid certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finalized {
    /// The view in which the payload was proposed.
    pub view: u64,
    /// The view of its parent.
    pub parent_view: u64,
    /// The payload that is final, with all its ancestors.
    pub payload: Payload,
}

/// What valid evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Who signed both votes.
    pub validator: u16,
    /// How they contradict each other.
    pub kind: FaultKind,
    /// The view that both are about.
    pub view: u64,
}

/// Why a certificate or evidence proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It does not decode, or not in its one canonical form.
    #[error("malformed")]
    Malformed,
    /// It decodes but is about something that cannot be certified here.
    #[error("not of this network's epoch, or its view does not follow its parent's")]
    OutOfPlace,
    /// Too few signatures, or one that does not verify.
    #[error("not signed by a quorum of this network's validators")]
    BadSignature,
}

impl Verifier {
    /// For the network with this id and these validators' public keys, in the order of the genesis.
    pub fn new(network: &[u8; 32], validators: &[[u8; 32]]) -> Result<Self, StartError> {
        let committee = Committee::new(network, validators)?;
        let scheme = committee.verifier();
        Ok(Self { committee, scheme })
    }

    /// Checks a finalization certificate.
    pub fn verify(&self, certificate: &[u8]) -> Result<Finalized, CertificateError> {
        let finalization =
            Finalization::<Scheme, Digest>::decode_cfg(Copying(certificate), &self.committee.len())
                .map_err(|_| CertificateError::Malformed)?;
        if finalization.encode().as_ref() != certificate {
            return Err(CertificateError::Malformed);
        }
        let (view, parent) = (finalization.view(), finalization.proposal.parent);
        if finalization.epoch() != EPOCH || parent >= view {
            return Err(CertificateError::OutOfPlace);
        }
        if !finalization.verify(&mut sys_rng(), &self.scheme, &Sequential) {
            return Err(CertificateError::BadSignature);
        }
        Ok(Finalized {
            view: view.get(),
            parent_view: parent.get(),
            payload: finalization.proposal.payload.0,
        })
    }

    /// Checks the evidence of a [`crate::Fault`].
    pub fn check_evidence(&self, evidence: &[u8]) -> Result<Evidence, CertificateError> {
        let activity = Activity::<Scheme, Digest>::decode_cfg(Copying(evidence), &self.committee.len())
            .map_err(|_| CertificateError::Malformed)?;
        let found = contradiction(&self.committee, &activity).ok_or(CertificateError::Malformed)?;
        if activity.epoch() != EPOCH {
            return Err(CertificateError::OutOfPlace);
        }
        if !activity.verify(&mut sys_rng(), &self.scheme, &Sequential) {
            return Err(CertificateError::BadSignature);
        }
        Ok(found)
    }
}

/// The fault that an activity claims, its signatures unchecked.
pub(crate) fn contradiction(committee: &Committee, activity: &Activity<Scheme, Digest>) -> Option<Evidence> {
    let (participant, kind) = match activity {
        Activity::ConflictingNotarize(votes) => (votes.signer(), FaultKind::ConflictingNotarize),
        Activity::ConflictingFinalize(votes) => (votes.signer(), FaultKind::ConflictingFinalize),
        Activity::NullifyFinalize(votes) => (votes.signer(), FaultKind::NullifyFinalize),
        _ => return None,
    };
    let validator = committee.validator_of(participant)?;
    Some(Evidence { validator, kind, view: activity.view().get() })
}
