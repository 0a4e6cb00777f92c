//! A value that is made once for all who want it at about the same time.
//!
//! ```text
//! who wants it ── new enough? ─▶ as it is
//!              └─ no ─▶ the first makes it, the others wait for the same one
//! ```

use std::future::Future;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// A value, and when its making began: what happened after that may be missing in it.
#[derive(Debug)]
pub struct Latest<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Latest<T> {
    /// The value, if its making began at `since` or later; else `make` makes it.
    pub async fn since(&self, since: Instant, make: impl Future<Output = T>) -> T {
        self.stamped(since, None, make).await
    }

    /// The value made from what was there at `moment` or later; else `make` makes it from what was there then, which a
    /// newer moment does not change any more.
    pub async fn of_moment(&self, moment: Instant, make: impl Future<Output = T>) -> T {
        self.stamped(moment, Some(moment), make).await
    }

    async fn stamped(&self, since: Instant, stamp: Option<Instant>, make: impl Future<Output = T>) -> T {
        let mut latest = self.0.lock().await;
        if let Some((made, value)) = &*latest
            && *made >= since
        {
            return value.clone();
        }
        let begun = stamp.unwrap_or_else(Instant::now);
        let value = make.await;
        *latest = Some((begun, value.clone()));
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
        crate::testing::run_paused(async {
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
            // It took three seconds to make, so it says nothing of the last second.
            assert_eq!(get(Instant::now() - Duration::from_secs(1)).await, 2);
            assert_eq!(get(Instant::now() - Duration::from_secs(3)).await, 2);
            sleep(Duration::from_secs(2)).await;
            assert_eq!(get(Instant::now() - Duration::from_secs(1)).await, 3);
        });
    }

    #[test]
    fn what_is_made_from_a_moment_is_of_that_moment_however_late_it_is_made() {
        crate::testing::run_paused(async {
            let (latest, first) = (Latest::default(), Instant::now());
            sleep(Duration::from_secs(1)).await;
            let second = Instant::now();
            // The second moment is there, and somebody still makes a page from the first one.
            assert_eq!(latest.of_moment(first, async { 1 }).await, 1);
            assert_eq!(latest.of_moment(first, async { 7 }).await, 1);
            assert_eq!(latest.of_moment(second, async { 2 }).await, 2);
        });
    }
}
