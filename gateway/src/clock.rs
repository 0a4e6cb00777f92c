//! The time of day: the one place where the gateway asks for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since the Unix epoch, against which the ends of tokens are held.
pub fn unix_seconds() -> u64 {
    #[allow(
        clippy::disallowed_methods,
        reason = "tokens end at a time of day; nothing of the ledger depends on it"
    )]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
