//! TLS 1.3 with pinned certificates. A certificate is good if its fingerprint is expected and today
//! lies within its validity; that its holder owns the key is proved by the handshake signature, which
//! is checked as always. Nothing is resumed, so that every connection passes through here.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::{
    CertificateError, CipherSuite, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use crate::identity::{Fingerprint, Identity};

/// Both sides must speak the same one.
pub(crate) const PEER_PROTOCOL: &[u8] = b"millrace-peer/1";
/// Both sides must speak the same one.
pub(crate) const CLIENT_PROTOCOL: &[u8] = b"millrace-client/1";
/// TLS wants a name; it is not checked.
pub(crate) const SERVER_NAME: &str = "millrace";

/// aws-lc-rs with AES-128-GCM alone: the cheapest suite per byte where the CPU has AES, and one that
/// QUIC needs in any case.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| {
            let mut provider = aws_lc_rs::default_provider();
            provider.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
            Arc::new(provider)
        })
        .clone()
}

/// Checks certificates against a list of fingerprints.
#[derive(Debug)]
pub(crate) struct Pins {
    accepted: Vec<Fingerprint>,
    /// The last one that was not on the list, for the error message.
    stranger: Mutex<Option<Fingerprint>>,
}

impl Pins {
    pub(crate) fn new(accepted: Vec<Fingerprint>) -> Arc<Self> {
        Arc::new(Self { accepted, stranger: Mutex::new(None) })
    }

    pub(crate) fn stranger(&self) -> Option<Fingerprint> {
        *self.stranger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        let fingerprint = Fingerprint::of(certificate);
        if !self.accepted.contains(&fingerprint) {
            *self.stranger.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
            return Err(CertificateError::UnknownIssuer.into());
        }
        check_validity(certificate, now)
    }
}

/// Checks a pinned certificate as its own anchor: its form, its own signature and its dates.
pub(crate) fn check_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let mut anchors = RootCertStore::empty();
    anchors.add(certificate.clone().into_owned())?;
    rustls::client::verify_server_cert_signed_by_trust_anchor(
        &ParsedCertificate::try_from(certificate)?,
        &anchors,
        &[],
        now,
        provider().signature_verification_algorithms.all,
    )
}

impl ServerCertVerifier for Pins {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("QUIC has no TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Pins {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}

/// The accepting side. With `clients`, each caller must show one of these certificates.
pub(crate) fn server(
    identity: &Identity,
    protocol: &[u8],
    clients: Option<Arc<Pins>>,
) -> Result<rustls::ServerConfig, Error> {
    let builder = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match clients {
        Some(pins) => builder.with_client_cert_verifier(pins),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(identity.chain(), identity.key())?;
    config.alpn_protocols = vec![protocol.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The calling side; `identity` where the other side demands a certificate.
pub(crate) fn client(
    server: Arc<Pins>,
    protocol: &[u8],
    identity: Option<&Identity>,
) -> Result<rustls::ClientConfig, Error> {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(server);
    let mut config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain(), identity.key())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
