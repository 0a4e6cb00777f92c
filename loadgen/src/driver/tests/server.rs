//! A validator that only pretends: it greets, and gives each transaction the verdict that the test wants.

use crate::plan::Endpoint;
use engine::limits::{CLIENT_FRAME_BYTES_MAX, SERVER_FRAME_BYTES_MAX};
use engine::types::{Digest, Epoch, Height, Packet, PacketRun, ValidatorIndex, Verdict};
use engine::wire::{AsOf, ClientFrame, Notice, PROTOCOL_VERSION, Query, Role, ServerFrame, Standing};
use net::{Client, ClientEvent, ClientSettings, Flow, Identity, Network, Settings};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct Mind {
    network: Digest,
    verdict: Box<dyn Fn(u64) -> Option<Verdict> + Send + Sync>,
    received: Mutex<Vec<Packet>>,
    closes_after: AtomicU64,
    dies_after: AtomicU64,
    height: AtomicU64,
    behind: AtomicU64,
}

pub struct Server {
    mind: Arc<Mind>,
    address: SocketAddr,
    fingerprint: [u8; 32],
    _network: Network,
}

impl Server {
    pub fn start(
        network: Digest,
        verdict: impl Fn(u64) -> Option<Verdict> + Send + Sync + 'static,
    ) -> Server {
        let identity = Identity::generate("pretender").unwrap();
        let fingerprint = identity.fingerprint().0;
        let socket = net::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap().remove(0);
        let address = socket.local_addr().unwrap();
        let mind = Arc::new(Mind {
            network,
            verdict: Box::new(verdict),
            received: Mutex::default(),
            closes_after: AtomicU64::new(u64::MAX),
            dies_after: AtomicU64::new(u64::MAX),
            height: AtomicU64::new(10),
            behind: AtomicU64::new(0),
        });
        let clients = ClientSettings {
            sockets: vec![socket],
            connections_max: 8,
            admission: net::Admission::default(),
            inbound_frame_bytes_max: CLIENT_FRAME_BYTES_MAX,
            outbound_frame_bytes_max: SERVER_FRAME_BYTES_MAX,
            inbound_bytes: 4 << 20,
            queue_bytes: 8 << 20,
            queue_bytes_total: 64 << 20,
            stalled_after: Duration::from_secs(30),
        };
        let settings =
            Settings { thread_name: "pretender".into(), identity, peers: None, clients: Some(clients) };
        let own = mind.clone();
        let network = Network::start(settings, |_| Flow::Continue, move |event| own.handle(event)).unwrap();
        Server { mind, address, fingerprint, _network: network }
    }

    /// Closes the connection after so many packets.
    pub fn closes_after(self, packets: u64) -> Server {
        self.mind.closes_after.store(packets, Ordering::SeqCst);
        self
    }

    /// Closes each connection at a question, once it has answered so many.
    pub fn dies_after(self, questions: u64) -> Server {
        self.mind.dies_after.store(questions, Ordering::SeqCst);
        self
    }

    /// Says that it has committed `height` and lacks `behind` blocks; each question makes up for 10 of them. From 2^63
    /// on it does not know how many.
    pub fn stands_at(self, height: u64, behind: u64) -> Server {
        self.mind.height.store(height, Ordering::SeqCst);
        self.mind.behind.store(behind, Ordering::SeqCst);
        self
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint { address: self.address.into(), fingerprint: self.fingerprint }
    }

    pub fn received(&self) -> Vec<Packet> {
        self.mind.received.lock().unwrap().clone()
    }
}

impl Mind {
    fn handle(&self, event: ClientEvent) -> Flow {
        let ClientEvent::Frame { client, frame } = event else { return Flow::Continue };
        match ClientFrame::decode(&frame.bytes).unwrap() {
            ClientFrame::Hello { .. } => {
                let welcome = ServerFrame::Welcome {
                    version: PROTOCOL_VERSION,
                    network: self.network,
                    validator: ValidatorIndex(0),
                    as_of: self.as_of(),
                    standing: Standing { epoch: Epoch(0), role: Role::Member },
                };
                client.send(welcome.encode()).unwrap();
            }
            ClientFrame::Submit { tag, packets, .. } => {
                let mut received = self.received.lock().unwrap();
                received.extend_from_slice(packets.packets());
                if received.len() as u64 > self.closes_after.load(Ordering::SeqCst) {
                    let reason = String::from("that is enough");
                    client.send(ServerFrame::Rejected { reason: reason.clone() }.encode()).unwrap();
                    return Flow::Close(reason);
                }
                self.answer(&client, tag, packets.packets());
            }
            ClientFrame::Query { .. } if self.is_dead() => return Flow::Close("it dies".into()),
            ClientFrame::Query { id, query: Query::Account { account, .. } } => {
                let base = 100 + account.0;
                let body = format!(
                    r#"{{"proof":{{"balance":5000,"key_version":1,"window_base":{base},"window_used":7}}}}"#
                );
                let body = body.into_bytes().into();
                client.send(ServerFrame::Answer { id, as_of: self.as_of(), body }.encode()).unwrap();
            }
            ClientFrame::Query { id, query: Query::Status } => {
                let made_up = self.behind.load(Ordering::SeqCst).min(10);
                self.behind.fetch_sub(made_up, Ordering::SeqCst);
                self.height.fetch_add(made_up, Ordering::SeqCst);
                let body = b"{}".as_slice().into();
                client.send(ServerFrame::Answer { id, as_of: self.as_of(), body }.encode()).unwrap();
            }
            ClientFrame::Query { .. } => panic!("the generator asks only for accounts and status"),
        }
        Flow::Continue
    }

    fn is_dead(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.dies_after.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err()
    }

    fn as_of(&self) -> AsOf {
        AsOf {
            height: Height(self.height.load(Ordering::SeqCst)),
            behind: Some(self.behind.load(Ordering::SeqCst)).filter(|behind| *behind < 1 << 63),
        }
    }

    /// Like a validator, it tells of a transaction under the tag of its first packet.
    fn answer(&self, client: &Client, first: u64, packets: &[Packet]) {
        let mut next = first;
        let tags = PacketRun::all(packets).map(|run| {
            let tag = next;
            next += run.packets().len() as u64;
            tag
        });
        let notices: Vec<_> =
            tags.filter_map(|tag| Some(Notice { tag, verdict: (self.verdict)(tag)? })).collect();
        if !notices.is_empty() {
            client.send(ServerFrame::Notices(notices).encode()).unwrap();
        }
    }
}
