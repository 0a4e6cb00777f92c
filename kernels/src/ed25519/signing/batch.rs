//! Many signatures at once, eight to a vector. Constant time with regard to keys and nonces, byte for byte RFC 8032.
//!
//! ```text
//! prefix ‖ M ──8 hashes──▶ r ──comb──▶ rB ──one inversion for all──▶ R ──▶ R ‖ A ‖ M ──8 hashes──▶ k ──▶ s = r + k·a
//! secret                   secret      secret Z                      public                    public    public
//! ```
//!
//! No branch and no address depends on what is secret: hashing and scalars are straight-line arithmetic, `comb` and
//! `encode` say why they are. Named secrets are wiped where they end, and what the compiler spilled is overwritten on
//! the stack.

use super::SigningKey;
use crate::ed25519::{
    Backend, Signature,
    comb::Comb,
    encode::{VECTORS, encode},
    field::{Field, LANES, Work},
    point::Extended,
    scalar::{self, Words},
};
use zeroize::{Zeroizing, zeroize_stack};

/// Requests that share an inversion at most.
pub(super) const CHUNK: usize = VECTORS * LANES;
/// Twice the deepest stack of one chunk, 60 KiB on AVX2: points of 20 KiB, digests and nonces of 12, and what spills.
pub(super) const STACK_BYTES: usize = 1 << 17;

/// One message to sign.
#[derive(Clone, Copy, Debug)]
pub struct SignRequest<'a> {
    /// Whose signature it shall be.
    pub key: &'a SigningKey,
    /// The bytes to sign, exactly.
    pub message: &'a [u8],
}

/// Signs many messages at once: the same bytes as [`SigningKey::sign`] gives for each, for a fraction of the time.
///
/// # Panics
///
/// If `requests` and `signatures` differ in length.
pub fn sign_batch(requests: &[SignRequest<'_>], signatures: &mut [Signature]) {
    sign_batch_on(Backend::best(), requests, signatures);
}

/// [`sign_batch`] on a chosen backend, for comparisons; signatures are the same on each.
///
/// # Panics
///
/// If `requests` and `signatures` differ in length.
pub fn sign_batch_on(backend: Backend, requests: &[SignRequest<'_>], signatures: &mut [Signature]) {
    assert_eq!(requests.len(), signatures.len(), "one signature for each request");
    for (requests, signatures) in requests.chunks(CHUNK).zip(signatures.chunks_mut(CHUNK)) {
        sign_chunk(backend, requests, signatures);
    }
    zeroize_stack::<STACK_BYTES>();
}

/// At most [`CHUNK`] requests. Not inlined, so that its stack lies where the caller then wipes.
#[inline(never)]
fn sign_chunk(backend: Backend, requests: &[SignRequest<'_>], signatures: &mut [Signature]) {
    let n = requests.len();
    let mut digests = Zeroizing::new([[0; 64]; CHUNK]);
    let mut nonces = Zeroizing::new([[0; 4]; CHUNK]);
    let mut commitments = [[0; 32]; CHUNK];

    let prefixed: Vec<[&[u8]; 2]> =
        requests.iter().map(|request| [&request.key.expanded.hash_prefix[..], request.message]).collect();
    crate::sha2::sha512_each(&prefixed, &mut digests[..n]);
    for (nonce, digest) in nonces.iter_mut().zip(&digests[..n]) {
        *nonce = scalar::from_wide(digest);
    }
    backend.run(Commit { nonces: &nonces[..n], commitments: &mut commitments[..n] });

    let challenges: Vec<[&[u8]; 3]> = requests
        .iter()
        .zip(&commitments)
        .map(|(request, r)| [&r[..], request.key.public.as_bytes(), request.message])
        .collect();
    crate::sha2::sha512_each(&challenges, &mut digests[..n]);
    for (i, signature) in signatures.iter_mut().enumerate() {
        let secret = Zeroizing::new(scalar::words(requests[i].key.expanded.scalar.as_bytes()));
        let s = scalar::multiply_add(&scalar::from_wide(&digests[i]), &secret, &nonces[i]);
        signature[..32].copy_from_slice(&commitments[i]);
        signature[32..].copy_from_slice(&scalar::bytes(&s));
    }
}

/// Encodes nonces[i] · B as commitments[i], at most [`CHUNK`] of them.
pub(super) struct Commit<'a> {
    pub(super) nonces: &'a [Words],
    pub(super) commitments: &'a mut [[u8; 32]],
}

impl Work for Commit<'_> {
    type Output = ();

    #[inline(always)]
    fn run<F: Field>(self, f: F) {
        let comb = Comb::get();
        let vectors = self.nonces.len().div_ceil(LANES);
        let mut points = [Extended::identity(f); VECTORS];
        for (point, nonces) in points.iter_mut().zip(self.nonces.chunks(LANES)) {
            let mut scalars = Zeroizing::new([[0; 4]; LANES]);
            scalars[..nonces.len()].copy_from_slice(nonces);
            *point = comb.multiply(f, &scalars);
        }
        let mut encodings = [[[0; 32]; LANES]; VECTORS];
        encode(f, &points[..vectors], &mut encodings[..vectors]);
        self.commitments.copy_from_slice(&encodings.as_flattened()[..self.commitments.len()]);
    }
}
