//! Peers that break rules: counted by name, said once in a while, and cut off when it goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::limits::VALIDATORS_MAX;
use engine::types::ValidatorIndex;
use net::{LogLimit, PeerNetwork};

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
}

/// The scores of all peers; at most one entry a validator.
#[derive(Debug)]
pub struct PeerScores {
    by_peer: BTreeMap<ValidatorIndex, Offender>,
    lines: LogLimit<ValidatorIndex>,
}

impl Default for PeerScores {
    fn default() -> Self {
        Self { by_peer: BTreeMap::new(), lines: LogLimit::new(SAY_EVERY, VALIDATORS_MAX) }
    }
}

impl PeerScores {
    /// A peer broke a rule.
    pub fn note(&mut self, peers: &PeerNetwork, peer: ValidatorIndex, what: &str, now: Duration) {
        let offender = self.by_peer.entry(peer).or_default();
        let forgiven = now.saturating_sub(offender.last).as_millis() / FORGIVE_EVERY.as_millis();
        offender.score = offender.score.saturating_sub(forgiven as u32) + 1;
        offender.last = now;
        if let Some(suppressed) = self.lines.admit(peer, now) {
            tracing::warn!(peer = peer.0, what, suppressed, "a peer breaks the protocol");
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
