//! Registering and revoking fingerprints from the command line, and asking for them.
//!
//! ```text
//! FILE ── SHA-256 ──▶ fingerprint ── attest, revoke: signed, submitted and followed as a transfer is ──▶ the chain
//!                          └─ query attestation ──▶ what the chain says of it, with its path
//! ```

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use engine::limits::{ATTESTATIONS_MAX, DATA_BYTES_MAX, PAYLOAD_BYTES_MAX};
use engine::types::{
    Attest, ChainId, ChainKind, Data, Fingerprint, Link, Registration, Registrations, Revoke,
};
use sha2::{Digest as _, Sha256};

use crate::cli::{AttestArgs, FingerprintArgs, Place, RevokeArgs};
use crate::network::Network;
use crate::query::network_of;
use crate::transfer::{Terms, complete};

/// How much of a file is read at once.
const READ_BYTES: usize = 1 << 16;

/// What is typed and cannot be registered or revoked.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// A file cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Too many at once.
    #[error("{0} fingerprints; one transaction takes at most {ATTESTATIONS_MAX}")]
    TooMany(usize),
    /// Two of them are the same.
    #[error("the fingerprint {0} is named twice: a chain takes each once")]
    Twice(Fingerprint),
    /// The data is too long, or there is none.
    #[error(
        "data has 1 to {DATA_BYTES_MAX} bytes; this has {0}: give the SHA-256 of longer data with --data-hash, and leave \
         out --data where there is none"
    )]
    DataBytes(usize),
    /// All of it does not fit into one transaction.
    #[error(
        "{0} fingerprints with so much data do not fit into one transaction of 64 KiB; register them in parts"
    )]
    TooLong(usize),
    /// Only one can take the place of another one.
    #[error("with --supersedes one fingerprint is registered, not {0}")]
    OneForOne(usize),
    /// The chain does something else.
    #[error(
        "chain {0} is of the kind \"{kind}\", and fingerprints are registered on chains of the kind \"attestations\"; \
         `millrace chain list` shows them",
        kind = .1.name()
    )]
    OtherKind(ChainId, ChainKind),
}

/// Registers fingerprints; `false` if that is not committed.
///
/// # Errors
/// [`AttestError`], or as for a transfer.
pub fn attest(args: &AttestArgs) -> Result<bool> {
    let fingerprints = fingerprints(&args.what)?;
    let data = data(args)?;
    let link = match (args.supersedes, args.refers_to) {
        (Some(_), _) if fingerprints.len() > 1 => {
            return Err(AttestError::OneForOne(fingerprints.len()).into());
        }
        (Some(earlier), _) => Link::Supersedes(earlier),
        (None, Some(earlier)) => Link::RefersTo(earlier),
        (None, None) => Link::None,
    };
    let data = match (&data, args.data_hash) {
        (Some(data), _) => Data::Inline(data),
        (None, Some(hash)) => Data::Hash(hash),
        (None, None) => Data::None,
    };
    let mut encoded = Vec::new();
    for fingerprint in &fingerprints {
        let registration = Registration { fingerprint: *fingerprint, kind: args.kind, link, data };
        registration.encode(&mut encoded)?;
    }
    let registrations = Registrations::read(fingerprints.len(), &encoded)?;
    let network = network_of(args.how.network.as_deref())?;
    refuse_other_kinds(network.as_ref(), args.by)?;
    let Place { chain, account: owner } = args.by;
    if registrations.payload_bytes() > PAYLOAD_BYTES_MAX {
        return Err(AttestError::TooLong(fingerprints.len()).into());
    }
    complete(&args.how, network.as_ref(), args.by, |terms, network, key| {
        let Terms { key_version, reference, nonce, expiry } = terms;
        let attest = Attest { chain, key_version, reference, owner, registrations, nonce, expiry };
        attest.sign(network, |message| key.sign(message))
    })
}

/// Revokes attestations; `false` if that is not committed.
///
/// # Errors
/// [`AttestError`], or as for a transfer.
pub fn revoke(args: &RevokeArgs) -> Result<bool> {
    let fingerprints: Vec<[u8; 32]> = fingerprints(&args.what)?.iter().map(|of| of.0).collect();
    let network = network_of(args.how.network.as_deref())?;
    refuse_other_kinds(network.as_ref(), args.by)?;
    let Place { chain, account: owner } = args.by;
    complete(&args.how, network.as_ref(), args.by, |terms, network, key| {
        let Terms { key_version, reference, nonce, expiry } = terms;
        let (reason, fingerprints) = (args.reason, &fingerprints[..]);
        let revoke = Revoke { chain, key_version, reference, owner, reason, fingerprints, nonce, expiry };
        revoke.sign(network, |message| key.sign(message))
    })
}

/// The fingerprint of a file: its SHA-256.
///
/// # Errors
/// [`AttestError::Io`].
pub(crate) fn fingerprint_of(file: &Path) -> Result<Fingerprint, AttestError> {
    let unread = |source| AttestError::Io { file: file.to_owned(), source };
    let mut opened = File::open(file).map_err(unread)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; READ_BYTES]);
    loop {
        match opened.read(&mut piece) {
            Ok(0) => return Ok(Fingerprint(hash.finalize().into())),
            Ok(bytes) => hash.update(&piece[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(error)),
        }
    }
}

/// All that were named, each once.
fn fingerprints(args: &FingerprintArgs) -> Result<Vec<Fingerprint>, AttestError> {
    let count = args.files.len() + args.fingerprints.len();
    if count > ATTESTATIONS_MAX {
        return Err(AttestError::TooMany(count));
    }
    let of_files = args.files.iter().map(|file| fingerprint_of(file));
    let all: Vec<_> = of_files.chain(args.fingerprints.iter().copied().map(Ok)).collect::<Result<_, _>>()?;
    let mut sorted = all.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(AttestError::Twice(pair[0])),
        None => Ok(all),
    }
}

/// The data that goes with each.
fn data(args: &AttestArgs) -> Result<Option<Vec<u8>>, AttestError> {
    let data = match (&args.data, &args.data_file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(file)) => {
            let mut data = Vec::new();
            // A byte more than fits shows that it is too long, however long it is.
            let read =
                File::open(file).and_then(|file| file.take(DATA_BYTES_MAX as u64 + 1).read_to_end(&mut data));
            read.map_err(|source| AttestError::Io { file: file.clone(), source })?;
            data
        }
        (None, None) => return Ok(None),
    };
    match data.len() {
        1..=DATA_BYTES_MAX => Ok(Some(data)),
        bytes => Err(AttestError::DataBytes(bytes)),
    }
}

/// Where the genesis is at hand, it says what a chain does.
fn refuse_other_kinds(network: Option<&Network>, place: Place) -> Result<(), AttestError> {
    let chain = network.and_then(|network| network.genesis.chain(place.chain));
    match chain.map(|chain| chain.kind) {
        Some(kind) if kind != ChainKind::Attestations => Err(AttestError::OtherKind(place.chain, kind)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_hash_of_the_whole_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("contract.pdf");
        for bytes in [0, 1, READ_BYTES - 1, READ_BYTES, 3 * READ_BYTES + 7] {
            let content: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
            std::fs::write(&file, &content).unwrap();
            assert_eq!(fingerprint_of(&file).unwrap().0, kernels::sha2::sha256(&content));
        }
        assert!(matches!(fingerprint_of(directory.path()), Err(AttestError::Io { .. })));
    }

    #[test]
    fn what_is_named_twice_or_too_often_is_refused() {
        let of = |numbers: std::ops::Range<u32>| FingerprintArgs {
            files: Vec::new(),
            fingerprints: numbers
                .map(|number| Fingerprint(kernels::sha2::sha256(&number.to_le_bytes())))
                .collect(),
        };
        assert_eq!(fingerprints(&of(0..1_000)).unwrap().len(), 1_000);
        assert!(matches!(fingerprints(&of(0..1_001)), Err(AttestError::TooMany(1_001))));
        let mut twice = of(0..3);
        twice.fingerprints.push(twice.fingerprints[1]);
        assert!(
            matches!(fingerprints(&twice), Err(AttestError::Twice(which)) if which == twice.fingerprints[1])
        );
    }
}
