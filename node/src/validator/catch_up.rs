//! What the core has said last about a catch-up that blocks do not do: for the status. It is said again every second or
//! two while it is so.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::wire::answers::{FetchingAnswer, MissingAnswer};

/// What was not said again for so long is over.
const FRESH: Duration = Duration::from_secs(5);

/// What was said, and when.
#[derive(Debug, Default)]
pub struct CatchUp(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    missing: Option<(Duration, MissingAnswer)>,
    fetching: Option<(Duration, FetchingAnswer)>,
}

impl CatchUp {
    /// No connected validator keeps a block that is needed.
    pub fn missing(&self, what: MissingAnswer, now: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).missing = Some((now, what));
    }

    /// A state is being fetched.
    pub fn fetching(&self, what: FetchingAnswer, now: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fetching = Some((now, what));
    }

    /// What is so at present.
    pub fn now(&self, now: Duration) -> (Option<MissingAnswer>, Option<FetchingAnswer>) {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (fresh(&said.missing, now), fresh(&said.fetching, now))
    }
}

fn fresh<T: Clone>(said: &Option<(Duration, T)>, now: Duration) -> Option<T> {
    said.as_ref().filter(|(at, _)| now < *at + FRESH).map(|(_, what)| what.clone())
}

#[cfg(test)]
mod tests {
    use engine::types::Height;

    use super::*;

    #[test]
    fn what_is_not_said_again_is_over() {
        let (s, catch_up) = (Duration::from_secs, CatchUp::default());
        assert_eq!(catch_up.now(s(0)), (None, None));
        let missing = MissingAnswer { height: Height(7), kept_from: Height(90), fetches_states: true };
        let fetching = FetchingAnswer { height: Height(99), chunks: 1, of: 4, from: Vec::new() };
        catch_up.missing(missing.clone(), s(1));
        catch_up.fetching(fetching.clone(), s(3));
        assert_eq!(catch_up.now(s(5)), (Some(missing), Some(fetching.clone())));
        assert_eq!(catch_up.now(s(7)), (None, Some(fetching)));
        assert_eq!(catch_up.now(s(9)), (None, None));
    }
}
