//! TLS 1.3 with pinned keys. A certificate is good if the fingerprint of its key is expected; that its holder owns the
//! key is proved by the handshake signature, which is checked as always. Its dates decide nothing: who is a member says
//! the genesis, and a network in which certificates have ended, or whose clocks have jumped, connects again. Nothing is
//! resumed, so that every connection passes through here.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{
    CertificateError, CipherSuite, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use crate::identity::{Fingerprint, Identity};

/// What validators speak with each other: each name with its version, the newest first. Both sides offer all that they
/// speak, and the newest one that both speak is taken. A release also speaks those of the one before it.
pub const PEER_PROTOCOLS: &[&[u8]] = &[b"millrace-peer/2", b"millrace-peer/1"];
/// What frames to and from clients are carried in. What the frames say has a version of its own, in the first of them.
pub const CLIENT_PROTOCOLS: &[&[u8]] = &[b"millrace-client/1"];
/// The version that the name of a protocol ends with; 0 if it ends with none.
pub(crate) fn version_of(protocol: &[u8]) -> u16 {
    let digits = protocol.rsplit(|byte| *byte == b'/').next();
    digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
}

/// The TLS alert that says that there is none: `no_application_protocol`.
pub(crate) const NO_PROTOCOL: u64 = 120;
/// The year 10,000: no certificate says more.
const AFTER_ALL: Duration = Duration::from_secs(253_402_300_800);
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

/// What an identity shows in each handshake: its certificate of that moment.
#[derive(Debug)]
struct Presented {
    identity: Identity,
    key: Arc<dyn SigningKey>,
}

impl Presented {
    fn by(identity: &Identity) -> Result<Arc<Self>, Error> {
        let key = CertifiedKey::from_der(identity.chain(), identity.key(), &provider())?.key;
        Ok(Arc::new(Self { identity: identity.clone(), key }))
    }

    fn now(&self) -> Arc<CertifiedKey> {
        Arc::new(CertifiedKey::new(self.identity.chain(), self.key.clone()))
    }
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}

impl ResolvesClientCert for Presented {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Whether a certificate is that of its private key.
pub(crate) fn check_pair(identity: &Identity) -> Result<(), Error> {
    Presented::by(identity).map(drop)
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

    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if self.accepted.iter().any(|accepted| accepted.means(certificate)) {
            return Ok(());
        }
        let fingerprint = Fingerprint::of_key(certificate);
        *self.stranger.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
        Err(CertificateError::UnknownIssuer.into())
    }
}

/// When a certificate ends, in seconds since the Unix epoch.
pub(crate) fn valid_until(certificate: &CertificateDer<'_>) -> Option<u64> {
    match check_validity(certificate, UnixTime::since_unix_epoch(AFTER_ALL)) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(not_after.as_secs())
        }
        _ => None,
    }
}

/// Whether that is what [`check_validity`] has against a certificate.
pub(crate) fn is_about_dates(problem: &Error) -> bool {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let Error::InvalidCertificate(problem) = problem else { return false };
    matches!(problem, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

/// Checks a certificate as its own anchor: its form, its own signature and its dates.
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
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity)?;
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
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity)?;
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
    protocols: &[&[u8]],
    clients: Option<Arc<Pins>>,
) -> Result<rustls::ServerConfig, Error> {
    let builder = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match clients {
        Some(pins) => builder.with_client_cert_verifier(pins),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Presented::by(identity)?);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The calling side; `identity` where the other side demands a certificate.
pub(crate) fn client(
    server: Arc<Pins>,
    protocols: &[&[u8]],
    identity: Option<&Identity>,
) -> Result<rustls::ClientConfig, Error> {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(server);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Presented::by(identity)?),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::disabled();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use rustls::{ClientConnection, Connection, ServerConnection};

    use super::*;

    /// Hands over what one side has to say.
    fn pass(from: &mut Connection, to: &mut Connection) -> Result<(), Error> {
        let mut sent = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut sent).unwrap();
        }
        let mut rest = &sent[..];
        while !rest.is_empty() {
            to.read_tls(&mut rest).unwrap();
            to.process_new_packets()?;
        }
        Ok(())
    }

    /// A whole handshake, in memory; the protocol that is spoken then.
    fn shake(client: rustls::ClientConfig, server: rustls::ServerConfig) -> Result<Vec<u8>, Error> {
        let name = ServerName::try_from(SERVER_NAME).unwrap();
        let mut client = Connection::from(ClientConnection::new(Arc::new(client), name)?);
        let mut server = Connection::from(ServerConnection::new(Arc::new(server))?);
        while client.is_handshaking() || server.is_handshaking() {
            pass(&mut client, &mut server)?;
            pass(&mut server, &mut client)?;
        }
        assert_eq!(client.alpn_protocol(), server.alpn_protocol());
        Ok(client.alpn_protocol().unwrap_or_default().to_vec())
    }

    #[test]
    fn the_newest_protocol_that_both_speak_is_taken_and_without_one_there_is_no_connection() {
        let [caller, callee] = ["alder", "birch"].map(|name| Identity::generate(name).unwrap());
        let pins = || Pins::new([&caller, &callee].map(Identity::fingerprint).to_vec());
        let (one, two, three): (&[u8], &[u8], &[u8]) =
            (b"millrace-peer/1", b"millrace-peer/2", b"millrace-peer/3");
        let spoken = |calling: &[&[u8]], answering: &[&[u8]]| {
            let client = client(pins(), calling, Some(&caller)).unwrap();
            shake(client, server(&callee, answering, Some(pins())).unwrap())
        };
        assert_eq!(spoken(&[one], &[one]).unwrap(), one);
        assert_eq!(spoken(&[two, one], &[one]).unwrap(), one, "the other is of the last release");
        assert_eq!(spoken(&[one], &[two, one]).unwrap(), one);
        assert_eq!(spoken(&[three, two], &[two, one]).unwrap(), two);
        assert_eq!(spoken(&[two, one], &[two, one]).unwrap(), two);
        assert_eq!(spoken(&[three], &[two, one]), Err(Error::NoApplicationProtocol));
        assert_eq!([one, two, b"millrace-peer/12", b"millrace-peer", b""].map(version_of), [1, 2, 12, 0, 0]);
    }

    /// What a member shows is public: who shows it must have its key.
    #[test]
    fn the_certificate_of_a_member_is_worth_nothing_without_its_key() {
        let [member, other, stranger] =
            ["alder", "birch", "cedar"].map(|name| Identity::generate(name).unwrap());
        let pins = || Pins::new([&member, &other].map(Identity::fingerprint).to_vec());
        let calling = |by: &Identity| client(pins(), PEER_PROTOCOLS, Some(by)).unwrap();
        let answering = |by: &Identity| server(by, PEER_PROTOCOLS, Some(pins())).unwrap();
        shake(calling(&member), answering(&other)).unwrap();
        assert!(shake(calling(&stranger), answering(&other)).is_err());
        assert!(shake(calling(&member), answering(&stranger)).is_err());
        let impostor = || {
            let key = Presented::by(&stranger).unwrap().key.clone();
            Arc::new(Presented { identity: member.clone(), key })
        };
        let mut caller = calling(&stranger);
        caller.client_auth_cert_resolver = impostor();
        assert!(shake(caller, answering(&other)).is_err());
        let mut callee = answering(&stranger);
        callee.cert_resolver = impostor();
        assert!(shake(calling(&other), callee).is_err());
    }
}
