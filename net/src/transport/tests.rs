use std::process::Command;

use super::*;
use crate::endpoints::{Endpoints, caller};
use crate::metrics::Metrics;
use crate::testing::{runtime, socket};
use crate::tls::{self, CLIENT_PROTOCOLS, Pins, SERVER_NAME};

/// How far below the largest datagram of a path quinn ends its search.
const SEARCH_STEP: u16 = 20;
/// So much goes through, in each case.
const BYTES: usize = 8 << 20;
const STREAMS: Streams = Streams { uni: 1, bi: 0, send_window: 4 << 20, receive_window: 4 << 20 };
/// So long that only a real hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends [`BYTES`] from this host to an address of it, and waits until datagrams are as large as `reached` wants them.
async fn carry(host: &str, reached: impl Fn(u16) -> bool) {
    let identity = Identity::generate("validator").unwrap();
    let accepting = Accepting::new(tls::server(&identity, CLIENT_PROTOCOLS, None).unwrap(), STREAMS).unwrap();
    let metrics = Arc::new(Metrics::default());
    let listening = socket(&format!("{host}:0"));
    let remote = listening.local_addr().unwrap();
    let endpoints = Endpoints::open(vec![listening], (&identity, "test"), &accepting, &metrics).unwrap();
    let server = endpoints.listening().next().unwrap().clone();
    let received = tokio::spawn(async move {
        let incoming = server.accept().await.unwrap();
        let from = incoming.remote_address();
        let connection = incoming.accept_with(accepting.for_remote(from)).unwrap().await.unwrap();
        let mut stream = connection.accept_uni().await.unwrap();
        (stream.read_to_end(BYTES).await.unwrap().len(), connection)
    });
    let tls = tls::client(Pins::new(vec![identity.fingerprint()]), CLIENT_PROTOCOLS, None).unwrap();
    let calling = Calling::new(tls, STREAMS).unwrap();
    let client = caller(remote, &metrics).unwrap();
    let connection =
        client.connect_with(calling.for_remote(remote), remote, SERVER_NAME).unwrap().await.unwrap();
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(&vec![7; BYTES]).await.unwrap();
    stream.finish().unwrap();
    let (bytes, _connection) = tokio::time::timeout(PATIENCE, received).await.expect("it arrives").unwrap();
    assert_eq!(bytes, BYTES);
    let mtu = || connection.stats().path.current_mtu;
    let grown = async {
        while !reached(mtu()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let grown = tokio::time::timeout(PATIENCE, grown).await;
    assert!(grown.is_ok(), "{host}: datagrams of {}", mtu());
}

#[test]
fn on_loopback_a_datagram_is_as_large_as_a_packet() {
    runtime().block_on(carry("127.0.0.1", |mtu| mtu == LOOPBACK_MTU));
    match std::net::UdpSocket::bind("[::1]:0") {
        Ok(_) => runtime().block_on(carry("[::1]", |mtu| mtu == LOOPBACK_MTU)),
        Err(error) => {
            eprintln!("SKIPPED: this machine has no IPv6 ({error}), so its loopback was not tested")
        }
    }
}

#[test]
fn who_shares_no_protocol_is_refused_and_both_say_which_ones_they_speak() {
    runtime().block_on(async {
        let identity = Identity::generate("validator").unwrap();
        let (older, newer): (&[&[u8]], &[&[u8]]) =
            (&[b"millrace-peer/1"], &[b"millrace-peer/3", b"millrace-peer/2"]);
        let accepting = Accepting::new(tls::server(&identity, newer, None).unwrap(), STREAMS).unwrap();
        let metrics = Arc::new(Metrics::default());
        let listening = socket("127.0.0.1:0");
        let remote = listening.local_addr().unwrap();
        let endpoints = Endpoints::open(vec![listening], (&identity, "test"), &accepting, &metrics).unwrap();
        let server = endpoints.listening().next().unwrap().clone();
        let answered = tokio::spawn(async move {
            let incoming = server.accept().await.unwrap();
            let from = incoming.remote_address();
            incoming.accept_with(accepting.for_remote(from))?.await.map(drop)
        });
        let tls = tls::client(Pins::new(vec![identity.fingerprint()]), older, None).unwrap();
        let calling = Calling::new(tls, STREAMS).unwrap();
        let client = caller(remote, &metrics).unwrap();
        let refused = client.connect_with(calling.for_remote(remote), remote, SERVER_NAME).unwrap().await;
        let words = handshake_words(&refused.unwrap_err(), older);
        assert!(words.contains("none of the protocols of this release (millrace-peer/1)"), "{words}");
        let words = handshake_words(&answered.await.unwrap().unwrap_err(), newer);
        assert!(words.contains("(millrace-peer/3, millrace-peer/2)"), "{words}");
    });
}

/// What the test below runs in a network of its own, where loopback has another size of frames.
#[test]
#[ignore = "run by paths_with_every_usual_size_of_frames_carry_everything"]
fn in_a_network_of_its_own() {
    let frame: u16 = std::env::var("FRAME_BYTES").unwrap().parse().unwrap();
    let largest = NETWORK_MTU.min(frame - 28);
    runtime().block_on(async {
        carry("10.9.9.1", |mtu| (largest - SEARCH_STEP..=largest).contains(&mtu)).await;
        // It begins with datagrams that are too large here, and must find that out.
        carry("127.0.0.1", |mtu| mtu <= frame - 28).await;
    });
}

#[test]
fn paths_with_every_usual_size_of_frames_carry_everything() {
    for frame in [1_500, 9_000, 16_384] {
        let network = format!("ip link set lo mtu {frame} up && ip address add 10.9.9.1/32 dev lo");
        let unshared = |then: &str| {
            let mut command = Command::new("unshare");
            command.args(["-rn", "sh", "-c", &format!("{network} && {then}")]);
            command.arg(std::env::current_exe().unwrap()).env("FRAME_BYTES", frame.to_string()).output()
        };
        if !unshared("true").is_ok_and(|output| output.status.success()) {
            eprintln!(
                "SKIPPED: no network of its own can be made here, so paths of {frame} bytes were not tested"
            );
            return;
        }
        let run = "exec \"$0\" --exact transport::tests::in_a_network_of_its_own --ignored --nocapture";
        let output = unshared(run).unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "frames of {frame} bytes: {said}");
    }
}
