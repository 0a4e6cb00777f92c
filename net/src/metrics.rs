//! Counters, by name. They only grow; a rate takes two snapshots.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// One counter.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(out)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of one validator's network.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        /// The value of every counter at one moment.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        pub struct Snapshot {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Metrics {
            /// Reads all counters.
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.get(),)+ }
            }
        }

        impl Snapshot {
            /// Names and values, for a report.
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }
        }
    };
}

counters! {
    /// UDP payload bytes sent, both ports.
    udp_bytes_sent,
    /// UDP payload bytes received, both ports.
    udp_bytes_received,
    /// Datagrams that belong to no connection of ours and open none.
    datagrams_stray,
    /// Frames taken for peers.
    peer_frames_sent,
    /// Bytes of those frames.
    peer_bytes_sent,
    /// Frames delivered from peers.
    peer_frames_received,
    /// Bytes of those frames.
    peer_bytes_received,
    /// Frames for peers that found their queue full.
    peer_frames_full,
    /// Frames for peers that were not connected.
    peer_frames_unconnected,
    /// Peer connections that came up.
    peer_connected,
    /// Peer connections that ended.
    peer_disconnected,
    /// Peers that broke the framing.
    peer_violations,
    /// Handshakes refused: the certificate belongs to no validator.
    refused_unknown,
    /// Handshakes refused: no certificate was shown.
    refused_no_certificate,
    /// Handshakes refused: a validator that should be called, not call.
    refused_direction,
    /// Handshakes that failed otherwise, or were not finished in time.
    refused_handshake,
    /// Connections refused because there were too many.
    refused_limit,
    /// Clients refused because there were too many from their address.
    refused_address,
    /// Handshakes refused: the peer is excluded at present.
    refused_excluded,
    /// Peers that were disconnected and excluded for a while because they misbehaved.
    peers_excluded,
    /// Connections refused, here or by a peer, because another process uses the same identity. More
    /// than none is an alarm.
    duplicate_identities,
    /// Callers that were asked to show that their address is their own.
    handshakes_retried,
    /// First datagrams of callers ignored because every place was taken; callers repeat them.
    handshakes_ignored,
    /// Unfinished handshakes that gave their place to a newer one.
    handshakes_displaced,
    /// Clients closed because their first frame did not come in time.
    client_silent,
    /// Clients that gave their place to a newer one before their first frame came.
    client_displaced,
    /// Introduced clients that gave their place to a newcomer, because all were taken and they were idle longest.
    client_gave_way,
    /// Clients closed because the queues of all clients together were nearly full and theirs was the largest.
    client_shed,
    /// Clients that connected.
    client_connected,
    /// Clients that went.
    client_disconnected,
    /// Clients closed because they broke the framing.
    client_violations,
    /// Clients closed because they stopped reading.
    client_stalled,
    /// Frames delivered from clients.
    client_frames_received,
    /// Bytes of those frames.
    client_bytes_received,
    /// Frames taken for clients.
    client_frames_sent,
    /// Bytes of those frames.
    client_bytes_sent,
    /// Frames for clients that found their queue full.
    client_frames_full,
}
