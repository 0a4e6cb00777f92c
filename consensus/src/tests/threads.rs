//! Engines on threads of their own, in real time.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::{cluster::Cluster, validator::Behaviour};
use crate::StopReason;

/// On threads the harness waits by blocking, so its futures are ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the harness blocks"),
    }
}

#[test]
fn four_threads_agree_over_a_crash() {
    let mut cluster = Cluster::on_threads(4);
    cluster.start_all();
    now(cluster.wait_past(10));
    cluster.crash(3);
    cluster.start(3);
    now(cluster.wait_past(cluster.last(0) + 5));
    cluster.assert_agreement();
    for (_, validator) in std::mem::take(&mut cluster.running) {
        validator.handle.stop();
        assert_eq!(validator.application.lock().stopped, [StopReason::Requested]);
    }
}

#[test]
fn a_panicking_application_stops_the_engine_and_is_told() {
    let mut cluster = Cluster::on_threads(1);
    cluster.start_as(0, Behaviour::PanicsOnPropose);
    now(cluster.wait(0, "the end", |seen| !seen.stopped.is_empty()));
    let seen = cluster.application(0).lock();
    assert!(
        matches!(&seen.stopped[..], [StopReason::Panic(why)] if why.contains("asked to propose in view 1"))
    );
}
