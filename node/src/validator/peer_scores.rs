//! Peers that break rules: counted by name, said once in a while, and cut off when it goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::types::ValidatorIndex;
use net::PeerNetwork;

/// Each offence counts one, and one is forgiven in this time.
const FORGIVE_EVERY: Duration = Duration::from_millis(100);
/// A peer with so many offences that are not forgiven is disconnected…
const DISCONNECT_AT: u32 = 50;
/// …for this long.
const DISCONNECT_FOR: Duration = Duration::from_secs(10);
/// How often one peer is named in the log.
const SAY_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Offender {
    score: u32,
    last: Duration,
    said: Option<Duration>,
    unsaid: u64,
}

/// The scores of all peers; at most one entry a validator.
#[derive(Debug, Default)]
pub struct PeerScores {
    by_peer: BTreeMap<ValidatorIndex, Offender>,
}

impl PeerScores {
    /// A peer broke a rule.
    pub fn note(&mut self, peers: &PeerNetwork, peer: ValidatorIndex, what: &str, now: Duration) {
        let offender = self.by_peer.entry(peer).or_default();
        let forgiven = now.saturating_sub(offender.last).as_millis() / FORGIVE_EVERY.as_millis();
        offender.score = offender.score.saturating_sub(forgiven as u32) + 1;
        offender.last = now;
        offender.unsaid += 1;
        if offender.said.is_none_or(|said| now >= said + SAY_EVERY) {
            tracing::warn!(peer = peer.0, what, times = offender.unsaid, "a peer breaks the protocol");
            (offender.said, offender.unsaid) = (Some(now), 0);
        }
        if offender.score >= DISCONNECT_AT {
            tracing::warn!(
                peer = peer.0,
                what,
                "a peer breaks the protocol again and again, and is disconnected"
            );
            offender.score = 0;
            peers.disconnect(peer.0, &format!("too many offences, the last: {what}"), DISCONNECT_FOR);
        }
    }
}
