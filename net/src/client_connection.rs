//! A client's side: one connection to one validator, whose certificate is pinned.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use quinn::{Connection, ConnectionError, Endpoint, SendStream, TransportErrorCode};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::address::{Address, Names, Resolver};
use crate::endpoints;
use crate::errors::{ConnectError, LinkError, SendError};
use crate::frame::{FrameReader, LENGTH_BYTES, cost};
use crate::identity::Fingerprint;
use crate::metrics::Metrics;
use crate::tls::{self, CLIENT_PROTOCOLS, Pins, SERVER_NAME};
use crate::transport::{Calling, STREAM_WINDOW, Streams, handshake_words};

/// How a client connects.
#[derive(Debug, Clone, Copy)]
pub struct ConnectOptions {
    /// Give up after this.
    pub timeout: Duration,
    /// The longest frame, in either direction.
    pub frame_bytes_max: usize,
    /// Bytes that may be written and not acknowledged; beyond them `send` waits.
    pub send_window: u64,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), frame_bytes_max: 1 << 20, send_window: 4 << 20 }
    }
}

/// A connection to a validator, to be used inside a tokio runtime.
pub struct ClientConnection {
    /// The way to the validator.
    pub sender: ClientSender,
    /// The way back.
    pub receiver: ClientReceiver,
}

/// Writes frames to the validator.
pub struct ClientSender {
    stream: SendStream,
    connection: Connection,
    frame_bytes_max: usize,
}

/// How long one address of several is waited for before the next is called as well.
const NEXT_AFTER: Duration = Duration::from_millis(250);
/// How long the words that say why the validator ended its stream may be under way.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Reads frames from the validator.
pub struct ClientReceiver {
    reader: FrameReader,
    connection: Connection,
    // Ends with the last half.
    _endpoint: Endpoint,
}

impl ClientConnection {
    /// Connects to the validator whose certificate has this fingerprint, from a socket of its own. Where a name
    /// leads to several addresses, the next one is called 250 ms after the one before it, or as soon as that has
    /// failed; the first that answers as it should is taken.
    ///
    /// # Errors
    /// [`ConnectError`]: the name leads nowhere, no answer in time, a refusal, another certificate, or a failure of
    /// this machine. With several addresses, the error of the last one that failed.
    pub async fn connect(
        address: &Address,
        fingerprint: Fingerprint,
        options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        Self::connect_through(Names::default(), address, fingerprint, options).await
    }

    /// The same, with names looked up in another way.
    pub(crate) async fn connect_through(
        names: Names,
        address: &Address,
        fingerprint: Fingerprint,
        options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let timeout = options.timeout;
        let no_answer = || ConnectError::NoAnswer { address: address.clone(), timeout };
        let mut last = None;
        let connected = async {
            let mut resolver = Resolver::new(address.clone(), names);
            let found = resolver.resolve(timeout).await;
            let unresolved = |reason| ConnectError::Unresolved { address: address.clone(), reason };
            let mut waiting = found.map_err(unresolved)?.into_iter();
            let mut calls = JoinSet::new();
            loop {
                if let Some(remote) = waiting.next() {
                    calls.spawn(Self::call(address.clone(), remote, fingerprint, options));
                }
                let is_last = waiting.len() == 0;
                let ended = tokio::select! {
                    ended = calls.join_next() => ended,
                    () = tokio::time::sleep(NEXT_AFTER), if !is_last => continue,
                };
                match ended {
                    Some(Ok(Ok(connection))) => return Ok(connection),
                    Some(Ok(Err(error))) => last = Some(error),
                    Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
                    None if is_last => return Err(last.take().unwrap_or_else(no_answer)),
                    None => {}
                }
            }
        };
        let ended = tokio::time::timeout(timeout, connected).await;
        ended.unwrap_or_else(|_| Err(last.unwrap_or_else(no_answer)))
    }

    /// Calls one address of a validator.
    async fn call(
        address: Address,
        remote: SocketAddr,
        fingerprint: Fingerprint,
        options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let local = |source| ConnectError::Local { address: address.clone(), source };
        let pins = Pins::new(vec![fingerprint]);
        let streams =
            Streams { uni: 0, bi: 1, send_window: options.send_window, receive_window: STREAM_WINDOW };
        let config = tls::client(pins.clone(), CLIENT_PROTOCOLS, None)
            .and_then(|tls| Calling::new(tls, streams))
            .map_err(|error| local(std::io::Error::other(error)))?;
        let endpoint = endpoints::caller(remote, &Arc::new(Metrics::default())).map_err(local)?;
        let connecting = endpoint
            .connect_with(config.for_remote(remote), remote, SERVER_NAME)
            .map_err(|error| local(std::io::Error::other(error)))?;
        let failed = |error: ConnectionError| match pins.stranger() {
            Some(found) => {
                ConnectError::WrongFingerprint { address: address.clone(), expected: fingerprint, found }
            }
            None => refusal(&address, options.timeout, &error),
        };
        let connection = connecting.await.map_err(failed)?;
        let (stream, receiver) = connection.open_bi().await.map_err(failed)?;
        let frame_bytes_max = options.frame_bytes_max;
        let inbound = STREAM_WINDOW.max(cost(frame_bytes_max));
        Ok(Self {
            sender: ClientSender { stream, connection: connection.clone(), frame_bytes_max },
            receiver: ClientReceiver {
                reader: FrameReader::new(receiver, inbound, frame_bytes_max),
                connection,
                _endpoint: endpoint,
            },
        })
    }

    /// Both directions, for two tasks.
    pub fn split(self) -> (ClientSender, ClientReceiver) {
        (self.sender, self.receiver)
    }
}

impl ClientSender {
    /// Writes a frame; waits while the validator pushes back.
    ///
    /// # Errors
    /// [`LinkError`]: the connection has ended, or the frame is too large.
    pub async fn send(&mut self, bytes: Bytes) -> Result<(), LinkError> {
        self.send_all([bytes]).await
    }

    /// Writes several frames in one go.
    ///
    /// # Errors
    /// As [`Self::send`]; a frame that is too large is found before anything is written.
    pub async fn send_all(&mut self, frames: impl IntoIterator<Item = Bytes>) -> Result<(), LinkError> {
        let mut chunks = Vec::new();
        for bytes in frames {
            let (length, max) = (bytes.len(), self.frame_bytes_max);
            if length > max {
                let error = SendError::TooLarge { length, max };
                return Err(LinkError::Here(error.to_string()));
            }
            let mut prefix = BytesMut::with_capacity(LENGTH_BYTES);
            prefix.put_u32_le(length as u32);
            chunks.extend([prefix.freeze(), bytes]);
        }
        let written = self.stream.write_all_chunks(&mut chunks).await;
        written.map_err(|error| match self.connection.close_reason() {
            Some(reason) => LinkError::from(reason),
            None => LinkError::Lost(error.to_string()),
        })
    }

    /// Waits until the validator has acknowledged everything, then closes.
    pub async fn finish(mut self) {
        // Both fail only where the connection is closed already.
        let _ = self.stream.finish();
        let _ = self.stream.stopped().await;
        self.connection.close(0u32.into(), b"the client has ended");
    }
}

impl ClientReceiver {
    /// The next frame. A validator that wants no more of a client ends the stream after its last frame and then closes
    /// with a reason, which is the error.
    ///
    /// # Errors
    /// [`LinkError`]: the connection has ended, and why.
    pub async fn recv(&mut self) -> Result<Bytes, LinkError> {
        match self.reader.next().await? {
            Some(frame) => Ok(frame.bytes),
            None => Err(match tokio::time::timeout(LAST_WORDS, self.connection.closed()).await {
                Ok(reason) => reason.into(),
                Err(_) => LinkError::Closed("it ended the stream and gave no reason".to_owned()),
            }),
        }
    }
}

fn refusal(address: &Address, timeout: Duration, error: &ConnectionError) -> ConnectError {
    let address = address.clone();
    let reason = match error {
        ConnectionError::TimedOut => return ConnectError::NoAnswer { address, timeout },
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            "it has as many connections as it takes".to_owned()
        }
        other => handshake_words(other, CLIENT_PROTOCOLS),
    };
    ConnectError::Refused { address, reason }
}

/// The same for a caller without a runtime. A thread of its own keeps the connection going between
/// the calls.
pub struct BlockingConnection {
    handle: Handle,
    connection: ClientConnection,
    // Dropped last: the thread ends with it.
    _running: oneshot::Sender<()>,
}

impl BlockingConnection {
    /// Connects.
    ///
    /// # Errors
    /// As [`ClientConnection::connect`].
    pub fn connect(
        address: &Address,
        fingerprint: Fingerprint,
        options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let local = |source| ConnectError::Local { address: address.clone(), source };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(local)?;
        let handle = runtime.handle().clone();
        let (running, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("client".to_owned())
            .spawn(move || runtime.block_on(stopped))
            .map_err(local)?;
        let connecting = ClientConnection::connect(address, fingerprint, options);
        let connection = handle.block_on(connecting)?;
        Ok(Self { handle, connection, _running: running })
    }

    /// Sends a frame; waits while the validator pushes back.
    ///
    /// # Errors
    /// As [`ClientSender::send`].
    pub fn send(&mut self, bytes: Bytes) -> Result<(), LinkError> {
        self.handle.block_on(self.connection.sender.send(bytes))
    }

    /// Waits for a frame.
    ///
    /// # Errors
    /// As [`ClientReceiver::recv`]; and [`LinkError::Lost`] where no frame comes within `timeout`.
    pub fn recv(&mut self, timeout: Duration) -> Result<Bytes, LinkError> {
        self.handle.block_on(async {
            tokio::time::timeout(timeout, self.connection.receiver.recv())
                .await
                .unwrap_or_else(|_| Err(LinkError::Lost(format!("no answer within {timeout:?}"))))
        })
    }

    /// Closes after everything has been acknowledged.
    pub fn finish(self) {
        self.handle.block_on(self.connection.sender.finish());
    }
}
