use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::task::{Context, Waker};

use super::*;
use crate::certificates::tests::share;
use crate::gateway::tests::settings;
use crate::settings::Administration;
use crate::{Doors, Running, StartError, start};

/// What a node was asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Recorded {
    Silences,
    Silence(AlarmKind, Option<u16>, u64, String),
    Unsilence(AlarmKind, Option<u16>),
    Level(String),
}

/// A node that notes what it is asked.
#[derive(Default)]
pub(crate) struct Noting(Mutex<Vec<Recorded>>);

impl Noting {
    pub(crate) fn heard(&self) -> Vec<Recorded> {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, what: Recorded) {
        self.0.lock().unwrap().push(what);
    }
}

impl Steward for Noting {
    fn silences(&self) -> Result<Value, Denied> {
        self.note(Recorded::Silences);
        Ok(json!({ "silences": [] }))
    }

    fn silence(&self, of: (AlarmKind, Option<u16>), seconds: u64, reason: &str) -> Result<Value, Denied> {
        self.note(Recorded::Silence(of.0, of.1, seconds, reason.to_owned()));
        Ok(json!({}))
    }

    fn unsilence(&self, of: (AlarmKind, Option<u16>)) -> Result<Value, Denied> {
        self.note(Recorded::Unsilence(of.0, of.1));
        Err(Denied::NotFound("it is not silenced".to_owned()))
    }

    fn log_level(&self) -> Value {
        json!({ "level": "info" })
    }

    fn set_log_level(&self, level: &str) -> Result<Value, Denied> {
        self.note(Recorded::Level(level.to_owned()));
        Ok(json!({ "level": level }))
    }
}

/// A directory with tokens: one that may administer, and one that may do all else.
pub(crate) struct Rig {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) steward: Arc<Noting>,
    pub(crate) admin: String,
    other: String,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokens.toml");
        let all = [Scope::Read, Scope::Submit, Scope::Metrics];
        let made = TokenFile::change(&file, |tokens| {
            let admin = tokens.add(&file, "ops", &[Scope::Admin], 1 << 40)?;
            Ok((admin, tokens.add(&file, "shop", &all, 1 << 40)?))
        });
        let (admin, other) = made.unwrap();
        Self { directory, steward: Arc::default(), admin, other }
    }

    pub(crate) fn doors(&self, listen: &str) -> AdminDoors {
        AdminDoors {
            listen: vec![listen.parse().unwrap()],
            tokens: self.directory.path().join("tokens.toml"),
            tls: None,
            clients: None,
            hosts: Vec::new(),
            audit: self.directory.path().join("audit.log"),
        }
    }

    pub(crate) fn start(&self, doors: AdminDoors) -> Result<Running, StartError> {
        let public = Doors {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            tokens: Some(doors.tokens.clone()),
            ..Doors::default()
        };
        let (mut settings, host) = settings(public);
        settings.administration = Some(Administration { doors, steward: self.steward.clone() });
        start(settings, host, share())
    }

    /// The log of changes.
    pub(crate) fn audit(&self) -> Vec<Value> {
        self.lines("audit.log")
    }

    /// The log of reads and refusals.
    pub(crate) fn reads(&self) -> Vec<Value> {
        self.lines("audit.log.reads")
    }

    fn lines(&self, file: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.path().join(file)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A request with these headers; its status and its answer.
fn asked(to: SocketAddr, request: &str, headers: &[&str], body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(to).unwrap();
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    let head =
        format!("{request} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

const JSON_BODY: &str = "Content-Type: application/json";

#[test]
fn who_may_administer_does_and_each_call_is_in_the_audit_log() {
    let rig = Rig::new();
    let running = rig.start(rig.doors("127.0.0.1:0")).unwrap();
    let (to, host) = (running.admin[0], "Host: localhost");
    let token = format!("Authorization: Bearer {}", rig.admin);
    let get = |path: &str| asked(to, &format!("GET {path}"), &[host, &token], "");
    let post = |path: &str, body: Value| {
        asked(to, &format!("POST {path}"), &[host, &token, JSON_BODY], &body.to_string())
    };
    assert_eq!(get("/v1/silences").0, 200);
    let silence = json!({ "alarm": "peer_unreachable", "about": 2, "seconds": 60, "reason": "moved" });
    assert_eq!(post("/v1/silences", silence.clone()).0, 200);
    assert_eq!(post("/v1/silences/end", json!({ "alarm": "disk_fills" })).0, 404);
    assert_eq!(post("/v1/log-level", json!({ "level": "debug" })), (200, json!({ "level": "debug" })));
    assert_eq!(get("/v1/log-level"), (200, json!({ "level": "info" })));
    let (status, tokens) = get("/v1/tokens");
    let names: Vec<_> = tokens["tokens"].as_array().unwrap().iter().map(|of| &of["name"]).collect();
    assert_eq!((status, names), (200, vec![&json!("ops"), &json!("shop")]));
    assert!(!tokens.to_string().contains("mr_") && !tokens.to_string().contains("hash"));
    assert_eq!(post("/v1/tokens/revoke", json!({ "name": "shop" })).0, 200);
    assert_eq!(post("/v1/tokens/revoke", json!({ "name": "shop" })).0, 404);
    let heard = [
        Recorded::Silences,
        Recorded::Silence(AlarmKind::PeerUnreachable, Some(2), 60, "moved".to_owned()),
        Recorded::Unsilence(AlarmKind::DiskFills, None),
        Recorded::Level("debug".to_owned()),
    ];
    assert_eq!(rig.steward.heard(), heard);

    let (lines, reads) = (rig.audit(), rig.reads());
    assert!(
        lines.iter().chain(&reads).all(|line| line["who"] == "token ops" && line["time"].is_string()),
        "{lines:?}"
    );
    let said = |lines: &[Value]| -> Vec<String> {
        let words = |line: &Value| {
            format!("{} {}", line["call"].as_str().unwrap(), line["outcome"].as_str().unwrap())
        };
        lines.iter().map(words).collect()
    };
    assert_eq!(said(&reads), ["silences done", "log_level done", "tokens done"]);
    assert!(reads.iter().all(|line| line.get("what").is_none()), "{reads:?}");
    let expected = [
        "silence begun",
        "silence done",
        "unsilence begun",
        "unsilence refused",
        "set_log_level begun",
        "set_log_level done",
        "revoke_token begun",
        "revoke_token done",
        "revoke_token begun",
        "revoke_token refused",
    ];
    assert_eq!(said(&lines), expected);
    assert_eq!((&lines[0]["what"], &lines[0]["id"]), (&silence, &lines[1]["id"]));
    assert!(lines[3]["why"].as_str().unwrap().contains("not silenced"));
}

#[test]
fn nobody_else_administers_and_no_page_of_a_browser() {
    let rig = Rig::new();
    let running = rig.start(rig.doors("127.0.0.1:0")).unwrap();
    let (to, host) = (running.admin[0], "Host: localhost");
    let (token, other) =
        (format!("Authorization: Bearer {}", rig.admin), format!("Authorization: Bearer {}", rig.other));
    let get = |headers: &[&str]| asked(to, "GET /v1/tokens", headers, "").0;
    assert_eq!(get(&[host]), 401);
    assert_eq!(get(&[host, "Authorization: Bearer mr_00"]), 401);
    assert_eq!(get(&[host, &other]), 403, "it may read and submit, and not administer");
    assert_eq!(get(&["Host: evil.example", &token]), 421);
    assert_eq!(get(&[host, &token, "Origin: http://localhost"]), 403);
    assert_eq!(get(&[host, &token]), 200);
    let reads = rig.reads();
    let of = |outcome: &str| reads.iter().filter(|line| line["outcome"] == outcome).count();
    assert_eq!(
        (of("refused") >= 1, of("done")),
        (true, 1),
        "who may not is noted, and not each time: {reads:?}"
    );
    assert_eq!((&reads[0]["who"], &reads[0]["call"]), (&json!("unknown"), &json!("tokens")));
    let ask = |request: &str, headers: &[&str], body: &str| {
        asked(to, request, &[&[host, token.as_str()], headers].concat(), body).0
    };
    assert_eq!(ask("POST /v1/log-level", &[], "{}"), 415);
    assert_eq!(ask("POST /v1/log-level", &[JSON_BODY], "{"), 400);
    assert_eq!(ask("POST /v1/log-level", &[JSON_BODY], "{\"level\":\"info\",\"more\":1}"), 400);
    assert_eq!(ask("POST /v1/log-level", &[JSON_BODY], &" ".repeat(BODY_BYTES_MAX + 1)), 413);
    assert_eq!(ask("DELETE /v1/log-level", &[], ""), 405);
    assert_eq!(ask("GET /v1/tokens/revoke", &[], ""), 405);
    assert_eq!(ask("GET /v1/token", &[], ""), 404);
    assert_eq!(rig.steward.heard(), []);
    // The doors for everybody know nothing of it.
    let public = running.addresses[0];
    for path in ["/v1/tokens", "/v1/silences", "/v1/log-level"] {
        assert_eq!(asked(public, &format!("GET {path}"), &[host, &token], "").0, 404, "{path}");
    }
    assert_eq!(
        asked(public, "GET /console/genesis", &[host, &token], "").0,
        403,
        "admin alone reads nothing"
    );
    // Ten wrong tokens in a minute are enough, and one who has a good one does not suffer from them.
    let tries: Vec<u16> = (0..12).map(|_| get(&[host, "Authorization: Bearer mr_11"])).collect();
    assert!(tries.contains(&429) && !tries.contains(&200), "{tries:?}");
    assert_eq!(get(&[host, &token]), 200, "from the same address");
}

/// A request as a connection from this machine brings it.
fn request(token: &str, body: Body) -> Request {
    let request = axum::http::Request::post("/v1/log-level");
    let request = request.header("host", "localhost").header("authorization", format!("Bearer {token}"));
    let mut request = request.header("content-type", "application/json").body(body).unwrap();
    let peer = Peer { address: "127.0.0.1:9".parse().unwrap(), shown: Shown::Nothing };
    request.extensions_mut().insert(peer);
    request
}

/// A body that never comes.
fn no_body() -> Body {
    Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>())
}

#[test]
fn who_may_not_administer_is_refused_before_the_body_and_leaves_one_short_line() {
    let rig = Rig::new();
    let doors = rig.doors("127.0.0.1:0");
    crate::testing::run(async {
        let admin = Admin::open(&doors, rig.steward.clone(), Meters::new()).unwrap();
        let body = json!({ "level": "x".repeat(3_000) }).to_string();
        for number in 0..50 {
            let body = if number == 0 { no_body() } else { Body::from(body.clone()) };
            let refused = answered(&admin, request(&rig.other, body)).await.unwrap_err();
            assert_eq!(refused.kind, failure::FORBIDDEN);
        }
    });
    let reads = rig.reads();
    assert_eq!(
        (reads[0]["who"].clone(), reads[0]["outcome"].clone()),
        (json!("token shop"), json!("refused"))
    );
    assert!(reads.len() <= 10 && reads.iter().all(|line| line.get("what").is_none()), "{reads:?}");
    assert_eq!(rig.audit(), Vec::<Value>::new(), "no refusal pushes out what was changed");
}

#[test]
fn work_keeps_its_room_when_its_caller_is_gone() {
    let rig = Rig::new();
    let doors = rig.doors("127.0.0.1:0");
    crate::testing::run(async {
        let admin = Admin::open(&doors, rig.steward.clone(), Meters::new()).unwrap();
        // Nobody does the work until this is let go of.
        let held = rig.steward.0.lock().unwrap();
        let body = Body::from(json!({ "level": "debug" }).to_string());
        let mut call = Box::pin(answered(&admin, request(&rig.admin, body)));
        while fs::read_to_string(&doors.audit).unwrap().is_empty() {
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending(), "its work waits");
            std::thread::yield_now();
        }
        drop(call);
        assert_eq!(admin.calls.available_permits(), CALLS_MAX - 1);
        drop(held);
        while admin.calls.available_permits() < CALLS_MAX {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(rig.steward.heard(), [Recorded::Level("debug".to_owned())]);
}

#[test]
fn what_cannot_be_noted_is_not_done() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new();
    let running = rig.start(rig.doors("127.0.0.1:0")).unwrap();
    let token = format!("Authorization: Bearer {}", rig.admin);
    let file = rig.directory.path().join("audit.log");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let body = json!({ "level": "trace" }).to_string();
    let headers = ["Host: localhost", &token, JSON_BODY];
    let (status, answer) = asked(running.admin[0], "POST /v1/log-level", &headers, &body);
    assert_eq!((status, &answer["error"]["name"]), (503, &json!("unavailable")));
    assert_eq!((rig.steward.heard(), fs::metadata(&file).unwrap().len()), (vec![], 0));
    drop(running);
    let refused = rig.start(rig.doors("127.0.0.1:0")).err().expect("it does not begin either");
    assert!(refused.to_string().contains("chmod 600"), "{refused}");
}
