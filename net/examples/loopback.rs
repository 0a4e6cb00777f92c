//! What a byte costs on loopback: two or more networks in this process, one of them sends to all the
//! others as a validator disseminates its batches, and the CPU time of the whole process is divided by
//! the bytes that arrived (so both ends are in it).
//!
//! `cargo run --release -p net --example loopback -- [RECEIVERS] [SECONDS]`

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use net::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let receivers = arguments.next().transpose()?.unwrap_or(1) as usize;
    let seconds = arguments.next().transpose()?.unwrap_or(2);
    println!("frame KiB   MB/s arriving   frames/s   CPU ns/byte (both ends)");
    for frame_bytes in [512, 16 << 10, 64 << 10, 128 << 10, 512 << 10] {
        measure(receivers, frame_bytes, Duration::from_secs(seconds))?;
    }
    Ok(())
}

fn measure(receivers: usize, frame_bytes: usize, time: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let arrived = Arc::new(AtomicU64::new(0));
    let channel = Channel {
        name: "bulk",
        priority: 0,
        frame_bytes_max: 1 << 20,
        queue_bytes: 4 << 20,
        inbound_bytes: 4 << 20,
        on_full: OnFull::Refuse,
    };
    let count = receivers + 1;
    let identities =
        (0..count).map(|index| Identity::generate(&format!("v{index}"))).collect::<Result<Vec<_>, _>>()?;
    let sockets = bind(&vec![([127, 0, 0, 1], 0).into(); count])?;
    let addresses = sockets.iter().map(|socket| socket.local_addr()).collect::<Result<Vec<_>, _>>()?;
    let mut networks = Vec::new();
    for (me, socket) in sockets.into_iter().enumerate() {
        let peers = (0..count).filter(|index| *index != me).map(|index| Peer {
            index: index as u16,
            address: addresses[index].into(),
            fingerprint: identities[index].fingerprint(),
        });
        let arrived = arrived.clone();
        networks.push(Network::start(
            Settings {
                thread_name: format!("net-{me}"),
                identity: identities[me].clone(),
                peers: Some(PeerSettings {
                    me: me as u16,
                    known_as: identities[me].fingerprint(),
                    sockets: vec![socket],
                    names: Names::default(),
                    peers: peers.collect(),
                    channels: vec![channel.clone()],
                }),
                clients: None,
            },
            move |event| {
                if let PeerEvent::Message { frame, .. } = event {
                    arrived.fetch_add(frame.len() as u64, Ordering::Relaxed);
                }
                Flow::Continue
            },
            |_| Flow::Continue,
        )?);
    }
    let sender = networks[0].peers().ok_or("peers were set")?;
    while sender.connected().len() < receivers {
        std::thread::sleep(Duration::from_millis(5));
    }
    let frame = Bytes::from(vec![7u8; frame_bytes]);
    let start = Instant::now();
    let mut before = None;
    let warm_up = time / 4;
    while start.elapsed() < time + warm_up {
        if before.is_none() && start.elapsed() >= warm_up {
            before = Some((Instant::now(), arrived.load(Ordering::Relaxed), cpu_time()));
        }
        let mut sent = false;
        for peer in 1..=receivers as u16 {
            sent |= sender.send(peer, 0, frame.clone()).is_ok();
        }
        if !sent {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    let (since, bytes, cpu) = before.ok_or("the warm-up has passed")?;
    let bytes = (arrived.load(Ordering::Relaxed) - bytes) as f64;
    let cpu = (cpu_time() - cpu).as_nanos() as f64;
    let elapsed = since.elapsed().as_secs_f64();
    println!(
        "{:9.1}   {:13.0}   {:8.0}   {:.3}",
        frame_bytes as f64 / 1024.0,
        bytes / elapsed / 1e6,
        bytes / frame_bytes as f64 / elapsed,
        cpu / bytes,
    );
    Ok(())
}

fn cpu_time() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for one `rusage`, which the call fills; all-zero is a valid one too.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let time = |value: libc::timeval| {
        Duration::from_secs(value.tv_sec as u64) + Duration::from_micros(value.tv_usec as u64)
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}
