//! A client's side: one connection to one validator, whose certificate is pinned.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use quinn::{Connection, ConnectionError, Endpoint, SendStream, TokioRuntime, TransportErrorCode};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::errors::{ConnectError, LinkError, SendError};
use crate::frame::{FrameReader, LENGTH_BYTES, cost};
use crate::identity::Fingerprint;
use crate::metrics::Metrics;
use crate::tls::{self, CLIENT_PROTOCOL, Pins, SERVER_NAME};
use crate::transport::{self, STREAM_WINDOW, Streams, closing_words};

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
    /// Connects to the validator whose certificate has this fingerprint, from a socket of its own.
    ///
    /// # Errors
    /// [`ConnectError`]: no answer in time, a refusal, another certificate, or a failure of this machine.
    pub async fn connect(
        address: SocketAddr,
        fingerprint: Fingerprint,
        options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let local = |source| ConnectError::Local { address, source };
        let pins = Pins::new(vec![fingerprint]);
        let streams =
            Streams { uni: 0, bi: 1, send_window: options.send_window, receive_window: STREAM_WINDOW };
        let config = tls::client(pins.clone(), CLIENT_PROTOCOL, None)
            .and_then(|tls| transport::calling(tls, streams, address))
            .map_err(|error| local(std::io::Error::other(error)))?;
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).map_err(local)?;
        let socket = crate::socket::wrap(socket, None, Arc::new(Metrics::default())).map_err(local)?;
        let endpoint = Endpoint::new_with_abstract_socket(
            transport::endpoint(None),
            None,
            socket,
            Arc::new(TokioRuntime),
        )
        .map_err(local)?;
        let connecting = endpoint
            .connect_with(config, address, SERVER_NAME)
            .map_err(|error| local(std::io::Error::other(error)))?;
        let timeout = options.timeout;
        let failed = |error: ConnectionError| match pins.stranger() {
            Some(found) => ConnectError::WrongFingerprint { address, expected: fingerprint, found },
            None => refusal(address, timeout, &error),
        };
        let opened = tokio::time::timeout(timeout, async {
            let connection = connecting.await?;
            let (sender, receiver) = connection.open_bi().await?;
            Ok((connection, sender, receiver))
        });
        let (connection, stream, receiver) =
            opened.await.map_err(|_| ConnectError::NoAnswer { address, timeout })?.map_err(failed)?;
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

fn refusal(address: SocketAddr, timeout: Duration, error: &ConnectionError) -> ConnectError {
    let reason = match error {
        ConnectionError::TimedOut => return ConnectError::NoAnswer { address, timeout },
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            "it has as many connections as it takes".to_owned()
        }
        other => closing_words(other),
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
        address: SocketAddr,
        fingerprint: Fingerprint,
        options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let local = |source| ConnectError::Local { address, source };
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
