use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;

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
        let mut tokens = TokenFile::load(&file).unwrap();
        let admin = tokens.add(&file, "ops", &[Scope::Admin], 1 << 40).unwrap();
        let all = [Scope::Read, Scope::Submit, Scope::Metrics];
        let other = tokens.add(&file, "shop", &all, 1 << 40).unwrap();
        tokens.save(&file).unwrap();
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

    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.path().join("audit.log")).unwrap();
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

    let lines = rig.audit();
    assert!(lines.iter().all(|line| line["who"] == "token ops" && line["time"].is_string()), "{lines:?}");
    let said: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {}", line["call"].as_str().unwrap(), line["outcome"].as_str().unwrap()))
        .collect();
    let expected = [
        "silences done",
        "silence begun",
        "silence done",
        "unsilence begun",
        "unsilence refused",
        "set_log_level begun",
        "set_log_level done",
        "log_level done",
        "tokens done",
        "revoke_token begun",
        "revoke_token done",
        "revoke_token begun",
        "revoke_token refused",
    ];
    assert_eq!(said, expected);
    assert_eq!((&lines[1]["what"], &lines[1]["id"]), (&silence, &lines[2]["id"]));
    assert!(lines[4]["why"].as_str().unwrap().contains("not silenced"));
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
    assert_eq!(rig.audit()[0]["who"], "token shop", "who has a token and may not is noted");
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
    // Ten wrong tokens in a minute are enough.
    let tries: Vec<u16> = (0..12).map(|_| get(&[host, "Authorization: Bearer mr_11"])).collect();
    assert!(tries.contains(&429) && !tries.contains(&200), "{tries:?}");
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
