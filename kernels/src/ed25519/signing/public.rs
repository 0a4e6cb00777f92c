//! Many public keys at once, eight to a vector; constant time, as in [`super::batch`].

use super::batch::{CHUNK, Commit, STACK_BYTES};
use crate::ed25519::{Backend, PublicKey, scalar};
use zeroize::{Zeroizing, zeroize_stack};

/// The public keys that RFC 8032 derives from seeds: what [`SigningKey::public_key`](super::SigningKey::public_key) gives
/// for each, for a fraction of the time.
#[must_use]
pub fn public_keys(seeds: &[[u8; 32]]) -> Vec<PublicKey> {
    public_keys_on(Backend::best(), seeds)
}

/// [`public_keys`] on a chosen backend, for comparisons; the keys are the same on each.
#[must_use]
pub fn public_keys_on(backend: Backend, seeds: &[[u8; 32]]) -> Vec<PublicKey> {
    let mut keys = vec![[0; 32]; seeds.len()];
    for (seeds, keys) in seeds.chunks(CHUNK).zip(keys.chunks_mut(CHUNK)) {
        derive_chunk(backend, seeds, keys);
    }
    zeroize_stack::<STACK_BYTES>();
    keys
}

/// At most [`CHUNK`] seeds. Not inlined, so that its stack lies where the caller then wipes.
#[inline(never)]
fn derive_chunk(backend: Backend, seeds: &[[u8; 32]], keys: &mut [PublicKey]) {
    let mut digests = Zeroizing::new([[0; 64]; CHUNK]);
    let mut secrets = Zeroizing::new([[0; 4]; CHUNK]);
    let parts: Vec<[&[u8]; 1]> = seeds.iter().map(|seed| [&seed[..]]).collect();
    crate::sha2::sha512_each(&parts, &mut digests[..seeds.len()]);
    for (secret, digest) in secrets.iter_mut().zip(&mut digests[..seeds.len()]) {
        // The lower half, clamped; the upper half is the prefix of nonces. The base point has the order by which a
        // scalar is reduced, so the reduced one gives the same key.
        digest[0] &= 248;
        digest[31] = (digest[31] & 63) | 64;
        digest[32..].fill(0);
        *secret = scalar::from_wide(digest);
    }
    backend.run(Commit { nonces: &secrets[..seeds.len()], commitments: keys });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ed25519::SigningKey;
    use crate::sha2::sha256;

    #[test]
    fn public_keys_of_many_are_those_of_each_on_every_backend() {
        for count in [0, 1, 7, 8, 9, CHUNK - 1, CHUNK, CHUNK + 9] {
            let mut seeds: Vec<[u8; 32]> = (0..count as u64).map(|at| sha256(&at.to_le_bytes())).collect();
            if count > 2 {
                (seeds[0], seeds[1]) = ([0; 32], [255; 32]);
            }
            let each: Vec<PublicKey> =
                seeds.iter().map(|seed| SigningKey::from_seed(*seed).public_key()).collect();
            for backend in Backend::all() {
                assert_eq!(public_keys_on(backend, &seeds), each, "{count} on {backend}");
            }
        }
    }
}
