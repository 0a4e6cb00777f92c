//! Checking what the engine produced, without an engine: for catch-up, clients and audits.
//!
//! ```text
//!   finalization certificate = epoch | view | parent view | payload | who signed | one Ed25519 signature each
//!   evidence                 = two signed votes of one validator that contradict each other
//! ```

use commonware_codec::{Copying, Decode as _, Encode as _, ReadExt as _};
use commonware_consensus::{
    Epochable as _, Viewable as _,
    simplex::{
        scheme::ed25519::Scheme,
        types::{self, Activity, Attributable as _},
    },
    types::Epoch,
};
use commonware_parallel::Sequential;

use crate::{
    FaultKind, Payload, StartError,
    committee::{Committee, Digest},
    votes,
};

/// Checks certificates of one epoch of one network.
#[derive(Debug)]
pub struct Verifier {
    committee: Committee,
    scheme: Scheme,
}

/// The evidence that a payload is final, with all its ancestors.
///
/// Only a running engine and [`Verifier::verify`] make one, after they have checked a quorum's signatures: those who
/// hold it need not check them again. It does not say in which network: a process with two networks must keep them
/// apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finalization {
    epoch: u64,
    view: u64,
    parent_view: u64,
    payload: Payload,
    certificate: Vec<u8>,
}

impl Finalization {
    /// From one whose signatures are checked.
    pub(crate) fn checked(finalization: &types::Finalization<Scheme, Digest>) -> Self {
        Self {
            epoch: finalization.epoch().get(),
            view: finalization.view().get(),
            parent_view: finalization.proposal.parent.get(),
            payload: finalization.proposal.payload.0,
            certificate: finalization.encode().to_vec(),
        }
    }

    /// The epoch whose validators have signed it.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The epoch that a certificate claims, unchecked: it tells whose [`Verifier`] can check it. `None` if it claims
    /// none.
    pub fn epoch_of(certificate: &[u8]) -> Option<u64> {
        Epoch::read(&mut Copying(certificate)).ok().map(Epoch::get)
    }

    /// The view in which the payload was last proposed in its epoch; at least 1.
    pub fn view(&self) -> u64 {
        self.view
    }

    /// The view of its parent; 0 for the root of the epoch.
    pub fn parent_view(&self) -> u64 {
        self.parent_view
    }

    /// The payload.
    pub fn payload(&self) -> Payload {
        self.payload
    }

    /// The certificate, from which [`Verifier::verify`] makes the same evidence again.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The certificate without a copy.
    pub fn into_certificate(self) -> Vec<u8> {
        self.certificate
    }
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
    #[error("of another epoch of this network, or its view does not follow its parent's")]
    OutOfPlace,
    /// Too few signatures, or one that does not verify.
    #[error("not signed by a quorum of this network's validators")]
    BadSignature,
}

impl Verifier {
    /// For one epoch of the network with this id, and the public keys of the epoch's validators in their order.
    ///
    /// # Errors
    /// [`StartError`]: the keys are no committee.
    pub fn new(network: &[u8; 32], epoch: u64, validators: &[[u8; 32]]) -> Result<Self, StartError> {
        let committee = Committee::new(network, epoch, validators)?;
        let scheme = committee.verifier();
        Ok(Self { committee, scheme })
    }

    /// Checks a finalization certificate.
    ///
    /// # Errors
    /// [`CertificateError`]: it proves nothing in this network.
    pub fn verify(&self, certificate: &[u8]) -> Result<Finalization, CertificateError> {
        check(&self.committee, &self.scheme, certificate)
            .map(|finalization| Finalization::checked(&finalization))
    }

    /// The validator that leads `view`. Leaders rotate, so it depends on nothing else.
    pub fn leader(&self, view: u64) -> u16 {
        self.committee.leader(view)
    }

    /// The view of a vote, if this validator has signed it.
    ///
    /// # Errors
    /// [`CertificateError`]: it is not a vote of this validator in this network.
    pub fn check_vote(&self, validator: u16, vote: &[u8]) -> Result<u64, CertificateError> {
        votes::check(&self.committee, &self.scheme, validator, vote)
    }

    /// Checks the evidence of a [`crate::Fault`].
    ///
    /// # Errors
    /// [`CertificateError`]: it proves nothing in this network.
    pub fn check_evidence(&self, evidence: &[u8]) -> Result<Evidence, CertificateError> {
        let activity = Activity::<Scheme, Digest>::decode_cfg(Copying(evidence), &self.committee.len())
            .map_err(|_| CertificateError::Malformed)?;
        let found = contradiction(&self.committee, &activity).ok_or(CertificateError::Malformed)?;
        if activity.epoch() != self.committee.epoch() {
            return Err(CertificateError::OutOfPlace);
        }
        if !holds(&self.committee, &self.scheme, &activity) {
            return Err(CertificateError::BadSignature);
        }
        Ok(found)
    }
}

/// Decodes a finalization certificate and checks everything about it.
pub(crate) fn check(
    committee: &Committee,
    scheme: &Scheme,
    certificate: &[u8],
) -> Result<types::Finalization<Scheme, Digest>, CertificateError> {
    let finalization =
        types::Finalization::<Scheme, Digest>::decode_cfg(Copying(certificate), &committee.len())
            .map_err(|_| CertificateError::Malformed)?;
    if finalization.encode().as_ref() != certificate {
        return Err(CertificateError::Malformed);
    }
    if finalization.epoch() != committee.epoch() || finalization.proposal.parent >= finalization.view() {
        return Err(CertificateError::OutOfPlace);
    }
    if !finalization.verify(&mut committee.weights(certificate), scheme, &Sequential) {
        return Err(CertificateError::BadSignature);
    }
    Ok(finalization)
}

/// Whether all signatures of an activity are right.
pub(crate) fn holds(committee: &Committee, scheme: &Scheme, activity: &Activity<Scheme, Digest>) -> bool {
    activity.verify(&mut committee.weights(&activity.encode()), scheme, &Sequential)
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
