//! What others have seen of a validator's votes, and what its own records remember of them.
//!
//! ```text
//!   vote of a peer ─▶ Inbound::last_vote ─▶ shown to that peer when it starts ─▶ Verifier::check_vote ─▶ Memory::lacks
//! ```
//!
//! Records that were put back, with everything around them, are consistent in themselves. Votes that others hold and
//! the records lack give them away. A vote leaves only after its record is durable, so honest records lack none.

use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::{
    Epochable as _, Viewable as _,
    simplex::{
        scheme::ed25519::Scheme,
        types::{Attributable as _, Vote},
    },
};
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::CHECKSUM_SIZE;

use crate::{
    CertificateError, Verifier,
    committee::{Committee, Digest},
    engine::PAGE_BYTES,
};

/// The most bytes of an encoded vote: tag, epoch, two views, payload, signer and signature.
pub const VOTE_BYTES_MAX: usize = 192;

fn decode(vote: &[u8]) -> Option<Vote<Scheme, Digest>> {
    Vote::decode(Copying(vote)).ok()
}

/// The view that a message on the channel of votes is about, its signature unchecked.
pub(crate) fn view_of(vote: &[u8]) -> Option<u64> {
    decode(vote).map(|vote| vote.view().get())
}

/// The view of a vote of this validator, if the signature is right.
pub(crate) fn check(
    committee: &Committee,
    scheme: &Scheme,
    validator: u16,
    vote: &[u8],
) -> Result<u64, CertificateError> {
    let decoded = decode(vote).ok_or(CertificateError::Malformed)?;
    let signer = match &decoded {
        Vote::Notarize(notarize) => notarize.signer(),
        Vote::Nullify(nullify) => nullify.signer(),
        Vote::Finalize(finalize) => finalize.signer(),
    };
    if decoded.epoch() != committee.epoch() || committee.validator_of(signer) != Some(validator) {
        return Err(CertificateError::OutOfPlace);
    }
    let mut weights = committee.weights(vote);
    let holds = match &decoded {
        Vote::Notarize(notarize) => notarize.verify(&mut weights, scheme, &Sequential),
        Vote::Nullify(nullify) => nullify.verify::<_, Digest>(&mut weights, scheme, &Sequential),
        Vote::Finalize(finalize) => finalize.verify(&mut weights, scheme, &Sequential),
    };
    if holds { Ok(decoded.view().get()) } else { Err(CertificateError::BadSignature) }
}

/// What the records of earlier runs remember of this validator's votes: see [`crate::Replay::memory`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    view: u64,
    /// What is written about that view, without the engine's checksums.
    written: Vec<u8>,
}

impl Memory {
    /// Of records whose highest view has this blob.
    pub(crate) fn new(view: u64, blob: &[u8]) -> Self {
        let page = |page: &[u8]| page[..page.len().min(PAGE_BYTES - CHECKSUM_SIZE as usize)].to_vec();
        Self { view, written: blob.chunks(PAGE_BYTES).flat_map(page).collect() }
    }

    /// The highest view about which there is a record: the engine's, before it runs.
    pub fn view(&self) -> u64 {
        self.view
    }

    /// Whether `vote` is good evidence that the records are not all of this `validator`'s: a vote with its signature,
    /// about the highest view that they know or a later one, and not among them.
    pub fn lacks(&self, vote: &[u8], validator: u16, verifier: &Verifier) -> bool {
        let Ok(view) = verifier.check_vote(validator, vote) else { return false };
        // The engine writes a vote as it is sent, behind another tag.
        let signed = &vote[1..];
        view > self.view
            || (view == self.view && !self.written.windows(signed.len()).any(|written| written == signed))
    }
}
