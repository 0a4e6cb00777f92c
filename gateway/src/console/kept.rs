//! Pages that follow the node, made once a second for all visitors.
//!
//! ```text
//! path and language ── made from the node's newest moment? ─▶ as it is
//!                   └─ no ─▶ one visitor has it made, the others wait for it
//! ```
//!
//! What is around a page (the session, the links to other languages) is each visitor's own, and is not kept.
//!
//! Invariant: at most [`QUERIES_MAX`] pages with a query are kept, and those without one are as many as the console
//! has. A page for which there is no room is made for its visitor alone.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::page::Page;
use crate::failure::Failure;
use crate::latest::Latest;

/// Pages with something behind the question mark that are kept.
const QUERIES_MAX: usize = 64;

/// A page, or why there is none.
type Made = Result<Arc<Page>, Failure>;
/// A language, and a path with its query.
pub(super) type Key = (&'static str, String);

/// The pages.
#[derive(Default)]
pub(super) struct Kept(Mutex<BTreeMap<Key, Arc<Latest<Made>>>>);

impl Kept {
    /// The page under a key, made from the node's moment `since` or a newer one.
    pub(super) async fn page(
        &self,
        key: Key,
        since: Instant,
        make: impl Future<Output = Result<Page, Failure>>,
    ) -> Made {
        let make = async { make.await.map(Arc::new) };
        match self.place(key, since) {
            Some(place) => place.of_moment(since, make).await,
            None => make.await,
        }
    }

    fn place(&self, key: Key, since: Instant) -> Option<Arc<Latest<Made>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = all.get(&key) {
            return Some(place.clone());
        }
        let has_query = |(_, path): &Key| path.contains('?');
        let is_full = |all: &BTreeMap<Key, _>| all.keys().filter(|key| has_query(key)).count() >= QUERIES_MAX;
        if has_query(&key) && is_full(&all) {
            // Somebody who has it already needs no place for it.
            all.retain(|key, page| !has_query(key) || !page.is_older(since));
            if is_full(&all) {
                return None;
            }
        }
        Some(all.entry(key).or_default().clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::time::Duration;

    use futures_util::future::join_all;
    use maud::html;
    use tokio::time::sleep;

    use super::*;
    use crate::testing::run_paused;

    #[test]
    fn however_many_look_a_page_is_made_once_a_moment() {
        run_paused(async {
            let (kept, made) = (Kept::default(), AtomicU32::new(0));
            let make = || async {
                made.fetch_add(1, SeqCst);
                Ok(Page::live("/", "A", html! { "a" }))
            };
            let (kept, make) = (&kept, &make);
            let mut moment = Instant::now();
            for count in 1..=3 {
                let viewers = (0..20).map(|_| kept.page(("en", "/transactions".to_owned()), moment, make()));
                assert!(join_all(viewers).await.iter().all(Result::is_ok));
                assert_eq!(made.load(SeqCst), count);
                sleep(Duration::from_secs(1)).await;
                moment = Instant::now();
            }
            kept.page(("zh", "/transactions".to_owned()), moment, make()).await.unwrap();
            assert_eq!(made.load(SeqCst), 4, "another language");
            kept.page(("zh", "/transactions?chain=2".to_owned()), moment, make()).await.unwrap();
            assert_eq!(made.load(SeqCst), 5, "another chain");
        });
    }

    #[test]
    fn a_failure_is_told_to_all_who_wait_and_not_asked_for_again() {
        run_paused(async {
            let (kept, made) = (Kept::default(), AtomicU32::new(0));
            let (kept, moment) = (&kept, Instant::now());
            let make = || async {
                made.fetch_add(1, SeqCst);
                sleep(Duration::from_secs(10)).await;
                Err(Failure::unavailable("gone"))
            };
            let viewers = (0..20).map(|_| kept.page(("en", "/governance".to_owned()), moment, make()));
            assert!(join_all(viewers).await.iter().all(Result::is_err));
            assert_eq!(made.load(SeqCst), 1);
        });
    }

    #[test]
    fn one_who_asks_for_many_pages_leaves_room_for_those_that_all_look_at() {
        run_paused(async {
            let (kept, moment) = (Kept::default(), Instant::now());
            let make = || async { Ok(Page::live("/", "A", html! { "a" })) };
            for account in 0..2 * QUERIES_MAX {
                let path = format!("/transactions?account={account}");
                assert!(kept.page(("en", path), moment, make()).await.is_ok());
            }
            assert_eq!(kept.0.lock().unwrap().len(), QUERIES_MAX);
            assert!(kept.place(("en", "/transactions".to_owned()), moment).is_some());
            // With the next moment the old ones make room.
            sleep(Duration::from_secs(1)).await;
            assert!(kept.place(("en", "/blocks?before=7".to_owned()), Instant::now()).is_some());
        });
    }
}
