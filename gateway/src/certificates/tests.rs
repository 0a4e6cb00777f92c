use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};

use super::*;
use crate::admin::tests::{Recorded, Rig};
use crate::gateway::tests::settings;
use crate::{Doors, Share, TlsFiles, start};

/// Somebody who makes certificates.
pub(crate) struct Maker {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Made {
    chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

impl Maker {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate that is valid until the end of this year.
    pub(crate) fn make(&self, name: &str, until: i32) -> Made {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Made { chain: vec![certificate.der().clone()], key }
    }
}

impl Made {
    /// Its SHA-256 in the file of clients.
    pub(crate) fn shown(&self) -> String {
        let of = ParsedCertificate::try_from(&self.chain[0]).unwrap();
        hex::encode(sha256(&of.subject_public_key_info()))
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

/// Writes a file that is for its owner alone.
pub(crate) fn private(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// What a request over TLS is answered with: status and body.
pub(crate) async fn asked(
    to: SocketAddr,
    roots: &Maker,
    shows: Option<&Made>,
    (request, body): (&str, &str),
) -> (u16, String) {
    let mut store = RootCertStore::empty();
    store.add(roots.certificate.der().clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(store);
    let config = match shows {
        Some(made) => config.with_client_auth_cert(made.chain.clone(), made.private_key()).unwrap(),
        None => config.with_no_client_auth(),
    };
    let stream = TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n",
        body.len()
    );
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Who closes without a last word has said all the same.
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
}

/// The certificate of a listener, in a directory.
pub(crate) fn tls_in(directory: &Path, maker: &Maker) -> TlsFiles {
    let made = maker.make("localhost", 2_090);
    let files = TlsFiles { certificate: directory.join("tls.crt"), private_key: directory.join("tls.key") };
    let pem = |der: &[u8], what: &str| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {what}-----\n{text}\n-----END {what}-----\n")
    };
    fs::write(&files.certificate, pem(&made.chain[0], "CERTIFICATE")).unwrap();
    private(&files.private_key, &made.key.serialize_pem());
    files
}

/// What clients.toml says of some keys.
pub(crate) fn listed(clients: &[(&str, &Made, &str)]) -> String {
    let one = |(name, made, scopes): &(&str, &Made, &str)| {
        format!("[[client]]\nname = \"{name}\"\nkey = \"{}\"\nscopes = [{scopes}]\n", made.shown())
    };
    "millrace_clients = 1\n".to_owned() + &clients.iter().map(one).collect::<String>()
}

pub(crate) fn share() -> Share {
    Share { count: 1, begin: || {}, connections: 64 }
}

#[test]
fn who_holds_a_certificate_may_do_what_the_file_says_of_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, others) = (Maker::new("ours"), Maker::new("others"));
    let (till, meter, stranger) =
        (ours.make("till", 2_090), ours.make("meter", 2_090), ours.make("x", 2_090));
    let (ended, foreign) = (ours.make("ended", 2_021), others.make("till", 2_090));
    let place = |name: &str| directory.path().join(name);
    fs::write(place("ca.crt"), ours.pem()).unwrap();
    let clients = [
        ("till", &till, "\"read\", \"submit\""),
        ("meter", &meter, "\"metrics\""),
        ("ended", &ended, "\"read\""),
        ("foreign", &foreign, "\"read\""),
    ];
    private(&place("clients.toml"), &listed(&clients));
    let doors = Doors {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        tls: Some(tls_in(directory.path(), &ours)),
        clients: Some(ClientFiles { authority: place("ca.crt"), clients: place("clients.toml") }),
        ..Doors::default()
    };
    let (settings, host) = settings(doors);
    let running = start(settings, host, share()).unwrap();
    let to = running.addresses[0];
    let get =
        |shows: Option<&Made>| crate::testing::run(asked(to, &ours, shows, ("GET /console/genesis", "")));
    // This gateway has no genesis, and says so to those who may read.
    assert_eq!(get(Some(&till)).0, 404);
    for (shows, status, words) in [
        (None, 401, "no token was shown"),
        (Some(&meter), 403, "the client certificate allows metrics"),
        (Some(&stranger), 401, "is not in the file of clients"),
        (Some(&ended), 401, "the client certificate has ended"),
        (Some(&foreign), 401, "not from an authority that this gateway knows"),
    ] {
        let (found, body) = get(shows);
        assert!(found == status && body.contains(words), "{found}: {body}");
    }
    // What is taken out of the file is taken from its holder.
    private(&place("clients.toml"), &listed(&clients[1..]));
    let mut tries = 0..600;
    while get(Some(&till)).0 != 401 {
        tries.next().expect("the file is read again");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_certificate_is_good_until_its_end_and_no_longer() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, file) = (Maker::new("ours"), directory.path().join("ca.crt"));
    fs::write(&file, ours.pem()).unwrap();
    let authority = Authority::open(&file, Arc::new(aws_lc_rs::default_provider())).unwrap();
    let made = ours.make("till", 2_030);
    let at = |unix| authority.judge(Some(&made.chain), UnixTime::since_unix_epoch(Duration::from_secs(unix)));
    let Shown::Good(certificate) = at(1_800_000_000) else { panic!("it is good") };
    // The last day of 2030.
    assert_eq!(certificate.until / 86_400, 22_279);
    assert_eq!(hex::encode(certificate.key), made.shown());
    assert_eq!(at(certificate.until), Shown::Good(certificate));
    assert!(matches!(at(certificate.until + 1), Shown::Bad(words) if words.contains("has ended")));
    assert!(matches!(at(1_000_000_000), Shown::Bad(words) if words.contains("not valid yet")));
    assert_eq!(authority.judge(None, UnixTime::since_unix_epoch(Duration::ZERO)), Shown::Nothing);
    let clients = directory.path().join("clients.toml");
    private(&clients, &listed(&[("till", &made, "\"read\"")]));
    let clients = Clients::open(&clients).unwrap();
    assert_eq!(clients.find(&certificate, Duration::ZERO, certificate.until).unwrap().name, "till");
    assert_eq!(clients.find(&certificate, Duration::ZERO, certificate.until + 1), None, "an old connection");
    for wrong in ["", "no PEM"] {
        fs::write(&file, wrong).unwrap();
        let refused = Authority::open(&file, Arc::new(aws_lc_rs::default_provider())).unwrap_err();
        assert!(refused.contains("no certificate"), "{refused}");
    }
}

/// Who vouches for a certificate can end before it does.
#[test]
fn a_chain_is_good_until_the_first_of_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, file) = (Maker::new("ours"), directory.path().join("ca.crt"));
    fs::write(&file, ours.pem()).unwrap();
    let authority = Authority::open(&file, Arc::new(aws_lc_rs::default_provider())).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "between");
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2030, 12, 31));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &ours.issuer).unwrap();
    let between = Maker { issuer: Issuer::new(params, key), certificate };
    let mut made = between.make("till", 2_090);
    made.chain.push(between.certificate.der().clone());
    let at = |unix| authority.judge(Some(&made.chain), UnixTime::since_unix_epoch(Duration::from_secs(unix)));
    let Shown::Good(certificate) = at(1_800_000_000) else { panic!("it is good") };
    assert_eq!(certificate.until / 86_400, 22_279, "the last day of 2030");
    assert!(matches!(at(certificate.until + 1), Shown::Bad(words) if words.contains("has ended")));
}

#[test]
fn a_file_of_clients_that_is_not_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (maker, file) = (Maker::new("ours"), directory.path().join("clients.toml"));
    let (one, other) = (maker.make("one", 2_090), maker.make("other", 2_090));
    assert!(Clients::open(&file).is_ok(), "one that is not there has nobody");
    let twice = listed(&[("a", &one, ""), ("a", &other, "")]);
    let same = listed(&[("a", &one, ""), ("b", &one, "")]);
    for wrong in ["", "millrace_clients = 2", "millrace_clients = 1\nmore = 1", "[[client]]", &twice, &same] {
        private(&file, wrong);
        assert!(matches!(Clients::open(&file), Err(TokenError::Content { .. })), "{wrong:?}");
    }
    private(&file, &listed(&[("a", &one, "\"read\"")]));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Clients::open(&file), Err(TokenError::Mode { .. })));
}

/// Beyond this machine administration takes a certificate, and one of those that are known.
#[test]
fn administration_from_elsewhere_takes_a_certificate_as_well() {
    let rig = Rig::new();
    let ours = Maker::new("ours");
    let (ops, till) = (ours.make("ops", 2_090), ours.make("till", 2_090));
    let place = |name: &str| rig.directory.path().join(name);
    fs::write(place("ca.crt"), ours.pem()).unwrap();
    private(&place("clients.toml"), &listed(&[("ops", &ops, "\"admin\""), ("till", &till, "\"read\"")]));
    let mut doors = rig.doors("0.0.0.0:0");
    doors.tls = Some(tls_in(rig.directory.path(), &ours));
    doors.clients = Some(ClientFiles { authority: place("ca.crt"), clients: place("clients.toml") });
    let running = rig.start(doors.clone()).unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], running.admin[0].port()));
    let token = format!("GET /v1/silences HTTP/1.1\r\nAuthorization: Bearer {}\r\nX-Rest:", rig.admin);
    for (shows, request, status, words) in [
        (None, "GET /v1/silences", 401, "no client certificate was shown"),
        (None, token.as_str(), 401, "no client certificate was shown"),
        (Some(&till), "GET /v1/silences", 403, "the certificate till allows read"),
        (Some(&till), token.as_str(), 200, "silences"),
        (Some(&ops), "GET /v1/silences", 200, "silences"),
    ] {
        let (found, body) = crate::testing::run(asked(to, &ours, shows, (request, "")));
        assert!(found == status && body.contains(words), "{request}: {found}: {body}");
    }
    assert_eq!(rig.steward.heard(), [Recorded::Silences, Recorded::Silences]);
    let reads = rig.reads();
    let of = |outcome: &str| -> Vec<_> {
        let of_it = reads.iter().filter(|line| line["outcome"] == outcome);
        of_it.map(|line| line["who"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of("done"), ["token ops with certificate till", "certificate ops"]);
    assert_eq!(of("refused")[0], "unknown", "without a certificate; the next line comes a second later");
    assert!(reads[0]["why"].as_str().unwrap().contains("no client certificate was shown"), "{reads:?}");
    // Whose certificate it is that comes with a wrong token. A new start, so that this refusal has a line.
    drop(running);
    let running = rig.start(doors).unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], running.admin[0].port()));
    let wrong = "GET /v1/silences HTTP/1.1\r\nAuthorization: Bearer mr_00\r\nX-Rest:";
    assert_eq!(crate::testing::run(asked(to, &ours, Some(&ops), (wrong, ""))).0, 401);
    assert_eq!(rig.reads().last().unwrap()["who"], "certificate ops");
}
