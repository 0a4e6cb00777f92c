//! Virtual time: what happens later, and what has happened.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _, deterministic};
use rand_core_commonware::Rng as _;

/// Delays with the deterministic runtime's clock and randomness, and a list of events. Outside such a runtime
/// everything happens at once, and nothing is listed.
#[derive(Clone, Default)]
pub(crate) struct Pace(Option<Arc<Mutex<Inner>>>);

struct Inner {
    context: deterministic::Context,
    events: Vec<String>,
}

impl Pace {
    pub(crate) fn of(context: deterministic::Context) -> Self {
        Self(Some(Arc::new(Mutex::new(Inner { context, events: Vec::new() }))))
    }

    /// Does `action` after a random time of up to `most`.
    pub(crate) fn later(&self, most: Duration, action: impl FnOnce() + Send + 'static) {
        let Some(inner) = &self.0 else { return action() };
        let mut inner = inner.lock().unwrap();
        let delay = most.mul_f64(f64::from(inner.context.next_u32()) / f64::from(u32::MAX));
        let _task = inner.context.child("later").spawn(move |context| async move {
            context.sleep(delay).await;
            action();
        });
    }

    pub(crate) fn record(&self, event: impl FnOnce() -> String) {
        if let Some(inner) = &self.0 {
            let mut inner = inner.lock().unwrap();
            let now = inner.context.current().duration_since(UNIX_EPOCH).unwrap();
            inner.events.push(format!("{now:?} {}", event()));
        }
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.0.as_ref().map(|inner| inner.lock().unwrap().events.clone()).unwrap_or_default()
    }
}
