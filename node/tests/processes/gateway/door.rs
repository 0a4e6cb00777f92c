//! A gateway as its callers meet it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::{Message, WebSocket};

use crate::testbed::{MILLRACE, PATIENCE, Testbed, expect, wait};

/// A gateway that answers.
pub struct Door {
    pub address: SocketAddr,
    /// Its process, if it has one of its own.
    process: Option<Child>,
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// What was answered.
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub text: String,
    /// The text as JSON, if it is that.
    pub json: Value,
    pub took: Duration,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// The values of a header that may stand there more than once.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(of, _)| of == name).map(|(_, value)| value.as_str())
    }
}

impl Door {
    /// The gateway in a validator's process.
    pub fn of_validator(testbed: &Testbed, index: usize) -> Self {
        let port = testbed.network.members[index].clients.to_string();
        let port = port.rsplit_once(':').unwrap().1.parse().unwrap();
        let door = Self { address: SocketAddr::from(([127, 0, 0, 1], port)), process: None };
        door.open();
        door
    }

    /// What listens at an address.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, process: None }
    }

    /// A gateway in a process of its own, to a validator.
    pub fn beside(testbed: &Testbed, index: usize, options: &[&str]) -> Self {
        let door = Self::spawned(testbed, (index, "127.0.0.1:0"), options);
        door.open();
        door
    }

    /// A gateway on all addresses of the machine, with a certificate that is its own authority, and a token that may
    /// read; nothing is asked of it yet.
    pub fn over_tls(testbed: &Testbed) -> (Self, String) {
        let place = |name: &str| testbed.path().join(name).to_str().unwrap().to_owned();
        let (file, certificate, key) = (place("tokens.toml"), place("http.crt"), place("http.key"));
        net::Identity::generate("localhost").unwrap().save(certificate.as_ref(), key.as_ref()).unwrap();
        let (token, _) = expect(0, &["token", "new", "--file", &file, "--name", "a", "--scope", "read"]);
        // Under which names it is called, it cannot know of an address that stands for all.
        let options =
            ["--anonymous", "none", "--tokens", &file, "--certificate", &certificate, "--host", "127.0.0.1"];
        let mut door = Self::spawned(testbed, (0, "0.0.0.0:0"), &options);
        door.address = SocketAddr::from(([127, 0, 0, 1], door.address.port()));
        (door, token.trim().to_owned())
    }

    /// What curl prints for a path over TLS, which is not what is tested here; none where there is no curl.
    pub fn curl(&self, path: &str, options: &[&str]) -> Option<String> {
        let url = format!("https://{}{path}", self.address);
        let output = Command::new("curl").arg("-sk").args(options).arg(url).output();
        if output.is_err() {
            eprintln!("SKIPPED: there is no curl");
        }
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn spawned(testbed: &Testbed, (index, listen): (usize, &str), options: &[&str]) -> Self {
        let (directory, index) = (testbed.path().to_str().unwrap(), index.to_string());
        let mut process = Command::new(MILLRACE)
            .args(["gateway", "--network", directory, "--validator", &index, "--listen", listen])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let found = lines.map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.strip_prefix("it listens on ")?.split_once("://")?;
            rest.split(';').next().and_then(|address| address.parse().ok())
        });
        Self { address: found.expect("it says where it listens"), process: Some(process) }
    }

    fn open(&self) {
        wait("the gateway is open and has reached its node", || {
            TcpStream::connect(self.address).is_ok() && self.get("/v1/status").status != 503
        });
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, &["Content-Type: application/json"], body.to_string().as_bytes())
    }

    pub fn rpc(&self, method: &str, params: &Value) -> Value {
        let call = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let answer = self.post("/rpc", &call);
        assert_eq!((answer.status, &answer.json["id"]), (200, &json!(7)), "{}", answer.text);
        answer.json
    }

    pub fn request(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let host = format!("Host: {}", self.address);
        self.raw(method, path, &[&[host.as_str()], headers].concat(), body)
    }

    /// A request with these headers and no others.
    pub fn raw(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let begun = begin();
        let mut stream = self.connect();
        let head = headers.iter().map(|line| format!("{line}\r\n")).collect::<String>();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{head}Connection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        // A gateway that refuses what is too large may have hung up before all of it is written.
        let _ = stream.write_all(&[head.as_bytes(), body].concat());
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, text) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        };
        let json = serde_json::from_str(text).unwrap_or(Value::Null);
        let (headers, text) = (lines.filter_map(header).collect(), text.to_owned());
        Answer { status, headers, text, json, took: begun.elapsed() }
    }

    /// Opens a stream of events.
    pub fn stream(&self, path: &str, headers: &[&str]) -> Stream {
        let mut stream = self.connect();
        let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", self.address);
        stream.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        let status = lines.next().unwrap();
        assert!(status.contains(" 200 "), "{path}: {status}");
        Stream(Box::new(lines))
    }
}

/// A stream of events over a WebSocket.
pub struct Socket(WebSocket<TcpStream>);

impl Door {
    /// Opens a stream over a WebSocket; the status of HTTP where that is refused.
    pub fn socket(&self, path: &str, headers: &[(&str, &str)]) -> Result<Socket, u16> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        match tungstenite::client(request, self.connect()) {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(refused))) => {
                Err(refused.status().as_u16())
            }
            Err(error) => panic!("{path}: {error}"),
        }
    }
}

impl Socket {
    /// The next event; waits for it.
    pub fn next_event(&mut self) -> Event {
        loop {
            if let Message::Text(text) = self.0.read().unwrap() {
                let mut said: Value = serde_json::from_str(&text).unwrap();
                let text = |of: &Value| of.as_str().unwrap().to_owned();
                return Event {
                    name: text(&said["event"]),
                    id: text(&said["id"]),
                    data: said["data"].take(),
                };
            }
        }
    }

    pub fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    /// The code with which the gateway closes it; waits for that.
    pub fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(Some(close)) = self.0.read().unwrap() {
                return close.code.into();
            }
        }
    }
}

fn begin() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "a test that looks how long an answer took")]
    Instant::now()
}

/// A stream of events that is open.
pub struct Stream(Box<dyn Iterator<Item = String>>);

/// One event.
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: Value,
}

impl Stream {
    /// The next event; waits for it. Lines of chunks and of comments are passed over.
    pub fn next_event(&mut self) -> Event {
        let mut field = |name: &str| -> String {
            self.0.find_map(|line| line.strip_prefix(name).map(str::to_owned)).expect("the stream goes on")
        };
        let (id, name, data) = (field("id: "), field("event: "), field("data: "));
        Event { name, id, data: serde_json::from_str(&data).unwrap() }
    }

    /// What the next event of a name says, in a stream whose events have no ids.
    pub fn next_named(&mut self, name: &str) -> Value {
        let named = format!("event: {name}");
        self.0.find(|line| *line == named).expect("the stream goes on");
        let data = self.0.find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        serde_json::from_str(&data.expect("an event has data")).unwrap()
    }
}

/// What is posted to an address: the first event that is wanted. All are taken.
pub fn hooked(hook: &TcpListener, wanted: impl Fn(&Value) -> bool) -> Value {
    hook.set_nonblocking(true).unwrap();
    let mut found = None;
    wait("an alarm is posted", || {
        while let Ok((stream, _)) = hook.accept() {
            let event = taken(stream);
            if wanted(&event) {
                found = Some(event);
                return true;
            }
        }
        false
    });
    found.expect("it was waited for")
}

/// Reads one event, and says that it is taken.
fn taken(stream: TcpStream) -> Value {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
        let said = line.to_lowercase();
        length = said.strip_prefix("content-length:").map_or(length, |said| said.trim().parse().unwrap());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    serde_json::from_slice(&body).unwrap()
}
