//! Client certificates, beside tokens: who holds the key of a certificate that a configured authority vouches for may
//! do what a file says of that key.
//!
//! ```text
//! handshake: any certificate, and the proof that its key is there ─▶ Shown: good until …, or why not, in words
//! request:   key's SHA-256 ── looked up in clients.toml (mode 0600), read again when it has changed ─▶ name, scopes
//! ```
//!
//! TLS itself would end the handshake with a number for an alert. So a certificate that is not good is let through the
//! handshake, is nobody behind it, and each of its requests is answered with what is wrong.
//!
//! Invariant: only [`Shown::Good`] is anybody, and it comes from [`Authority::judge`] alone, for a chain whose key was
//! proved in the handshake of this connection (or of the one that it resumes).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kernels::sha2::sha256;
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use crate::followed::Followed;
use crate::tokens::{Bearer, Scope, TokenError};

/// The only version of the file so far.
const VERSION: u32 = 1;
/// What the file is called in messages.
const WHAT: &str = "a file of client certificates";
/// The year 10,000: no certificate says more.
const AFTER_ALL: u64 = 253_402_300_800;
/// Certificates of one chain whose ends are looked for.
const CHAIN_MAX: usize = 16;

/// Where the authority of client certificates is, in PEM, and what each key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The certificates of the authorities.
    pub authority: PathBuf,
    /// The file with what each key may do.
    pub clients: PathBuf,
}

/// A certificate that is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of its public key (its SubjectPublicKeyInfo in DER).
    pub key: [u8; 32],
    /// When it ends, or the first one of those that vouch for it, in seconds since the Unix epoch.
    pub until: u64,
}

/// What a connection has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// No certificate.
    Nothing,
    /// One that the authority vouches for, at this time.
    Good(Certificate),
    /// Another one, and what is wrong with it.
    Bad(String),
}

/// What judges certificates.
#[derive(Debug)]
pub struct Authority {
    inner: Arc<dyn ClientCertVerifier>,
}

impl Authority {
    /// With the authorities of a file.
    ///
    /// # Errors
    /// What is wrong with the file, in words.
    pub fn open(file: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<Self>, String> {
        let mut roots = RootCertStore::empty();
        let found = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
        for certificate in found {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        inner.map(|inner| Arc::new(Self { inner })).map_err(|error| match error {
            VerifierBuilderError::NoRootAnchors => "it has no certificate in PEM".to_owned(),
            other => other.to_string(),
        })
    }

    /// The last second at which a chain is good: each verdict that it has ended names an earlier one, until none does.
    fn until(&self, certificate: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Option<u64> {
        let mut until = AFTER_ALL;
        for _ in 0..CHAIN_MAX {
            let then = UnixTime::since_unix_epoch(Duration::from_secs(until));
            match self.inner.verify_client_cert(certificate, others, then) {
                Ok(_) => return Some(until),
                Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }))
                    if not_after.as_secs() < until =>
                {
                    until = not_after.as_secs();
                }
                Err(_) => return None,
            }
        }
        None
    }

    /// What the chain of a connection is worth now.
    pub fn judge(&self, chain: Option<&[CertificateDer<'_>]>, now: UnixTime) -> Shown {
        let Some((certificate, others)) = chain.and_then(|chain| chain.split_first()) else {
            return Shown::Nothing;
        };
        let judged = self.inner.verify_client_cert(certificate, others, now);
        let key = ParsedCertificate::try_from(certificate).map(|of| sha256(&of.subject_public_key_info()));
        match (judged, key) {
            (Ok(_), Ok(key)) => self.until(certificate, others).map_or_else(
                || {
                    Shown::Bad(
                        "the end of the client certificate cannot be read: show another one".to_owned(),
                    )
                },
                |until| Shown::Good(Certificate { key, until }),
            ),
            (Err(error), _) | (_, Err(error)) => Shown::Bad(words(&error)),
        }
    }
}

/// What is wrong with a certificate, for its owner.
fn words(error: &Error) -> String {
    let Error::InvalidCertificate(problem) = error else {
        return format!("the client certificate cannot be read: {error}");
    };
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the client certificate has ended: show a new one".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the client certificate is not valid yet: look at the clocks, or show another one".to_owned()
        }
        // The second one: an authority of the same name, with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the client certificate is not from an authority that this gateway knows: show another one"
                .to_owned()
        }
        other => format!("the client certificate is not good ({other}): show another one"),
    }
}

/// In the handshake only the proof of the key counts; [`Authority::judge`] does the rest.
impl ClientCertVerifier for Authority {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// A key in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    /// A name for people, once in the file.
    name: String,
    /// SHA-256 of the public key, 64 hexadecimal digits.
    #[serde(with = "hex")]
    key: [u8; 32],
    /// What it allows.
    scopes: Vec<Scope>,
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientFile {
    millrace_clients: u32,
    #[serde(default, rename = "client")]
    clients: Vec<Listed>,
}

type ByKey = BTreeMap<[u8; 32], Listed>;

fn parse(file: &Path, text: Option<&str>) -> Result<ByKey, TokenError> {
    let wrong = |problem: String| TokenError::Content { file: file.to_owned(), what: WHAT, problem };
    let Some(text) = text else { return Ok(ByKey::new()) };
    let read: ClientFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if read.millrace_clients != VERSION {
        let other = read.millrace_clients;
        return Err(wrong(format!("it has version {other}, and this program reads version {VERSION}")));
    }
    let mut by_key = ByKey::new();
    for listed in read.clients {
        if by_key.values().any(|of| of.name == listed.name) {
            return Err(wrong(format!("the name {:?} is there twice", listed.name)));
        }
        if let Some(other) = by_key.insert(listed.key, listed) {
            return Err(wrong(format!("the key of {:?} is there twice", other.name)));
        }
    }
    Ok(by_key)
}

/// What each key may do, as the file says now.
#[derive(Debug)]
pub struct Clients(Followed<ByKey>);

impl Clients {
    /// Those of a file.
    ///
    /// # Errors
    /// [`TokenError`]: it cannot be used.
    pub fn open(file: &Path) -> Result<Self, TokenError> {
        Followed::open(file, parse).map(Self)
    }

    /// Who holds a certificate, if it has not ended and its key is in the file. `now` is a clock that only goes
    /// forward, `unix` the time in seconds since the Unix epoch.
    pub fn find(&self, of: &Certificate, now: Duration, unix: u64) -> Option<Bearer> {
        if unix > of.until {
            return None;
        }
        self.0.says(now, |by_key| {
            let Listed { name, scopes, .. } = by_key.get(&of.key)?;
            Some(Bearer { name: name.clone(), scopes: scopes.iter().copied().collect(), expires: of.until })
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
