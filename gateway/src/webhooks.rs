//! Webhooks: each alarm that the node raises or clears is posted to every configured address, as JSON.
//!
//! ```text
//! node's status, once a second ─▶ what has changed ─▶ a queue for each address ─▶ POST, again until it is taken
//! ```
//!
//! Invariants: an event is posted at least once and in order, as long as an address is not away for longer than
//! [`QUEUE_MAX`] events last; of more, the oldest are dropped, and the next event says how many. After a start every
//! alarm that there is counts as raised. An event that an address still refuses (4xx, but for 408 and 429) after
//! [`REFUSED_MAX`] is given up, so that it does not keep the later ones waiting. Each address waits for itself. Over
//! TLS the authorities count that the system trusts (`SSL_CERT_FILE` names others).

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::uri::{Scheme, Uri};
use axum::http::{Request, StatusCode};
use client::Query;
use client::answers::{AlarmAnswer, AlarmKind, StatusAnswer};
use engine::types::ValidatorIndex;
use hyper_util::rt::TokioIo;
use kernels::sha2::sha256;
use prometheus_client::metrics::counter::Counter;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::gateway::Gateway;
use crate::rest::JSON;

/// How often the node is asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Events that wait for one address.
const QUEUE_MAX: usize = 256;
/// How long an address may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a failure it is tried again after this time, which doubles…
const RETRY_MIN: Duration = Duration::from_millis(500);
/// …up to this.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How long an event is tried again that an address refuses: so long it may take to set up a receiver anew, which
/// refuses what it does not know yet.
const REFUSED_MAX: Duration = Duration::from_secs(300);

/// An address that is posted to: `http://` or `https://`, a host and a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook(Uri);

/// An address to which nothing can be posted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address to post to: write https://HOST:PORT/PATH; http:// is for 127.0.0.1, \
         [::1] and localhost only"
)]
pub struct NoWebhook(pub String);

impl std::str::FromStr for Webhook {
    type Err = NoWebhook;

    fn from_str(text: &str) -> Result<Self, NoWebhook> {
        let uri: Option<Uri> = text.parse().ok();
        let is_usable = |uri: &Uri| {
            let authority = uri.authority().map(|of| of.as_str());
            let is_spoken = [Scheme::HTTP, Scheme::HTTPS].iter().any(|scheme| uri.scheme() == Some(scheme));
            let is_private = uri.scheme() == Some(&Scheme::HTTPS) || uri.host().is_some_and(is_here);
            is_spoken && is_private && authority.is_some_and(|of| !of.contains('@'))
        };
        uri.filter(is_usable).map(Self).ok_or_else(|| NoWebhook(text.to_owned()))
    }
}

/// Whether a host is this machine, so that nobody on the way reads what is sent there.
fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |ip| ip.to_canonical().is_loopback())
}

impl Webhook {
    /// The machine that it goes to.
    fn authority(&self) -> &str {
        self.0.authority().map(|of| of.as_str()).unwrap_or_default()
    }

    fn is_secure(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }
}

/// Without its path, which can be a secret, and logs are sent around: a digest of the whole tells two apart.
impl std::fmt::Display for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digest = hex::encode(sha256(self.0.to_string().as_bytes()));
        let scheme = self.0.scheme_str().unwrap_or_default();
        write!(f, "{scheme}://{}/… ({})", self.authority(), &digest[..8])
    }
}

type Key = (AlarmKind, Option<ValidatorIndex>);

/// What has changed from one look to the next: what was raised, what was silenced after that, and what was cleared.
/// An alarm that is silenced from its beginning is not posted. If it is still there when its silence ends, it is posted
/// as raised.
fn changes(
    before: &BTreeMap<Key, AlarmAnswer>,
    now: &BTreeMap<Key, AlarmAnswer>,
) -> Vec<(&'static str, AlarmAnswer)> {
    let rings = |of: Option<&AlarmAnswer>| of.filter(|of| of.silenced.is_none()).map(|of| of.severity);
    let of_now = now.iter().filter_map(|(key, alarm)| {
        let (then, is_silenced) = (rings(before.get(key)), alarm.silenced.is_some());
        let event = match then {
            Some(_) if is_silenced => Some("silenced"),
            _ if is_silenced || then == Some(alarm.severity) => None,
            _ => Some("raised"),
        };
        event.map(|event| (event, alarm.clone()))
    });
    let cleared =
        before.iter().filter(|(key, alarm)| !now.contains_key(*key) && rings(Some(alarm)).is_some());
    of_now.chain(cleared.map(|(_, alarm)| ("cleared", alarm.clone()))).collect()
}

/// Looks for alarms, and posts what changes, until the gateway ends.
pub async fn run(gateway: Arc<Gateway>, hooks: Vec<Webhook>) {
    // Reading them takes the disk, and only who posts over TLS needs them.
    let needs_tls = hooks.iter().any(Webhook::is_secure);
    let tls = if needs_tls { tokio::task::spawn_blocking(trusted).await.ok() } else { None };
    let queues: Vec<mpsc::UnboundedSender<Value>> = hooks
        .into_iter()
        .map(|hook| {
            let (sender, queue) = mpsc::unbounded_channel();
            let given_up = gateway.meters.webhooks_given_up.clone();
            tokio::spawn(deliver(hook, queue, (tls.clone(), given_up), REFUSED_MAX));
            sender
        })
        .collect();
    let mut before = BTreeMap::new();
    loop {
        // What cannot be asked has not changed.
        if let Some(status) = asked(&gateway).await {
            let now: BTreeMap<Key, AlarmAnswer> =
                status.alarms.iter().map(|alarm| ((alarm.alarm, alarm.about), alarm.clone())).collect();
            for (event, alarm) in changes(&before, &now) {
                let body = json!({
                    "event": event,
                    "alarm": alarm,
                    "network": status.network_name,
                    "network_id": status.network,
                    "validator": status.name,
                    "height": status.committed,
                });
                queues.iter().for_each(|queue| drop(queue.send(body.clone())));
            }
            before = now;
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn asked(gateway: &Gateway) -> Option<StatusAnswer> {
    serde_json::from_slice(&gateway.desk.ask(Query::Status).await.ok()?.body).ok()
}

/// TLS with the authorities that the system trusts. Without any, no address is trusted.
fn trusted() -> TlsConnector {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!("some authorities of the system cannot be read: {error}");
    }
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        tracing::warn!(
            "the system trusts no authority, so no alarm can be posted over TLS: install ca-certificates"
        );
    }
    connector(roots)
}

fn connector(roots: RootCertStore) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Posts what waits for one address, in order; what it refuses, for so long.
async fn deliver(
    hook: Webhook,
    mut queue: mpsc::UnboundedReceiver<Value>,
    (tls, given_up): (Option<TlsConnector>, Counter),
    refused_max: Duration,
) {
    // Since when the event at the front is refused.
    let mut refused: Option<Instant> = None;
    let (mut waiting, mut dropped, mut retry) = (VecDeque::new(), 0_u64, RETRY_MIN);
    let mut said = false;
    loop {
        if waiting.is_empty() {
            let Some(event) = queue.recv().await else { return };
            waiting.push_back(event);
        }
        while let Ok(event) = queue.try_recv() {
            waiting.push_back(event);
            if waiting.len() > QUEUE_MAX {
                waiting.pop_front();
                dropped += 1;
                refused = None;
            }
        }
        let Some(event) = waiting.front() else { continue };
        let mut event = event.clone();
        if dropped > 0 {
            event["dropped"] = dropped.into();
        }
        match post(&hook, &event, tls.as_ref()).await {
            Ok(()) => {
                waiting.pop_front();
                (dropped, retry, said, refused) = (0, RETRY_MIN, false, None);
            }
            Err(NotTaken::Refused(error))
                if refused.get_or_insert_with(Instant::now).elapsed() >= refused_max =>
            {
                tracing::warn!(%hook, "an alarm cannot be posted, and is given up: {error}");
                given_up.inc();
                waiting.pop_front();
                // Nobody has read how many were dropped, so the next event says it.
                (retry, said, refused) = (RETRY_MIN, false, None);
            }
            Err(NotTaken::Yet(error) | NotTaken::Refused(error)) => {
                if !said {
                    tracing::warn!(%hook, "an alarm cannot be posted, and is tried again: {error}");
                }
                said = true;
                sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
            }
        }
    }
}

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NotTaken {
    /// It may be taken later.
    Yet(String),
    /// The address refuses it: because of what it says, or because the address is not as it should be.
    Refused(String),
}

/// Posts one event.
async fn post(hook: &Webhook, event: &Value, tls: Option<&TlsConnector>) -> Result<(), NotTaken> {
    let path = hook.0.path_and_query().map_or("/", |of| of.as_str());
    let request = Request::post(path)
        .header(HOST, hook.authority())
        .header(CONTENT_TYPE, JSON)
        .body(Body::from(event.to_string()))
        .map_err(yet)?;
    let posted = async {
        let port = hook.0.port_u16().unwrap_or(if hook.is_secure() { 443 } else { 80 });
        let host = hook.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(yet)?.collect();
        let stream = TcpStream::connect(&addresses[..]).await.map_err(yet)?;
        if !hook.is_secure() {
            return send(stream, request).await;
        }
        let tls = tls.ok_or_else(|| yet("TLS is not there"))?;
        let name = ServerName::try_from(host.to_owned()).map_err(yet)?;
        send(tls.connect(name, stream).await.map_err(yet)?, request).await
    };
    timeout(PATIENCE, posted).await.map_err(|_| yet(format!("it does not answer within {PATIENCE:?}")))?
}

fn yet(error: impl ToString) -> NotTaken {
    NotTaken::Yet(error.to_string())
}

/// Sends a request over a connection of its own; whether it was taken.
async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Body>,
) -> Result<(), NotTaken> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(yet)?;
    let serving = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(yet);
    serving.abort();
    match answer?.status() {
        status if status.is_success() => Ok(()),
        // These two say that it may be tried again.
        status if [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status) => {
            Err(yet(format!("it answers {status}")))
        }
        status if status.is_client_error() => Err(NotTaken::Refused(format!("it answers {status}"))),
        status => Err(yet(format!("it answers {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use client::answers::{Severity, SilenceAnswer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn alarm(alarm: AlarmKind, severity: Severity) -> (Key, AlarmAnswer) {
        (
            (alarm, None),
            AlarmAnswer { alarm, severity, about: None, since: 1, says: "so".to_owned(), silenced: None },
        )
    }

    #[test]
    fn only_changes_are_told() {
        let before = BTreeMap::from([
            alarm(AlarmKind::DiskFills, Severity::Warning),
            alarm(AlarmKind::Lagging, Severity::Warning),
            alarm(AlarmKind::DiskRots, Severity::Critical),
        ]);
        let now = BTreeMap::from([
            alarm(AlarmKind::DiskFills, Severity::Critical),
            alarm(AlarmKind::DiskRots, Severity::Critical),
            alarm(AlarmKind::NoCommits, Severity::Critical),
        ]);
        let told: Vec<_> = changes(&before, &now).into_iter().map(|(event, of)| (event, of.alarm)).collect();
        let expected = [
            ("raised", AlarmKind::NoCommits),
            ("raised", AlarmKind::DiskFills),
            ("cleared", AlarmKind::Lagging),
        ];
        assert_eq!(told, expected);
        assert_eq!(changes(&now, &now), []);
    }

    #[test]
    fn what_is_silenced_is_told_once_and_rings_again_when_its_silence_ends() {
        let silence = |(key, alarm): (Key, AlarmAnswer)| {
            let silenced = Some(SilenceAnswer { until: 9, reason: "moved".to_owned() });
            (key, AlarmAnswer { silenced, ..alarm })
        };
        let events = |before: &[(Key, AlarmAnswer)], now: &[(Key, AlarmAnswer)]| -> Vec<&'static str> {
            let of = |of: &[(Key, AlarmAnswer)]| of.iter().cloned().collect();
            changes(&of(before), &of(now)).into_iter().map(|(event, _)| event).collect()
        };
        let rings = alarm(AlarmKind::DiskFills, Severity::Warning);
        let worse = alarm(AlarmKind::DiskFills, Severity::Critical);
        let [silent, silent_worse] = [&rings, &worse].map(|alarm| silence(alarm.clone()));
        assert_eq!(events(&[], std::slice::from_ref(&silent)), [""; 0]);
        assert_eq!(events(std::slice::from_ref(&rings), std::slice::from_ref(&silent)), ["silenced"]);
        assert_eq!(events(std::slice::from_ref(&silent), std::slice::from_ref(&silent_worse)), [""; 0]);
        assert_eq!(events(std::slice::from_ref(&silent_worse), std::slice::from_ref(&worse)), ["raised"]);
        assert_eq!(events(std::slice::from_ref(&silent), &[]), [""; 0], "nobody was told of it");
    }

    #[test]
    fn an_address_is_one_that_can_be_posted_to() {
        for good in [
            "http://127.0.0.1:9000/hook",
            "http://[::1]:9000/",
            "http://localhost/",
            "https://relay.example/a?b=c",
        ] {
            assert!(good.parse::<Webhook>().is_ok(), "{good}");
        }
        for bad in [
            "127.0.0.1:9000",
            "/hook",
            "",
            "https://user:secret@a.example/",
            "ftp://a/",
            "http://relay.example/",
            "http://10.0.0.7:9000/",
            "http://127.0.0.1.example/",
        ] {
            assert_eq!(bad.parse::<Webhook>(), Err(NoWebhook(bad.to_owned())));
        }
    }

    #[test]
    fn the_path_of_an_address_is_in_no_log() {
        let shown = |text: &str| text.parse::<Webhook>().unwrap().to_string();
        let (one, other) =
            (shown("https://a.example:8443/T0/s3cr3t?k=1"), shown("https://a.example:8443/T0/other"));
        assert!(one.starts_with("https://a.example:8443/… (") && !one.contains("s3cr3t"), "{one}");
        assert_ne!(one, other);
    }

    /// An address that is listened at.
    async fn hook() -> (TcpListener, Webhook) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook = format!("http://{}/hook", listener.local_addr().unwrap()).parse().unwrap();
        (listener, hook)
    }

    /// Answers one event, and says what was posted.
    async fn answer(listener: &TcpListener, status: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            request.push(stream.read_u8().await.unwrap());
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    }

    #[test]
    fn what_is_refused_is_posted_again_for_a_while() {
        crate::testing::run(async {
            let (listener, hook) = hook().await;
            let (sender, queue) = mpsc::unbounded_channel();
            let given_up = Counter::default();
            tokio::spawn(deliver(hook, queue, (None, given_up.clone()), REFUSED_MAX));
            (1..=2).for_each(|number| sender.send(json!({ "number": number })).unwrap());
            for (status, number) in [("404 Not yet", 1), ("401 Not yet", 1), ("200 OK", 1), ("200 OK", 2)] {
                let request = answer(&listener, status).await;
                assert!(request.ends_with(&format!("{{\"number\":{number}}}")), "{request}");
            }
            assert_eq!(given_up.get(), 0);
        });
    }

    #[test]
    fn how_many_were_dropped_is_said_until_an_event_that_says_it_is_taken() {
        crate::testing::run(async {
            let (listener, hook) = hook().await;
            let (sender, queue) = mpsc::unbounded_channel();
            (0..QUEUE_MAX + 3).for_each(|number| sender.send(json!({ "number": number })).unwrap());
            tokio::spawn(deliver(hook, queue, (None, Counter::default()), Duration::ZERO));
            for (status, says) in [("400 No", true), ("200 OK", true), ("200 OK", false)] {
                let request = answer(&listener, status).await;
                assert_eq!(request.contains("\"dropped\":3"), says, "{request}");
            }
        });
    }

    /// An address that fails first gets every event, in order, and each at least once.
    #[test]
    fn what_is_not_taken_is_posted_again() {
        crate::testing::run(async {
            let (listener, hook) = hook().await;
            let (sender, queue) = mpsc::unbounded_channel();
            let given_up = Counter::default();
            tokio::spawn(deliver(hook, queue, (None, given_up.clone()), Duration::ZERO));
            (1..=4).for_each(|number| sender.send(json!({ "number": number })).unwrap());
            // The second one is refused for too long, and keeps nobody waiting; the third is to come again.
            let answers = [
                ("503 No", 1),
                ("200 OK", 1),
                ("400 Never", 2),
                ("429 Later", 3),
                ("408 Later", 3),
                ("204 Yes", 3),
                ("410 Gone", 4),
            ];
            for (status, number) in answers {
                let request = answer(&listener, status).await;
                assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
                assert!(request.ends_with(&format!("{{\"number\":{number}}}")), "{request}");
            }
            while given_up.get() < 2 {
                tokio::task::yield_now().await;
            }
        });
    }
    /// Over TLS an event goes only to an address whose certificate an authority vouches for.
    #[test]
    fn over_tls_only_an_address_that_is_trusted_gets_anything() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let (trusting, other) = (connector(roots), connector(RootCertStore::empty()));
        crate::testing::run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                    let mut request = Vec::new();
                    while !request.ends_with(b"}") {
                        request.push(stream.read_u8().await.unwrap());
                    }
                    stream.write_all(b"HTTP/1.1 204 Yes\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                }
            });
            let hook: Webhook = format!("https://localhost:{port}/hook").parse().unwrap();
            let event = json!({ "number": 1 });
            assert_eq!(post(&hook, &event, Some(&trusting)).await, Ok(()));
            let refused = format!("{:?}", post(&hook, &event, Some(&other)).await.unwrap_err());
            assert!(refused.starts_with("Yet") && refused.contains("certificate"), "{refused}");
            let elsewhere: Webhook = format!("https://127.0.0.1:{port}/hook").parse().unwrap();
            let refused = format!("{:?}", post(&elsewhere, &event, Some(&trusting)).await.unwrap_err());
            assert!(refused.contains("certificate"), "another name: {refused}");
        });
    }
}
