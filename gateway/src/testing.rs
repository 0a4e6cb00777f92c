//! How tests of this crate run what waits: on one thread, in real time or in time that passes when nothing else is to
//! be done.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

fn runtime(is_paused: bool) -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(is_paused).build().unwrap()
}

/// Runs it in real time.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    runtime(false).block_on(test)
}

/// Runs it in time of its own: a sleep ends at once where nothing else is to be done.
pub(crate) fn run_paused<T>(test: impl Future<Output = T>) -> T {
    runtime(true).block_on(test)
}
