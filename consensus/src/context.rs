//! The runtime that the engine sees: a commonware runtime for time, tasks, metrics and randomness; our own storage.

use std::{
    convert::Infallible,
    future::Future,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, SystemTime},
};

use commonware_runtime::{
    BlobVersion, Clock, Error, Handle, Metrics, Name, Spawner, Storage, Supervisor,
    signal::Signal,
    telemetry::metrics::{Metric, Registered},
};
use rand_core_commonware::{CryptoRng, TryCryptoRng, TryRng};

use crate::store::{blob::Blob, volume::Volume};

/// What an engine needs of a commonware runtime; every context of theirs has it.
pub trait Runtime: Clock + CryptoRng + Spawner + Metrics {}

impl<R: Clock + CryptoRng + Spawner + Metrics> Runtime for R {}

/// One node of the tree of tasks.
pub(crate) struct Context<R> {
    pub(crate) runtime: R,
    pub(crate) volume: Arc<Volume>,
}

impl<R: Runtime> Supervisor for Context<R> {
    fn name(&self) -> Name {
        self.runtime.name()
    }

    fn child(&self, label: &'static str) -> Self {
        Self { runtime: self.runtime.child(label), volume: self.volume.clone() }
    }

    fn with_attribute(self, key: &'static str, value: impl std::fmt::Display) -> Self {
        Self { runtime: self.runtime.with_attribute(key, value), volume: self.volume }
    }
}

impl<R: Runtime> Spawner for Context<R> {
    fn shared(self, blocking: bool) -> Self {
        Self { runtime: self.runtime.shared(blocking), volume: self.volume }
    }

    fn dedicated(self) -> Self {
        Self { runtime: self.runtime.dedicated(), volume: self.volume }
    }

    fn spawn<F, Fut, T>(self, f: F) -> Handle<T>
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let volume = self.volume;
        self.runtime.spawn(move |runtime| f(Self { runtime, volume }))
    }

    async fn stop(self, value: i32, timeout: Option<Duration>) -> Result<(), Error> {
        self.runtime.stop(value, timeout).await
    }

    fn stopped(&self) -> Signal {
        self.runtime.stopped()
    }
}

impl<R: Runtime> Metrics for Context<R> {
    fn register<N: Into<String>, H: Into<String>, M: Metric>(
        &self,
        name: N,
        help: H,
        metric: M,
    ) -> Registered<M> {
        self.runtime.register(name, help, metric)
    }

    fn encode(&self) -> String {
        self.runtime.encode()
    }
}

impl<R: Runtime> governor::clock::Clock for Context<R> {
    type Instant = SystemTime;

    fn now(&self) -> SystemTime {
        self.runtime.current()
    }
}

impl<R: Runtime> governor::clock::ReasonablyRealtime for Context<R> {}

impl<R: Runtime> Clock for Context<R> {
    fn current(&self) -> SystemTime {
        self.runtime.current()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<R> {
        self.runtime.sleep(duration)
    }

    fn sleep_until(&self, deadline: SystemTime) -> impl Future<Output = ()> + Send + 'static + use<R> {
        self.runtime.sleep_until(deadline)
    }
}

impl<R: Runtime> TryRng for Context<R> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.runtime.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.runtime.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.runtime.try_fill_bytes(bytes)
    }
}

impl<R: Runtime> TryCryptoRng for Context<R> {}

impl<R: Runtime> Storage for Context<R> {
    type Blob = Blob;

    async fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(Blob, u64, BlobVersion), Error> {
        self.volume.open(partition, name, versions).await
    }

    async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        self.volume.remove(partition, name).await
    }

    async fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        self.volume.scan(partition)
    }
}
