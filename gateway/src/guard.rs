//! What stands before every request: is it meant for this machine, does no foreign page send it, who sends it?
//!
//! ```text
//! room ─▶ Host ─▶ Origin ─▶ token or cookie ─▶ the handler, on a task of its own ─▶ headers that every answer has
//!  503     421     403         401, 403         a panic there is a 500, and nothing else ends
//! ```
//!
//! A page that a browser has loaded from elsewhere can make it call `127.0.0.1`. It cannot choose the `Host` of that
//! call (a name that was bound anew to this address stays in it), and it cannot hide its `Origin`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION,
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{Method, Response, StatusCode, Uri};
use axum::middleware::Next;
use kernels::sha2::{sha256, sha256_parts};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::certificates::Shown;
use crate::clock;
use crate::console::{CSRF_HEADER, FORMS, Session, cookie_name};
use crate::failure::{self, Failure};
use crate::gateway::{Gateway, Visitor};
use crate::operations::Caller;
use crate::rest::failed;
use crate::settings::Doors;
use crate::streams;
use crate::tokens::{Bearer, PREFIX};

/// Requests that are worked on at a time.
const REQUESTS_MAX: usize = 2_048;
/// Bytes of bodies that are held at a time.
const BODIES_BYTES_MAX: usize = 64 << 20;
/// How long a body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 256;

/// Where a connection comes from, and what it has shown.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address of the other side.
    pub address: SocketAddr,
    /// Its client certificate.
    pub shown: Shown,
}

/// What is checked, and the room that there is.
pub struct Guard {
    gateway: Arc<Gateway>,
    /// Names under which this machine may be called, in lower case and without ports.
    hosts: Vec<String>,
    origins: Vec<String>,
    requests: Arc<Semaphore>,
    bodies: Semaphore,
}

impl Guard {
    /// For a gateway.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let Doors { listen, hosts, origins, .. } = &gateway.settings.doors;
        let listened = listen.iter().map(|address| address.ip()).filter(|ip| !ip.is_unspecified());
        let listened = listened.map(|ip| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() });
        let hosts = listened.chain(["localhost".to_owned()]).chain(hosts.iter().map(|of| of.to_lowercase()));
        let (hosts, origins) = (hosts.collect(), origins.iter().map(|of| of.to_lowercase()).collect());
        let (requests, bodies) = (Arc::new(Semaphore::new(REQUESTS_MAX)), Semaphore::new(BODIES_BYTES_MAX));
        Self { gateway, hosts, origins, requests, bodies }
    }

    /// Who sends a request, if it may be sent here at all.
    fn admit(&self, request: &Request, peer: Option<&Peer>) -> Result<Visitor, Failure> {
        let authority = authority(request.headers(), request.uri());
        if !self.hosts.iter().any(|host| *host == name_of(&authority)) {
            let shown: String = authority.chars().take(64).collect();
            let message = format!(
                "the host {shown:?} is not one under which this gateway is called: name it in its configuration, or use \
                 the address on which it listens"
            );
            return Err(Failure::new(failure::WRONG_HOST, message));
        }
        if let Some(origin) = request.headers().get(ORIGIN)
            && !self.knows(origin, &authority)
        {
            let message =
                "a page of another origin may not call this gateway, unless its configuration names it";
            return Err(Failure::new(failure::WRONG_ORIGIN, message));
        }
        match bearer_of(request.headers()) {
            Some(shown) => self.bearer(shown),
            None if is_sent_from_elsewhere(request, peer) => Err(Failure::new(
                failure::WRONG_ORIGIN,
                "a page of another site has made the browser send this with its cookie or certificate: send it from a page \
                 of this gateway, or show a token",
            )),
            None => self.browser(request, &authority, peer),
        }
    }

    /// Whether pages of an origin may call: its own, and those that are named. A page that came without TLS is not one
    /// of a gateway that speaks it: anybody on the way can have written that page.
    fn knows(&self, origin: &HeaderValue, authority: &str) -> bool {
        let Ok(origin) = origin.to_str().map(str::to_lowercase) else { return false };
        let takes_plain = self.gateway.settings.doors.tls.is_none();
        let is_own = origin
            .split_once("://")
            .is_some_and(|(scheme, of)| of == authority && (scheme == "https" || takes_plain));
        is_own || self.origins.contains(&origin)
    }

    /// Whether a browser is to call this name over TLS alone from now on. Not `localhost`: a browser would take that
    /// for every program on its machine.
    fn keeps_tls(&self, request: &Request) -> bool {
        let called = authority(request.headers(), request.uri());
        self.gateway.settings.doors.tls.is_some() && name_of(&called) != "localhost"
    }

    /// Who shows a token, or something else in its place.
    fn bearer(&self, shown: Option<&str>) -> Result<Visitor, Failure> {
        let wrong = |words: &str| Failure::new(failure::UNAUTHORIZED, words);
        let token = shown.filter(|token| token.starts_with(PREFIX) && token.len() <= TOKEN_BYTES_MAX);
        let token = token.ok_or_else(|| wrong("write Authorization: Bearer, and a token of this gateway"))?;
        let tokens = self.gateway.tokens.as_ref();
        let tokens = tokens.ok_or_else(|| wrong("this gateway has no tokens: leave out Authorization"))?;
        let hash = sha256(token.as_bytes());
        let found = tokens.find_hash(&hash, self.gateway.started.elapsed(), clock::unix_seconds());
        let found =
            found.ok_or_else(|| wrong("the token is unknown, revoked or expired: get another one"))?;
        let caller = caller("token", &found.name);
        let scopes = found.scopes;
        Ok(Visitor { caller, scopes, token: Some(hash), certificate: None, session: None })
    }

    /// Who shows no token: a browser that has signed in, who holds a certificate, or somebody at an address.
    fn browser(&self, request: &Request, authority: &str, peer: Option<&Peer>) -> Result<Visitor, Failure> {
        let Some((session, token, bearer)) = self.signed_in(request.headers(), authority) else {
            if let Some(holder) = self.holder(peer)? {
                return Ok(holder);
            }
            let address = peer.map(|peer| peer.address.ip().to_canonical().to_string()).unwrap_or_default();
            let (caller, scopes) = (caller("address", &address), self.gateway.settings.doors.anonymous);
            return Ok(Visitor { caller, scopes, token: None, certificate: None, session: None });
        };
        // Browsers send cookies by themselves, so a cookie alone may read and not write.
        let is_form = FORMS.contains(&request.uri().path());
        if !reads(request) && !is_form && !session.has_shown_csrf(request.headers()) {
            let message = format!(
                "a request with a cookie that changes something must carry the header {CSRF_HEADER}; programs show a \
                 token instead"
            );
            return Err(Failure::new(failure::FORBIDDEN, message));
        }
        let caller = caller("token", &bearer.name);
        let (scopes, token, session) = (bearer.scopes, Some(token), Some(session));
        Ok(Visitor { caller, scopes, token, certificate: None, session })
    }

    /// Who holds the certificate of a connection, if one was shown.
    fn holder(&self, peer: Option<&Peer>) -> Result<Option<Visitor>, Failure> {
        let certificate = match peer.map(|peer| &peer.shown) {
            None | Some(Shown::Nothing) => return Ok(None),
            Some(Shown::Bad(words)) => return Err(Failure::new(failure::UNAUTHORIZED, words)),
            Some(Shown::Good(certificate)) => *certificate,
        };
        let (now, unix) = (self.gateway.started.elapsed(), clock::unix_seconds());
        let found = self.gateway.clients.as_ref().and_then(|clients| clients.find(&certificate, now, unix));
        let found = found.ok_or_else(|| {
            let key = hex::encode(certificate.key);
            let words = format!(
                "the client certificate has ended, or its key {key} is not in the file of clients: show another one, or \
                 have it added"
            );
            Failure::new(failure::UNAUTHORIZED, words)
        })?;
        let (caller, scopes) = (caller("certificate", &found.name), found.scopes);
        Ok(Some(Visitor { caller, scopes, token: None, certificate: Some(certificate), session: None }))
    }

    /// The session of a request, whose token is still good: with the hash of that, and what it allows.
    fn signed_in(&self, headers: &HeaderMap, authority: &str) -> Option<(Session, [u8; 32], Bearer)> {
        let name = cookie_name("session", authority, self.gateway.settings.doors.tls.is_some());
        let (session, token) = self.gateway.console.sessions.find(headers, &name, clock::unix_seconds())?;
        let tokens = self.gateway.tokens.as_ref()?;
        let bearer = tokens.find_hash(&token, self.gateway.started.elapsed(), clock::unix_seconds())?;
        Some((session, token, bearer))
    }

    /// Reads a body, of at most so many bytes.
    ///
    /// # Errors
    /// A [`Failure`]: it is too large, too slow, or there is no room for it.
    pub async fn body(&self, headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, Failure> {
        let too_large = || Failure::new(failure::TOO_LARGE, format!("the body has more than {most} bytes"));
        let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if said.is_some_and(|said| said > most) {
            return Err(too_large());
        }
        let room = said.unwrap_or(most).max(1) as u32;
        let full = || Failure::unavailable("too many bodies are being read; ask again later");
        let _room = self.bodies.try_acquire_many(room).map_err(|_| full())?;
        match timeout(BODY_PATIENCE, to_bytes(body, most)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) if error.to_string().contains("length limit") => Err(too_large()),
            Ok(Err(error)) => {
                Err(Failure::new(failure::INVALID_REQUEST, format!("the body cannot be read: {error}")))
            }
            Err(_) => {
                let message = format!("the body did not come within {BODY_PATIENCE:?}");
                Err(Failure::new(failure::TOO_SLOW, message))
            }
        }
    }
}

/// The token that a request shows, or `Some(None)` where it shows something else. A page of a browser cannot set the
/// header of a WebSocket, and names it among the protocols.
pub fn bearer_of(headers: &HeaderMap) -> Option<Option<&str>> {
    let Some(shown) = headers.get(AUTHORIZATION) else { return streams::token(headers).map(Some) };
    Some(shown.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }))
}

/// The header in which a browser says which page has made it send a request. No page can set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request only reads.
fn reads(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a browser says that another site has made it send this, which changes something, with what browsers send by
/// themselves: a cookie or a certificate. Programs and old browsers say nothing: for those the other checks stand.
fn is_sent_from_elsewhere(request: &Request, peer: Option<&Peer>) -> bool {
    let headers = request.headers();
    let site = headers.get(&SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    let is_elsewhere = site.is_some_and(|site| site != b"same-origin" && site != b"none");
    let has_certificate = peer.is_some_and(|peer| peer.shown != Shown::Nothing);
    is_elsewhere && !reads(request) && (has_certificate || headers.contains_key(COOKIE))
}

/// Where a request says that it goes.
pub fn authority(headers: &HeaderMap, uri: &Uri) -> String {
    let said = headers.get(HOST).and_then(|host| host.to_str().ok());
    said.or_else(|| uri.authority().map(axum::http::uri::Authority::as_str))
        .unwrap_or_default()
        .to_lowercase()
}

/// An authority without its port.
pub fn name_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    }
}

/// A number for somebody, which says nothing of them.
pub fn caller(what: &str, who: &str) -> Caller {
    let hash = sha256_parts(&[what.as_bytes(), b" ", who.as_bytes()]);
    Caller(u64::from_le_bytes(*hash.first_chunk().expect("a hash is longer")))
}

/// The layer around all handlers.
pub async fn guard(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response<Body> {
    let meters = &guard.gateway.meters;
    let keeps_tls = guard.keeps_tls(&request);
    let refuse = |failure: Failure| {
        meters.failed(failure.kind);
        decorated(failed(&failure), None, keeps_tls)
    };
    // Everybody is told whether the gateway lives.
    let is_probe = matches!(request.uri().path(), "/health" | "/ready");
    let Ok(room) = guard.requests.clone().try_acquire_owned() else {
        return refuse(Failure::unavailable("too many requests are being worked on; ask again later"));
    };
    let peer = request.extensions().get::<Peer>().cloned();
    let origin = request.headers().get(ORIGIN).cloned();
    if !is_probe {
        match guard.admit(&request, peer.as_ref()) {
            Err(failure) => return refuse(failure),
            Ok(_) if request.method() == Method::OPTIONS => return preflight(origin, keeps_tls),
            Ok(visitor) => request.extensions_mut().insert(visitor),
        };
    }
    // A panic ends this task alone. The task goes on when its caller is gone, so the room is its own.
    let task = async move {
        let response = next.run(request).await;
        drop(room);
        response
    };
    match tokio::spawn(task).await {
        Ok(response) => decorated(response, origin, keeps_tls),
        Err(error) => {
            tracing::error!("a request has met a defect of the gateway: {error}");
            refuse(Failure::new(
                failure::INTERNAL,
                "the gateway has met a defect of its own; please report it",
            ))
        }
    }
}

/// For how long a browser calls a name over TLS alone: a day. It does so at all ports of the name, also at those of
/// other programs, so a mistake must end soon.
const KEEPS_TLS: &str = "max-age=86400";

/// What a browser asks before a page of another origin calls.
fn preflight(origin: Option<HeaderValue>, keeps_tls: bool) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
    decorated(response, origin, keeps_tls)
}

/// The headers that every answer has.
fn decorated(mut response: Response<Body>, origin: Option<HeaderValue>, keeps_tls: bool) -> Response<Body> {
    let headers = response.headers_mut();
    if keeps_tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(KEEPS_TLS));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Pages of the console have policies of their own.
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'self'; frame-ancestors 'none'");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_stands_before_the_port() {
        for (authority, name) in [
            ("localhost:7480", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:7480", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1", "127.0.0.1"),
            ("evil.example:80:7480", "evil.example:80"),
            ("", ""),
        ] {
            assert_eq!(name_of(authority), name);
        }
    }

    /// What a request to a path is answered with by handlers behind the guard.
    async fn answered(guard: &Arc<Guard>, path: &str, headers: &[(&str, &str)]) -> StatusCode {
        use axum::routing::get;
        let panics = || async {
            assert!(path_is_good(), "a defect");
            "never"
        };
        let router = axum::Router::new().route("/good", get(|| async { "good" })).route("/bad", get(panics));
        let router = router.layer(axum::middleware::from_fn_with_state(guard.clone(), super::guard));
        let request = headers
            .iter()
            .fold(axum::http::Request::get(path), |request, (name, value)| request.header(*name, *value));
        let service = hyper_util::service::TowerToHyperService::new(router);
        let answer = hyper::service::Service::call(&service, request.body(Body::empty()).unwrap());
        answer.await.unwrap().status()
    }

    fn path_is_good() -> bool {
        std::thread::current().name() == Some("no thread has this name")
    }

    /// A guard before a node that nobody can reach. Within a runtime.
    fn guarded(tls: Option<crate::TlsFiles>) -> Arc<Guard> {
        let doors = Doors {
            listen: vec!["127.0.0.1:7480".parse().unwrap()],
            tls,
            hosts: vec!["Mill.Example".to_owned()],
            origins: vec!["https://shop.example".to_owned()],
            ..Doors::default()
        };
        Arc::new(Guard::new(Arc::new(crate::gateway::tests::alone(doors))))
    }

    #[test]
    fn a_page_that_came_without_tls_is_not_one_of_a_gateway_that_speaks_it() {
        crate::testing::run(async {
            let files = || crate::TlsFiles { certificate: "tls.crt".into(), private_key: "tls.key".into() };
            for (tls, origin, is_known) in [
                (None, "http://mill.example", true),
                // Something before it may speak TLS for it.
                (None, "https://mill.example", true),
                (Some(files()), "https://mill.example", true),
                (Some(files()), "http://mill.example", false),
                (Some(files()), "null", false),
            ] {
                let knows = guarded(tls).knows(&HeaderValue::from_static(origin), "mill.example");
                assert_eq!(knows, is_known, "{origin}");
            }
        });
    }

    #[test]
    fn what_another_site_makes_a_browser_send_with_its_cookie_is_refused() {
        for (method, site, cookie, is_refused) in [
            ("POST", Some("cross-site"), true, true),
            ("POST", Some("same-site"), true, true),
            ("DELETE", Some("something new"), true, true),
            ("POST", Some("same-origin"), true, false),
            ("POST", Some("none"), true, false),
            ("POST", None, true, false),
            ("POST", Some("cross-site"), false, false),
            ("GET", Some("cross-site"), true, false),
        ] {
            let mut request = axum::http::Request::builder().method(method).uri("/rpc");
            if let Some(site) = site {
                request = request.header("Sec-Fetch-Site", site);
            }
            if cookie {
                request = request.header("Cookie", "millrace-session-7480=00");
            }
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(is_sent_from_elsewhere(&request, None), is_refused, "{method} {site:?} {cookie}");
            let address = "127.0.0.1:7".parse().unwrap();
            let peer = Peer { address, shown: Shown::Bad(String::new()) };
            let with = is_sent_from_elsewhere(&request, Some(&peer));
            assert_eq!(
                with,
                is_refused || (!cookie && method == "POST"),
                "{method} {site:?} with a certificate"
            );
        }
    }

    #[test]
    fn with_tls_a_browser_is_told_to_keep_to_it() {
        crate::testing::run(async {
            let files = crate::TlsFiles { certificate: "tls.crt".into(), private_key: "tls.key".into() };
            for (tls, host, is_told) in [
                (None, "mill.example", false),
                (Some(files.clone()), "mill.example:7480", true),
                (Some(files.clone()), "elsewhere.example", true),
                (Some(files), "localhost:7480", false),
            ] {
                let router = axum::Router::new().route("/good", axum::routing::get(|| async { "good" }));
                let router = router.layer(axum::middleware::from_fn_with_state(guarded(tls), super::guard));
                let service = hyper_util::service::TowerToHyperService::new(router);
                let request = axum::http::Request::get("/good").header("host", host);
                let answer = hyper::service::Service::call(&service, request.body(Body::empty()).unwrap());
                let headers = answer.await.unwrap().headers().clone();
                let told = headers.get(STRICT_TRANSPORT_SECURITY).map(|of| of.to_str().unwrap());
                // For a day: it counts for all ports of the name, and so for other programs.
                assert_eq!(told, is_told.then_some("max-age=86400"), "{host}");
            }
        });
    }

    #[test]
    fn who_goes_away_has_its_room_until_its_work_is_done() {
        use tokio::sync::Notify;
        crate::testing::run(async {
            let (guard, begun, end) = (guarded(None), Arc::new(Notify::new()), Arc::new(Notify::new()));
            let (of_begun, of_end) = (begun.clone(), end.clone());
            let slow = move || {
                let (begun, end) = (of_begun.clone(), of_end.clone());
                async move {
                    begun.notify_one();
                    end.notified().await;
                    "done"
                }
            };
            let router = axum::Router::new().route("/slow", axum::routing::get(slow));
            let router = router.layer(axum::middleware::from_fn_with_state(guard.clone(), super::guard));
            let service = hyper_util::service::TowerToHyperService::new(router);
            let request = axum::http::Request::get("/slow").header("host", "mill.example");
            let answer = hyper::service::Service::call(&service, request.body(Body::empty()).unwrap());
            tokio::select! {
                _ = answer => panic!("it is not done"),
                () = begun.notified() => {}
            }
            assert_eq!(guard.requests.available_permits(), REQUESTS_MAX - 1);
            end.notify_one();
            while guard.requests.available_permits() < REQUESTS_MAX {
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn a_panic_is_an_answer_and_nothing_else_ends() {
        crate::testing::run(async {
            let guard = guarded(None);
            let host = ("host", "mill.example:7480");
            assert_eq!(answered(&guard, "/bad", &[host]).await, StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(answered(&guard, "/good", &[host]).await, StatusCode::OK);
            assert_eq!(answered(&guard, "/good", &[]).await, StatusCode::MISDIRECTED_REQUEST);
            let page = ("origin", "https://shop.example");
            assert_eq!(answered(&guard, "/good", &[host, page]).await, StatusCode::OK);
            let other = ("origin", "https://shop.example.evil");
            assert_eq!(answered(&guard, "/good", &[host, other]).await, StatusCode::FORBIDDEN);
            let rooms: Vec<_> = (0..REQUESTS_MAX).map(|_| guard.requests.try_acquire().unwrap()).collect();
            assert_eq!(answered(&guard, "/good", &[host]).await, StatusCode::SERVICE_UNAVAILABLE);
            drop(rooms);
            assert_eq!(answered(&guard, "/good", &[host]).await, StatusCode::OK);
        });
    }

    #[test]
    fn callers_are_told_apart_and_not_named() {
        assert_ne!(caller("address", "10.0.0.1"), caller("address", "10.0.0.2"));
        assert_ne!(caller("address", "till"), caller("token", "till"));
    }
}
