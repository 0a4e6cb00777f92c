//! The ledger over HTTP: one suite over both hosts, the gateway in a validator's process and one of its own.
//!
//! The client here speaks HTTP/1.1 by hand, so that it can also speak it badly.

mod console;
mod door;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::Duration;

use client::answers::StatusAnswer;
use engine::types::{AccountId, Height, Packet, Transfer};
use node::network::{ChainDraft, InitOptions};
use serde_json::{Value, json};

use crate::testbed::{CHAIN, PATIENCE, Testbed, expect, wait};
use door::{Answer, Door};

/// A network whose validators have a gateway in their processes.
fn drafted() -> Testbed {
    let chains = ChainDraft::alike(1, 200, 1_000_000);
    Testbed::with(&InitOptions { chains, gateway: true, ..InitOptions::default() })
}

/// The same, running.
fn network() -> Testbed {
    let mut testbed = drafted();
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    testbed
}

/// A transfer of `amount` between accounts of the door's own, so that the doors are not in each other's way.
fn transfer(testbed: &Testbed, debit: u64, (nonce, amount): (u64, u64)) -> Packet {
    testbed.signed(&Transfer {
        chain: CHAIN,
        key_version: 1,
        reference: *b"rent of May\0",
        debit: AccountId(debit),
        credit_chain: None,
        credit: AccountId(debit + 1),
        amount,
        nonce,
        expiry: Height(1_000_000),
    })
}

fn submission(packet: &Packet, more: &Value) -> Value {
    let mut call = json!({ "transaction": hex::encode(packet.0) });
    call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    call
}

/// What a submission says that waits for as long as it may: the machine can be busy.
fn patient() -> Value {
    json!({ "timeout_ms": 60_000 })
}

#[test]
fn both_hosts_do_the_same() {
    let testbed = network();
    let here = Door::of_validator(&testbed, 0);
    let beside = Door::beside(&testbed, 1, &["--anonymous", "read,submit"]);
    for (door, account) in [(&here, 10), (&beside, 110)] {
        receipts(&testbed, door, account);
        every_operation_answers_what_the_description_says(&testbed, door, account);
        pages_and_tables(door, account);
        bad_input(&testbed, door, account);
        streams(&testbed, door, account);
        console::pages(&testbed, door, account);
        sockets(&testbed, door, account);
        heights(door);
        metrics(door);
    }
    // What was told at one door is told at the other, also after both validators have started again.
    let packet = transfer(&testbed, 10, (0, 5));
    let first = here.post("/v1/transactions", &submission(&packet, &json!({ "receipt": "full" })));
    let again = beside.post("/v1/transactions", &submission(&packet, &json!({ "receipt": "full" })));
    assert_eq!((first.status, &first.json), (200, &again.json));
}

fn receipts(testbed: &Testbed, door: &Door, account: u64) {
    let packet = transfer(testbed, account, (0, 5));
    let id = packet.id(testbed.network.genesis.network()).to_string();
    let committed = door.post("/v1/transactions", &submission(&packet, &patient()));
    let receipt = json!({ "id": id, "status": "committed", "code": 0, "outcome": "applied" });
    assert_eq!((committed.status, committed.json.clone()), (200, receipt.clone()));
    let again = door.post("/v1/transactions", &submission(&packet, &json!({})));
    assert_eq!(again.json, receipt, "identical bytes");
    let raw = door.request("POST", "/v1/transactions?wait=committed", &[octets()], &packet.0);
    assert_eq!(raw.json, receipt, "as bytes");
    let full = door.post("/v1/transactions", &submission(&packet, &json!({ "receipt": "full" })));
    assert!(full.json["height"].as_u64().unwrap() > 0 && full.json["chain"] == 1, "{}", full.json);

    let too_much = transfer(testbed, account, (1, 2_000_000));
    let dry = door.post("/v1/dry-run", &submission(&too_much, &json!({})));
    assert_eq!((&dry.json["would"], &dry.json["code"]), (&json!("fail"), &json!(7)));
    let failed = door.post("/v1/transactions", &submission(&too_much, &patient()));
    assert_eq!((failed.status, &failed.json["status"]), (200, &json!("failed")));
    assert_eq!((&failed.json["outcome"], &failed.json["code"]), (&json!("insufficient_balance"), &json!(7)));

    let mut forged = transfer(testbed, account, (2, 5));
    forged.0[127] ^= 1;
    let dry = door.post("/v1/dry-run", &submission(&forged, &json!({})));
    assert_eq!((&dry.json["would"], &dry.json["code"]), (&json!("be_refused"), &json!(39)));
    let refused = door.post("/v1/transactions", &submission(&forged, &json!({})));
    assert_eq!((refused.status, &refused.json["error"]["code"]), (422, &json!(39)));
    let replayed =
        door.post("/v1/transactions", &submission(&transfer(testbed, account, (0, 6)), &json!({})));
    assert_eq!((replayed.status, &replayed.json["error"]["name"]), (422, &json!("replayed")));

    let accepted = door.post(
        "/v1/transactions",
        &submission(&transfer(testbed, account, (3, 5)), &json!({ "wait": "accepted" })),
    );
    assert_eq!((accepted.status, &accepted.json["status"]), (200, &json!("accepted")));
    let expired = submission(&transfer(testbed, account, (4, 5)), &json!({ "timeout_ms": 0 }));
    let pending = door.post("/v1/transactions", &expired);
    assert_eq!((pending.status, &pending.json["status"]), (202, &json!("pending")));
    let id = pending.json["id"].as_str().unwrap().to_owned();
    wait("what was not waited for is committed", || {
        door.get(&format!("/v1/transactions/{id}")).status == 200
    });
    let read = door.get(&format!("/v1/chains/1/accounts/{account}?min_height=1"));
    assert_eq!(read.json["balance"], 1_000_000 - 3 * 5);
    assert_eq!(read.json["next_nonce"], 5);
    let behind = door.get(&format!("/v1/chains/1/accounts/{account}?min_height=18446744073709551615"));
    assert_eq!((behind.status, &behind.json["error"]["name"]), (412, &json!("behind")));
    assert!(behind.header("retry-after").is_some());
}

/// Each operation of the description is called over REST and over JSON-RPC: both answer with the members that the
/// description declares, those that it requires among them, and no others.
fn every_operation_answers_what_the_description_says(testbed: &Testbed, door: &Door, account: u64) {
    let description = door.get("/openapi.json").json;
    assert_eq!(description["openapi"], "3.1.0");
    let packet = transfer(testbed, account, (0, 5));
    let id = packet.id(testbed.network.genesis.network()).to_string();
    let key = door.get(&format!("/v1/chains/1/accounts/{account}")).json["key"].clone();
    let said = json!({
        "chain": 1, "account": account, "height": 1, "id": id, "key": key, "fingerprint": "ab".repeat(32),
        "transaction": hex::encode(packet.0),
    });
    let mut called = 0;
    for (path, verbs) in description["paths"].as_object().unwrap() {
        for (verb, operation) in verbs.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            if operation["responses"]["101"].is_object() {
                continue; // A stream, which has a test of its own.
            }
            let parameters = operation["parameters"].as_array().unwrap();
            let required = parameters.iter().filter(|of| of["required"] == true);
            let mut params = serde_json::Map::new();
            let (mut filled, mut query) = (path.clone(), Vec::new());
            for parameter in required {
                let name = parameter["name"].as_str().unwrap();
                let value = said[name].clone();
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                match parameter["in"].as_str() {
                    Some("path") => filled = filled.replace(&format!("{{{name}}}"), &text),
                    _ => query.push(format!("{name}={text}")),
                }
                params.insert(name.to_owned(), value);
            }
            let rest = match verb.as_str() {
                "get" => door.get(&format!("{filled}?{}", query.join("&"))),
                _ => {
                    params.insert("transaction".to_owned(), said["transaction"].clone());
                    door.post(&filled, &Value::Object(params.clone()))
                }
            };
            // There is no chain of attestations, so this one is told that.
            if name.ends_with("attestation") {
                assert_eq!(rest.status, 404, "{name}: {}", rest.json);
                called += 1;
                continue;
            }
            assert_eq!(rest.status, 200, "{name}: {}", rest.json);
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            let is_member = |member: &String| schema["properties"].get(member).is_some();
            let others: Vec<_> = rest.json.as_object().unwrap().keys().filter(|of| !is_member(of)).collect();
            assert!(others.is_empty(), "{name} answers {others:?}, which it does not declare");
            for member in schema["required"].as_array().unwrap() {
                assert!(
                    rest.json.get(member.as_str().unwrap()).is_some(),
                    "{name} lacks {member}: {}",
                    rest.json
                );
            }
            let rpc = door.rpc(name, &Value::Object(params));
            let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(members(&rpc["result"]), members(&rest.json), "{name}");
            called += 1;
        }
    }
    assert!(called >= 16, "{called} operations");
    let proof = door.get(&format!("/v1/proofs/transactions/{id}")).json;
    let file = testbed.path().join(format!("{account}.proof"));
    std::fs::write(&file, hex::decode(proof["proof"].as_str().unwrap()).unwrap()).unwrap();
    let genesis = testbed.path().join("genesis.header");
    let (says, _) =
        expect(0, &["verify-proof", file.to_str().unwrap(), "--genesis", genesis.to_str().unwrap()]);
    assert!(says.contains(&id), "{says}");
}

fn pages_and_tables(door: &Door, account: u64) {
    let all = door.get(&format!("/v1/chains/1/history?account={account}"));
    let events = all.json["events"].as_array().unwrap().clone();
    assert!(events.len() >= 4, "{}", all.json);
    let first = door.get(&format!("/v1/chains/1/history?account={account}&limit=2")).json;
    let next = first["next"].as_str().unwrap();
    let second = door.get(&format!("/v1/chains/1/history?account={account}&limit=2&from={next}")).json;
    let both =
        [first["events"].as_array().unwrap().clone(), second["events"].as_array().unwrap().clone()].concat();
    assert_eq!(both, events[..4]);
    let reference = door.get("/v1/chains/1/history?reference=rent+of+May%00").json;
    assert!(!reference["events"].as_array().unwrap().is_empty(), "{reference}");

    let path = format!("/v1/chains/1/history?account={account}");
    let table = door.request("GET", &path, &["Accept: text/csv"], b"");
    assert!(table.header("content-type").unwrap().starts_with("text/csv"));
    assert_eq!(table.text.lines().count(), 1 + events.len());

    let block = door.get("/openapi.json");
    let tag = block.header("etag").unwrap().to_owned();
    let known = door.request("GET", "/openapi.json", &[&format!("If-None-Match: {tag}")], b"");
    assert_eq!((known.status, known.text.as_str()), (304, ""));
    assert_eq!(door.get("/docs").status, 200);
    assert_eq!((door.get("/health").status, door.get("/ready").json), (200, json!({ "ready": true })));
}

/// Blocks and what they say can be asked for at a height; states, at the newest one alone.
fn heights(door: &Door) {
    let old = door.get("/v1/chains?at=1");
    assert_eq!((old.status, &old.json["as_of"]["height"]), (200, &json!(1)), "{}", old.json);
    let one = door.get("/v1/chains/1?at=1").json;
    assert_eq!((&one["accounts"], &one["proof"]), (&json!(200), &Value::Null));
    assert_eq!(one["state_root"], door.get("/v1/blocks/1").json["state_root"]);
    assert_ne!(door.get("/v1/chains/1").json["proof"], Value::Null);
    let none = door.get("/v1/chains?at=0").json["error"].clone();
    assert_eq!((&none["code"], &none["data"]["from"]), (&json!(1014), &json!(1)), "{none}");
    let past = door.get("/v1/chains/1/accounts/7?at=1");
    let (error, data) = (&past.json["error"], &past.json["error"]["data"]);
    assert_eq!((past.status, &error["name"]), (410, &json!("not at that height")), "{error}");
    assert!(data["from"] == data["to"] && data["to"].as_u64() > Some(1), "{data}");
    let future = door.get(&format!("/v1/chains/1/accounts/7?at={}", u64::MAX));
    assert_eq!((future.status, &future.json["error"]["name"]), (412, &json!("behind")));
    assert_eq!(door.rpc("account", &json!({ "chain": 1, "account": 7, "at": 1 }))["error"]["code"], 1014);
    // The newest height is soon another one, so it takes some tries.
    wait("an account is read at the newest height", || {
        let newest = door.get("/v1/status").json["as_of"]["height"].as_u64().unwrap();
        let read = door.get(&format!("/v1/chains/1/accounts/7?at={}", newest + 1));
        assert!(read.status != 200 || read.json["as_of"]["height"] == newest + 1, "{}", read.json);
        read.status == 200
    });
}

fn octets() -> &'static str {
    "Content-Type: application/octet-stream"
}

const JSON: &str = "Content-Type: application/json";

fn bad_input(testbed: &Testbed, door: &Door, account: u64) {
    let error =
        |answer: &Answer| (answer.status, answer.json["error"]["name"].as_str().unwrap_or("").to_owned());
    let is = |status: u16, name: &str| (status, name.to_owned());

    let unknown = door.rpc("acount", &json!({}));
    assert_eq!(unknown["error"]["data"]["nearest"], "account");
    let unknown = door.rpc("account", &json!({ "chain": 1, "acount": 7 }));
    assert_eq!(unknown["error"]["code"], -32602);
    assert!(unknown["error"]["message"].as_str().unwrap().contains("did you mean \"account\""), "{unknown}");
    let unknown = door.get("/v1/chains/1/acounts/7");
    assert_eq!(error(&unknown), is(404, "not found"));
    assert_eq!(error(&door.get("/v1/chains/1/accounts/7?hight=3")), is(400, "invalid params"));
    assert_eq!(error(&door.get("/v1/chains/1/accounts/x")), is(400, "invalid params"));
    assert_eq!(error(&door.get("/v1/chains/9/accounts/7")), is(404, "not found"));
    for path in ["/../../etc/passwd", "/v1/../../etc/passwd", "/docs/%2e%2e%2fCargo.toml", "//"] {
        assert_eq!(door.get(path).status, 404, "{path}");
    }
    assert_eq!(error(&door.request("POST", "/v1/status", &[JSON], b"{}")), is(405, "wrong method"));
    assert_eq!(error(&door.request("GET", "/rpc", &[], b"")), is(405, "wrong method"));

    let post = |headers: &[&str], body: &[u8]| door.request("POST", "/rpc", headers, body);
    assert_eq!(error(&post(&["Content-Type: text/plain"], b"{}")), is(415, "media type"));
    let deep = "[".repeat(100_000);
    assert_eq!(post(&[JSON], deep.as_bytes()).json["error"]["code"], -32700);
    assert_eq!(error(&post(&[JSON], &vec![b' '; (1 << 20) + 1])), is(413, "too large"));
    let many = json!(vec![json!({ "jsonrpc": "2.0", "method": "status", "id": 1 }); 101]).to_string();
    assert_eq!(post(&[JSON], many.as_bytes()).json["error"]["code"], -32600);
    let mixed = json!([
        { "jsonrpc": "2.0", "method": "status", "id": "a" },
        { "jsonrpc": "2.0", "method": "status" },
        { "jsonrpc": "1.0", "method": "status", "id": 2 },
        7,
    ]);
    let mixed = post(&[JSON], mixed.to_string().as_bytes()).json;
    let mixed = mixed.as_array().unwrap();
    assert_eq!(mixed.len(), 3, "a notification is not answered");
    assert_eq!(
        (&mixed[0]["id"], &mixed[1]["error"]["code"], &mixed[2]["id"]),
        (&json!("a"), &json!(-32600), &Value::Null)
    );
    let notified = post(&[JSON], br#"{"jsonrpc":"2.0","method":"status"}"#);
    assert_eq!((notified.status, notified.text.as_str()), (204, ""));

    let as_if = |headers: &[&str]| door.raw("GET", "/v1/status", headers, b"");
    assert_eq!(error(&as_if(&["Host: evil.example"])), is(421, "wrong host"));
    assert_eq!(as_if(&["Host: localhost:1"]).status, 200);
    let own = format!("Host: {}", door.address);
    assert_eq!(error(&as_if(&[&own, "Origin: https://evil.example"])), is(403, "wrong origin"));
    assert_eq!(error(&as_if(&[&own, "Origin: null"])), is(403, "wrong origin"));
    assert_eq!(as_if(&[&own, &format!("Origin: http://{}", door.address)]).status, 200);
    assert_eq!(error(&as_if(&[&own, "Authorization: Bearer mr_00"])), is(401, "unauthorized"));
    let flood: Vec<String> = (0..1_000).map(|at| format!("X-{at}: {}", "y".repeat(100))).collect();
    let flood: Vec<&str> = flood.iter().map(String::as_str).chain([own.as_str()]).collect();
    assert!(matches!(as_if(&flood).status, 400 | 431), "a flood of headers");

    let memo = transfer(testbed, account, (100, 5));
    let mut wrong = memo;
    wrong.0[2] = 1;
    assert_eq!(error(&door.post("/v1/transactions", &submission(&wrong, &json!({})))), is(400, "malformed"));
    // Half a request, and nothing after it: the others are served meanwhile.
    let mut half = door.connect();
    half.write_all(b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n").unwrap();
    let mut silent = door.connect();
    silent.write_all(b"").unwrap();
    assert_eq!(door.get("/v1/status").status, 200);
}

fn streams(testbed: &Testbed, door: &Door, account: u64) {
    let mut blocks = door.stream("/v1/streams/blocks?from=1", &[]);
    let first = blocks.next_event();
    assert_eq!((first.name.as_str(), first.id.as_str(), &first.data["height"]), ("block", "1", &json!(1)));
    assert_eq!(blocks.next_event().data["height"], 2);
    let mut resumed = door.stream("/v1/streams/blocks", &["Last-Event-ID: 1"]);
    assert_eq!(resumed.next_event().data["height"], 2);

    let mut history = door.stream(&format!("/v1/streams/history?chain=1&account={account}&from=1.0"), &[]);
    let events = [history.next_event(), history.next_event()];
    assert!(events.iter().all(|event| event.name == "happening"));
    let on = format!("Last-Event-ID: {}", events[0].id);
    let mut resumed = door.stream(&format!("/v1/streams/history?chain=1&account={account}"), &[&on]);
    assert_eq!(resumed.next_event().data, events[1].data);

    let packet = transfer(testbed, account, (6, 5));
    let id = packet.id(testbed.network.genesis.network());
    let mut fate = door.stream(&format!("/v1/streams/fate?id={id}"), &[]);
    assert_eq!(door.post("/v1/transactions", &submission(&packet, &patient())).status, 200);
    let told = fate.next_event();
    assert_eq!((&told.data["final"], &told.data["outcome"]), (&json!(true), &json!("applied")));
    let mut alarms = door.stream("/v1/streams/alarms", &[]);
    assert!(alarms.next_event().data["alarms"].is_array());
    assert_eq!(door.get("/v1/streams/blocks?form=1").status, 400);
}

/// The same streams over WebSockets: the same events, with the same cursors.
fn sockets(testbed: &Testbed, door: &Door, account: u64) {
    let mut events = door.stream("/v1/streams/blocks?from=1", &[]);
    let mut blocks = door.socket("/v1/streams/blocks?from=1", &[]).unwrap();
    for _ in 0..3 {
        let (event, told) = (events.next_event(), blocks.next_event());
        assert_eq!((told.name, told.id, told.data), (event.name, event.id, event.data));
    }
    let path = format!("/v1/streams/history?chain=1&account={account}&from=1.0");
    let mut history = door.socket(&path, &[]).unwrap();
    let (first, second) = (history.next_event(), history.next_event());
    let path = format!("/v1/streams/history?chain=1&account={account}&from={}", first.id);
    assert_eq!(door.socket(&path, &[]).unwrap().next_event().data, second.data, "it goes on from a cursor");

    let packet = transfer(testbed, account, (7, 5));
    let id = packet.id(testbed.network.genesis.network());
    let mut fate = door.socket(&format!("/v1/streams/fate?id={id}"), &[]).unwrap();
    assert_eq!(door.post("/v1/transactions", &submission(&packet, &patient())).status, 200);
    assert_eq!(fate.next_event().data["final"], true);
    assert_eq!(fate.closed(), 1000, "nothing follows");
    let mut alarms = door.socket("/v1/streams/alarms", &[]).unwrap();
    assert!(alarms.next_event().data["alarms"].is_array());
    alarms.send("hello");
    assert_eq!(alarms.closed(), 1008, "it takes no messages");

    // What is refused before a stream begins is an answer of HTTP, as without a socket.
    let refused = |path: &str, headers: &[(&str, &str)]| door.socket(path, headers).err();
    assert_eq!(refused("/v1/streams/blocks?form=1", &[]), Some(400));
    assert_eq!(refused("/v1/streams/blocks", &[("Origin", "https://evil.example")]), Some(403));
    assert_eq!(refused("/v1/streams/blocks", &[("Origin", "null")]), Some(403));
    let own = format!("http://{}", door.address);
    assert_eq!(refused("/v1/streams/blocks", &[("Origin", &own)]), None);
    let token = [("Sec-WebSocket-Protocol", "millrace.v1, bearer.mr_00")];
    assert_eq!(refused("/v1/streams/blocks", &token), Some(401));
    let half = ["Upgrade: websocket", "Connection: Upgrade"];
    assert_eq!(door.request("GET", "/v1/streams/blocks", &half, b"").status, 400);
    let open = door.get("/metrics").text;
    assert!(open.contains("\nmillrace_gateway_streams "), "{open}");
}

fn metrics(door: &Door) {
    let classic = door.get("/metrics").text;
    let open = door.request("GET", "/metrics", &["Accept: application/openmetrics-text"], b"");
    assert!(open.text.ends_with("# EOF\n") && open.header("content-type").unwrap().contains("openmetrics"));
    assert!(!classic.contains("# EOF"));
    for has in [
        "# TYPE millrace_executed_total counter\n",
        "\nmillrace_height ",
        "\nmillrace_alarm{alarm=\"quorum_lost\"} 0.0\n",
        "\nmillrace_chain_accounts{chain=\"1\"} 200.0\n",
        "\nmillrace_link_up{peer=\"2\"} 1.0\n",
        "\nmillrace_stage_seconds_bucket{le=\"+Inf\",stage=\"verify\"} ",
        "\nmillrace_process_threads ",
        "\nmillrace_gateway_calls_total{door=\"rpc\",operation=\"account\"} ",
        "\nmillrace_gateway_failures_total{reason=\"wrong host\"} 1\n",
    ] {
        assert!(classic.contains(has), "{has:?} is not in\n{classic}");
    }
    assert!(classic.lines().count() < 1_000);
    all_of_them_are_described(&classic);
}

/// The page of metrics has what is answered, and nothing that is never answered. Rules and the dashboard are compared
/// with that page.
fn all_of_them_are_described(classic: &str) {
    let page = include_str!("../../../docs/METRICS.md");
    let mut described = BTreeMap::new();
    for row in page.lines().filter_map(|line| line.strip_prefix("| `millrace_")) {
        let [metric, kind, labels, _] = row.split(" | ").collect::<Vec<_>>()[..] else { panic!("{row}") };
        let labels: BTreeSet<_> = labels.split(", ").map(|label| label.trim_matches('`')).collect();
        described.insert(format!("millrace_{}", metric.trim_matches('`')), (kind, labels));
    }
    let types = classic.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let types: BTreeMap<&str, &str> = types.collect();
    for (metric, kind) in &types {
        let (said, labels) = described.get(*metric).unwrap_or_else(|| panic!("{metric} is not described"));
        assert_eq!(said, kind, "{metric}");
        let samples = ["", "_bucket", "_sum", "_count"].map(|end| format!("\n{metric}{end}{{"));
        let first = samples.iter().find_map(|sample| classic.split_once(sample.as_str()));
        let Some((_, rest)) = first else {
            let has_labels = *labels != BTreeSet::from([""]);
            assert!(!has_labels || !classic.contains(&format!("\n{metric} ")), "{metric} has no labels");
            continue;
        };
        let inside = rest.split('}').next().unwrap();
        let shown = inside.split("\",").map(|part| part.split('=').next().unwrap());
        let shown: BTreeSet<_> = shown.filter(|label| *label != "le").collect();
        assert_eq!(&shown, labels, "{metric}");
    }
    // These are there only while something is counted, or fetched.
    let sometimes = ["refused_total", "peer_offences_total", "recovery_progress"];
    let sometimes = |metric: &str| sometimes.contains(&metric.trim_start_matches("millrace_"));
    let never = described.keys().filter(|metric| !sometimes(metric) && !types.contains_key(metric.as_str()));
    assert_eq!(never.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_token_opens_what_its_scope_says_until_it_is_revoked() {
    let mut testbed = Testbed::new(1, 20);
    testbed.spawn(0);
    testbed.ready();
    let file = testbed.path().join("tokens.toml");
    let file = file.to_str().unwrap();
    let new = |name: &str, scopes: &str| {
        let (token, _) = expect(0, &["token", "new", "--file", file, "--name", name, "--scope", scopes]);
        format!("Authorization: Bearer {}", token.trim())
    };
    let (reader, till) = (new("reader", "read"), new("till", "submit"));
    expect(2, &["token", "new", "--file", file, "--name", "till", "--scope", "read"]);
    let door = Door::beside(&testbed, 0, &["--anonymous", "none", "--tokens", file]);
    let status = |headers: &[&str]| door.request("GET", "/v1/status", headers, b"").status;
    assert_eq!((status(&[]), status(&[&reader]), status(&[&till])), (401, 200, 403));
    assert_eq!(door.get("/health").status, 200, "everybody is told that it lives");
    let packet = transfer(&testbed, 3, (0, 5));
    let submit = |headers: &[&str]| door.request("POST", "/v1/transactions", headers, &packet.0).status;
    assert_eq!(
        (submit(&[octets()]), submit(&[octets(), &reader]), submit(&[octets(), &till])),
        (401, 403, 200)
    );
    assert_eq!(door.get("/metrics").status, 401);
    let (listed, _) = expect(0, &["token", "list", "--file", file]);
    assert!(listed.contains("reader") && !listed.contains("mr_"), "{listed}");
    expect(0, &["token", "revoke", "--file", file, "--name", "reader"]);
    wait("the token is not taken any more", || status(&[&reader]) == 401);
    assert_eq!(submit(&[octets(), &till]), 200, "the other one is");

    let (_, error) =
        expect(2, &["gateway", "--network", testbed.path().to_str().unwrap(), "--listen", "0.0.0.0:0"]);
    assert!(error.contains("without TLS"), "{error}");
}

#[test]
fn a_validator_that_is_gone_is_an_alarm_until_it_is_back() {
    let mut testbed = drafted();
    let (admin, token) = administered(&testbed);
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    let door = Door::of_validator(&testbed, 0);
    let hook = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/alarms", hook.local_addr().unwrap());
    let _posting = Door::beside(&testbed, 1, &["--webhook", &address]);
    let dir = testbed.path().to_str().unwrap().to_owned();
    let alarms = || {
        let status = door.get("/v1/status").json["status"].clone();
        let status: StatusAnswer = serde_json::from_value(status).unwrap();
        status.alarms.iter().map(|alarm| alarm.alarm.name().to_owned()).collect::<Vec<_>>()
    };
    // On a machine that is busy, or whose disk cannot be written with io_uring, there are others.
    let edge = "quorum_at_edge".to_owned();
    wait("the validators have found each other", || !alarms().contains(&edge));
    testbed.kill(3);
    wait("one more loss stops the network", || alarms().contains(&edge));
    let metrics = door.get("/metrics").text;
    assert!(metrics.contains("millrace_alarm{alarm=\"quorum_at_edge\"} 2.0"));
    let (lines, _) = expect(2, &["monitor", "--network", &dir]);
    assert!(lines.contains("CRITICAL validator 3") && lines.contains("cannot be reached"), "{lines}");
    assert!(lines.contains("quorum_at_edge"), "{lines}");
    let told = door::hooked(&hook, |event| event["alarm"]["alarm"] == "quorum_at_edge");
    assert_eq!(
        (&told["event"], &told["validator"]),
        (&json!("raised"), &json!(testbed.network.members[1].name))
    );
    silenced_over_http(&testbed, &door, (&admin, &token));
    testbed.spawn(3);
    testbed.ready();
    // That it was raised may be told more than once.
    door::hooked(&hook, |event| event["alarm"]["alarm"] == "quorum_at_edge" && event["event"] == "cleared");
    wait("it is back", || !alarms().contains(&edge));
    let log = std::fs::read_to_string(testbed.network.members[0].log_file()).unwrap_or_default();
    assert!(log.is_empty() || log.contains("the alarm is over"), "{log}");
}

/// Lets the first validator be administered: where, and with which token.
fn administered(testbed: &Testbed) -> (Door, String) {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = testbed.network.members[0].config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    let tokens = "anonymous = [\"read\", \"submit\"]\ntokens = \"tokens.toml\"\n";
    let text = text.replace("anonymous = [\"read\", \"submit\"]\n", tokens);
    let admin = format!("\n[gateway.admin]\nlisten = \"{address}\"\naudit = \"audit.log\"\n");
    std::fs::write(&file, text + &admin).unwrap();
    let tokens = file.with_file_name("tokens.toml");
    let new = ["token", "new", "--file", tokens.to_str().unwrap(), "--name", "ops", "--scope", "admin"];
    let (token, _) = expect(0, &new);
    (Door::at(address), format!("Authorization: Bearer {}", token.trim()))
}

/// An alarm is silenced and the level of the log is set, and the audit log says by whom.
fn silenced_over_http(testbed: &Testbed, door: &Door, (admin, token): (&Door, &str)) {
    let call = |path: &str, body: &Value| {
        let answer = admin.request("POST", path, &[JSON, token], body.to_string().as_bytes());
        (answer.status, answer.json)
    };
    let is_silenced = || {
        let alarms = door.get("/v1/status").json["status"]["alarms"].clone();
        let edge = alarms.as_array().unwrap().iter().find(|of| of["alarm"] == "quorum_at_edge").cloned();
        edge.is_some_and(|edge| edge["silenced"]["reason"] == "it is moved")
    };
    let silence =
        |seconds: u64| json!({ "alarm": "quorum_at_edge", "seconds": seconds, "reason": " it is moved " });
    assert_eq!(call("/v1/silences", &silence(31 * 86_400)).0, 400);
    assert_eq!(call("/v1/silences", &silence(3_600)).0, 200);
    wait("the alarm is silenced", is_silenced);
    let data = testbed.network.members[0].data();
    let (listed, _) = expect(0, &["alarm", "silences", "--data", data.to_str().unwrap()]);
    assert!(listed.contains("quorum_at_edge, until ") && listed.contains("it is moved"), "{listed}");
    assert_eq!(call("/v1/silences/end", &json!({ "alarm": "quorum_at_edge" })).0, 200);
    wait("it rings again", || !is_silenced());
    assert_eq!(call("/v1/log-level", &json!({ "level": "lout" })).0, 400);
    assert_eq!(call("/v1/log-level", &json!({ "level": "warn" })), (200, json!({ "level": "warn" })));
    assert_eq!(call("/v1/log-level", &json!({ "level": "info" })).0, 200);
    assert_eq!(admin.get("/v1/tokens").status, 401, "nobody without a token");
    let audit = testbed.network.members[0].config_file().with_file_name("audit.log");
    let audit = std::fs::read_to_string(audit).unwrap();
    let outcomes: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(outcomes.len(), 12, "two lines a change: {audit}");
    assert!(outcomes.iter().all(|line| line["who"] == "token ops"), "{audit}");
}

/// Beyond this machine: TLS, a token, and nothing for those who have neither.
#[test]
fn others_come_in_over_tls_and_with_a_token() {
    let mut testbed = Testbed::new(1, 20);
    testbed.spawn(0);
    testbed.ready();
    let (door, token) = Door::over_tls(&testbed);
    let curl = |more: &[&str]| {
        let options = [&["-o", "/dev/null", "-w", "%{http_code} %{http_version}"], more].concat();
        door.curl("/v1/status", &options)
    };
    let Some(without) = curl(&[]) else { return };
    assert!(without.starts_with("401 "), "{without}");
    let header = format!("Authorization: Bearer {token}");
    wait("the gateway has reached its node", || curl(&["-H", &header]).unwrap().starts_with("200 "));
    assert_eq!(curl(&["--http1.1", "-H", &header]).unwrap(), "200 1.1");
    let head = door.curl("/health", &["-i"]).unwrap().to_lowercase();
    assert!(head.contains("strict-transport-security: max-age="), "{head}");
    // In the clear nothing is answered.
    assert_eq!(door.get("/v1/status").status, 0);
}

/// A gateway whose node goes away says so at once, and goes on when it is back.
#[test]
fn a_gateway_outlives_its_node() {
    let mut testbed = Testbed::new(1, 20);
    testbed.spawn(0);
    testbed.ready();
    let door = Door::beside(&testbed, 0, &[]);
    assert_eq!(door.get("/v1/status").status, 200);
    testbed.kill(0);
    wait("the node is gone", || door.get("/v1/status").status == 503);
    let gone = door.get("/v1/status");
    assert!(gone.header("retry-after").is_some() && gone.took < Duration::from_secs(5), "{:?}", gone.took);
    assert_eq!((door.get("/health").status, door.get("/ready").status), (200, 503));
    testbed.spawn(0);
    testbed.ready();
    wait("the node is back", || door.get("/v1/status").status == 200);
    assert!(PATIENCE > Duration::from_secs(5));
}
