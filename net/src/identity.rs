//! Who a validator is on the wire: the key of a self-signed certificate, known to all others by the SHA-256
//! of its SubjectPublicKeyInfo. There is no authority: the list of validators in the genesis is the authority. So a
//! certificate can be renewed for the same key, and its dates are for its operator alone.

use std::fmt;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_lc_rs::digest;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use zeroize::{Zeroize, Zeroizing};

use crate::errors::IdentityError;
use crate::tls;

/// What a validator is known by: SHA-256 of its certificate's public key (the DER of its SubjectPublicKeyInfo). Where a
/// genesis has the SHA-256 of a whole certificate, only that certificate is known by it, and none can replace it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// That of a certificate itself.
    fn of(certificate_der: &[u8]) -> Self {
        Self(sha256(&[certificate_der]))
    }

    /// That of the key of a certificate; of the certificate, where no key can be read in it.
    pub(crate) fn of_key(certificate: &CertificateDer<'_>) -> Self {
        let key = ParsedCertificate::try_from(certificate).map(|parsed| parsed.subject_public_key_info());
        key.map_or_else(|_| Self::of(certificate), |key| Self(sha256(&[key.as_ref()])))
    }

    /// Whether a certificate is the one that is meant.
    pub(crate) fn means(&self, certificate: &CertificateDer<'_>) -> bool {
        *self == Self::of_key(certificate) || *self == Self::of(certificate)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let wrong = || IdentityError::Fingerprint(text.to_owned());
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0u8; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digits = &text[2 * index..2 * index + 2];
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

/// A certificate with its private key. Clones share the one copy of the key, which is wiped when the last
/// of them is dropped. (What TLS makes of the key lives as long as the network.) They share the certificate as well: a
/// renewed one is shown by every network that was started with a clone.
#[derive(Clone)]
pub struct Identity {
    certificate: Arc<Mutex<CertificateDer<'static>>>,
    key: Arc<Secret>,
}

/// A private key that is wiped when dropped.
struct Secret(PrivateKeyDer<'static>);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Identity({})", self.fingerprint())
    }
}

impl Identity {
    /// Generates a key and a self-signed certificate for it that does not expire in practice: a
    /// validator leaves by leaving the validator set.
    ///
    /// # Errors
    /// [`IdentityError::Generate`]: the name cannot stand in a certificate, for example.
    pub fn generate(name: &str) -> Result<Self, IdentityError> {
        Self::generate_inner(name, None)
    }

    /// The same, valid only within a period.
    ///
    /// # Errors
    /// As [`Self::generate`].
    pub fn generate_valid(name: &str, period: Range<SystemTime>) -> Result<Self, IdentityError> {
        Self::generate_inner(name, Some(period))
    }

    fn generate_inner(name: &str, period: Option<Range<SystemTime>>) -> Result<Self, IdentityError> {
        let failed = |problem: rcgen::Error| IdentityError::Generate {
            name: name.to_owned(),
            problem: problem.to_string(),
        };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = self_signed(name, &key, period).map_err(failed)?;
        Ok(Self {
            certificate: Arc::new(Mutex::new(certificate)),
            key: Arc::new(Secret(PrivateKeyDer::Pkcs8(key.serialize_der().into()))),
        })
    }

    /// Reads both PEM files.
    ///
    /// # Errors
    /// [`IdentityError::File`], [`IdentityError::Pem`].
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let pem = |path: &Path, expected, problem: rustls::pki_types::pem::Error| IdentityError::Pem {
            path: path.to_owned(),
            expected,
            problem: problem.to_string(),
        };
        let read = |path: &Path| {
            let bytes = fs::read(path).map(Zeroizing::new);
            bytes.map_err(|source| IdentityError::File { path: path.to_owned(), source })
        };
        let shown = CertificateDer::from_pem_slice(&read(certificate)?)
            .map_err(|problem| pem(certificate, "a certificate", problem))?;
        let key = PrivateKeyDer::from_pem_slice(&read(key)?)
            .map_err(|problem| pem(key, "a private key", problem))?;
        let identity = Self { certificate: Arc::new(Mutex::new(shown)), key: Arc::new(Secret(key)) };
        tls::check_pair(&identity).map_err(|problem| IdentityError::Pem {
            path: certificate.to_owned(),
            expected: "a certificate of the private key beside it",
            problem: problem.to_string(),
        })?;
        Ok(identity)
    }

    /// The same key with another certificate, self-signed and valid within a period.
    ///
    /// # Errors
    /// As [`Self::generate`]; also where the key is none that was made by it.
    pub fn renewed(&self, name: &str, period: Range<SystemTime>) -> Result<Self, IdentityError> {
        let failed = |problem: rcgen::Error| IdentityError::Generate {
            name: name.to_owned(),
            problem: problem.to_string(),
        };
        let key = KeyPair::try_from(&self.key.0).map_err(failed)?;
        let certificate = self_signed(name, &key, Some(period)).map_err(failed)?;
        Ok(Self { certificate: Arc::new(Mutex::new(certificate)), key: self.key.clone() })
    }

    /// From now on this identity and its clones show the certificate of `renewed`, if that has the same key.
    pub fn renew(&self, renewed: &Self) {
        if self.fingerprint() == renewed.fingerprint() {
            *self.lock() = renewed.shown();
        }
    }

    /// When the certificate ends, in seconds since the Unix epoch; `None` where that cannot be read.
    #[must_use]
    pub fn valid_until(&self) -> Option<u64> {
        tls::valid_until(&self.shown())
    }

    /// Whether others know this identity by `pinned`.
    #[must_use]
    pub fn is_known_by(&self, pinned: Fingerprint) -> bool {
        pinned.means(&self.shown())
    }

    /// SHA-256 of the certificate itself: another one after a renewal.
    #[must_use]
    pub fn certificate(&self) -> Fingerprint {
        Fingerprint::of(&self.shown())
    }

    /// Writes both PEM files; the key is readable by its owner only.
    ///
    /// # Errors
    /// [`IdentityError::File`].
    pub fn save(&self, certificate: &Path, key: &Path) -> Result<(), IdentityError> {
        let label = match &self.key.0 {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        write_pem(key, label, self.key.0.secret_der(), 0o600)?;
        self.save_certificate(certificate)
    }

    /// Writes the PEM file of the certificate alone.
    ///
    /// # Errors
    /// [`IdentityError::File`].
    pub fn save_certificate(&self, certificate: &Path) -> Result<(), IdentityError> {
        write_pem(certificate, "CERTIFICATE", &self.shown(), 0o644)
    }

    /// What the others know this identity by.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_key(&self.shown())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CertificateDer<'static>> {
        self.certificate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> CertificateDer<'static> {
        self.lock().clone()
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.shown()]
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.0.clone_key()
    }

    /// A secret that stays the same over restarts, one for each `purpose`.
    pub(crate) fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(sha256(&[purpose.as_bytes(), b"\0", self.key.0.secret_der()]))
    }
}

fn self_signed(
    name: &str,
    key: &KeyPair,
    period: Option<Range<SystemTime>>,
) -> Result<CertificateDer<'static>, rcgen::Error> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(period) = period {
        params.not_before = period.start.into();
        params.not_after = period.end.into();
    }
    Ok(params.self_signed(key)?.der().clone())
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // Room for everything at once: a string that grows leaves copies behind.
    let mut out = Zeroizing::new(String::with_capacity(2 * der.len() + 2 * label.len() + 64));
    out.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let word = group.iter().fold(0u32, |word, byte| (word << 8) | u32::from(*byte))
                << (8 * (3 - group.len()));
            for place in 0..4 {
                let letter = ALPHABET[(word >> (18 - 6 * place)) as usize & 63];
                out.push(if place <= group.len() { letter.into() } else { '=' });
            }
        }
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

fn write_pem(path: &Path, label: &str, der: &[u8], mode: u32) -> Result<(), IdentityError> {
    write_private(path, pem(label, der).as_bytes(), mode)
        .map_err(|source| IdentityError::File { path: path.to_owned(), source })
}

fn write_private(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests;
