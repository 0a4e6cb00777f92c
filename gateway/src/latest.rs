//! A value that is made once for all who want it at about the same time.
//!
//! ```text
//! who wants it ── new enough? ─▶ as it is
//!              └─ no ─▶ the first makes it, the others wait for the same one
//! ```

use std::future::Future;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// A value, and when it was made.
#[derive(Debug)]
pub struct Latest<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Latest<T> {
    /// The value, made at `since` or later; else `make` makes it. Its age counts from when it was made, so that those
    /// who have waited for a slow node do not all ask it again.
    pub async fn since(&self, since: Instant, make: impl Future<Output = T>) -> T {
        let mut latest = self.0.lock().await;
        if let Some((made, value)) = &*latest
            && *made >= since
        {
            return value.clone();
        }
        let value = make.await;
        *latest = Some((Instant::now(), value.clone()));
        value
    }

    /// Whether nobody waits for it, and it was made before `since` or never.
    pub fn is_older(&self, since: Instant) -> bool {
        self.0.try_lock().is_ok_and(|latest| latest.as_ref().is_none_or(|(made, _)| *made < since))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::time::sleep;

    use super::*;

    #[test]
    fn many_who_come_together_make_it_once_and_later_ones_make_it_again() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (latest, made) = (Latest::default(), AtomicU32::new(0));
            let begun = Instant::now();
            let get = |since| {
                latest.since(since, async {
                    sleep(Duration::from_secs(3)).await;
                    made.fetch_add(1, SeqCst) + 1
                })
            };
            assert!(latest.is_older(begun));
            assert_eq!(join_all((0..50).map(|_| get(begun))).await, [1; 50]);
            assert!(!latest.is_older(begun));
            // Three seconds went by while it was made, and it is new nevertheless.
            assert_eq!(get(Instant::now() - Duration::from_secs(1)).await, 1);
            sleep(Duration::from_secs(2)).await;
            assert_eq!(get(Instant::now() - Duration::from_secs(1)).await, 2);
        });
    }
}
