//! One validator's networking: a thread, a runtime on it, the port for peers and the port for clients.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use quinn::Endpoint;
use tokio::sync::oneshot;

use crate::clients::{ClientEvent, ClientSettings, Port};
use crate::clock::Clock;
use crate::errors::NetError;
use crate::identity::Identity;
use crate::metrics::{Metrics, Snapshot};
use crate::peers::{Mesh, PeerEvent, PeerNetwork, PeerSettings};
use crate::transport::close;

/// How often a stopping network looks whether everything has been acknowledged.
const FLUSH_POLL: Duration = Duration::from_millis(5);
/// How long it waits for its closing words to be on the way.
const FAREWELL_LIMIT: Duration = Duration::from_millis(300);

/// What a handler answers to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Close the connection that the event came from, with these words to the other side.
    Close(String),
}

/// Everything that a validator's network needs to know.
#[derive(Debug)]
pub struct Settings {
    /// Name of the thread.
    pub thread_name: String,
    /// Shown to peers and to clients.
    pub identity: Identity,
    /// The port for peers, where there are any.
    pub peers: Option<PeerSettings>,
    /// The port for clients, where they are wanted.
    pub clients: Option<ClientSettings>,
}

/// A running network. Dropping it closes every connection and waits for the thread.
pub struct Network {
    mesh: Option<Arc<Mesh>>,
    metrics: Arc<Metrics>,
    stop: Option<oneshot::Sender<Duration>>,
    thread: Option<JoinHandle<()>>,
}

impl Network {
    /// Starts the thread. The handlers run on it, from before this function returns; they must not
    /// block, for every connection waits while they run.
    ///
    /// # Errors
    /// [`NetError`]: a port, the identity or the settings cannot be used, or the system gives no thread.
    pub fn start(
        settings: Settings,
        on_peer: impl Fn(PeerEvent) -> Flow + Send + Sync + 'static,
        on_client: impl Fn(ClientEvent) -> Flow + Send + Sync + 'static,
    ) -> Result<Self, NetError> {
        let Settings { thread_name, identity, peers, clients } = settings;
        let (metrics, clock) = (Arc::new(Metrics::default()), Clock::start());
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(NetError::Thread)?;
        // Sockets register with the runtime that is entered.
        let entered = runtime.enter();
        let mesh = peers
            .map(|peers| Mesh::open(peers, &identity, Box::new(on_peer), metrics.clone(), clock))
            .transpose()?;
        let clients = clients
            .map(|clients| Port::open(clients, &identity, Box::new(on_client), metrics.clone(), clock))
            .transpose()?;
        drop(entered);

        let (stop, stopped) = oneshot::channel();
        let (mesh, opened) = mesh.unzip();
        let handle = mesh.clone();
        let thread = std::thread::Builder::new()
            .name(thread_name)
            .spawn(move || {
                runtime.block_on(async move {
                    let mut endpoints = Vec::new();
                    if let (Some(mesh), Some(opened)) = (&mesh, opened) {
                        endpoints.push(opened.endpoints.clone());
                        mesh.clone().run(opened);
                    }
                    if let Some(clients) = &clients {
                        endpoints.push(clients.endpoints().clone());
                        clients.clone().run();
                    }
                    // An error means that the handle was dropped, which means stop at once.
                    let linger = stopped.await.unwrap_or_default();
                    let unsent = || {
                        mesh.as_ref().is_some_and(|mesh| mesh.unsent())
                            || clients.as_ref().is_some_and(|clients| clients.unsent())
                    };
                    let flush = async {
                        while unsent() {
                            tokio::time::sleep(FLUSH_POLL).await;
                        }
                    };
                    let _ = tokio::time::timeout(linger, flush).await;
                    say_farewell(&endpoints.iter().flat_map(|of| of.all()).collect::<Vec<_>>()).await;
                });
                // A lookup of a name may still hang; nobody waits for it any more.
                runtime.shutdown_background();
            })
            .map_err(NetError::Thread)?;
        Ok(Self { mesh: handle, metrics, stop: Some(stop), thread: Some(thread) })
    }

    /// The way to the peers, for any thread; `None` where the settings had none.
    pub fn peers(&self) -> Option<PeerNetwork> {
        self.mesh.clone().map(PeerNetwork::new)
    }

    /// All counters at this moment.
    pub fn metrics(&self) -> Snapshot {
        self.metrics.snapshot()
    }

    /// The counters themselves, for those who read them as long as they like: they keep nothing of the network in use.
    pub fn counters(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Stops: waits at most `linger` until all that was sent has been acknowledged, closes every
    /// connection with a word, frees the ports and ends the thread.
    pub fn shutdown(mut self, linger: Duration) {
        self.stop(linger);
    }

    fn stop(&mut self, linger: Duration) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by a panic; the join below tells.
            let _ = stop.send(linger);
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the network thread has panicked");
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

async fn say_farewell(endpoints: &[Endpoint]) {
    for endpoint in endpoints {
        endpoint.close(close::STOPPING.into(), b"the validator is stopping");
    }
    let idle = async {
        for endpoint in endpoints {
            endpoint.wait_idle().await;
        }
    };
    let _ = tokio::time::timeout(FAREWELL_LIMIT, idle).await;
}
