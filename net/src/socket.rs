//! The UDP sockets: opened with an error that says what to do, counted, and with room for bursts.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, ConnectionIdGenerator, Runtime, TokioRuntime, UdpPoller};
use socket2::{Domain, Socket, Type};

use crate::errors::NetError;
use crate::metrics::Metrics;
use crate::transport::AT_ONCE_MAX;

/// A burst of several peers at once must fit, or the kernel drops it and congestion control pays.
/// The kernel grants what `net.core.rmem_max` allows.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// Opens UDP ports, before anything else is started. `[::]` takes calls over IPv4 as well, unless an IPv4 address with
/// the same port is listed beside it.
///
/// # Errors
/// [`NetError::AddressInUse`], [`NetError::Bind`].
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<UdpSocket>, NetError> {
    let has_ipv4 = |port| addresses.iter().any(|other| other.is_ipv4() && other.port() == port);
    let open = |address: &SocketAddr| {
        let socket = Socket::new(Domain::for_address(*address), Type::DGRAM, None)?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            socket.set_only_v6(has_ipv4(address.port()))?;
        }
        socket.bind(&(*address).into())?;
        Ok(socket.into())
    };
    let failed = |address: SocketAddr, source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => NetError::AddressInUse { address },
        _ => NetError::Bind { address, source },
    };
    addresses.iter().map(|address| open(address).map_err(|source| failed(*address, source))).collect()
}

/// Gives the socket to the runtime; must be called inside it.
pub(crate) fn wrap(
    socket: UdpSocket,
    ids: Option<Box<dyn ConnectionIdGenerator>>,
    metrics: Arc<Metrics>,
) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let state = UdpSocketState::new((&socket).into())?;
    state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER_BYTES)?;
    state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER_BYTES)?;
    Ok(Arc::new(Counted { inner: TokioRuntime.wrap_udp_socket(socket)?, ids, metrics }))
}

/// A socket that counts what passes and what cannot be meant for us.
struct Counted {
    inner: Arc<dyn AsyncUdpSocket>,
    /// Recognizes the connection ids that we gave out; a port that only dials has none.
    ids: Option<Box<dyn ConnectionIdGenerator>>,
    metrics: Arc<Metrics>,
}

impl Counted {
    fn is_stray(&self, datagram: &[u8]) -> bool {
        let Some(ids) = &self.ids else { return false };
        match datagram {
            // Long header: the start of a handshake, of the one version there is.
            [first, rest @ ..] if first & 0x80 != 0 => !rest.starts_with(&1u32.to_be_bytes()),
            // Short header: one of our connection ids follows.
            [_, rest @ ..] if rest.len() >= ids.cid_len() => {
                let id = quinn::ConnectionId::new(&rest[..ids.cid_len()]);
                ids.validate(&id).is_err()
            }
            _ => true,
        }
    }
}

impl Counted {
    fn send_at_once(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)?;
        self.metrics.udp_bytes_sent.add(transmit.contents.len() as u64);
        Ok(())
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(out)
    }
}

impl AsyncUdpSocket for Counted {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(length) = transmit.segment_size else { return self.send_at_once(transmit) };
        // A run that is too long for one call is sent in parts. Where a later part finds no room, all of them are sent
        // again, and the other side drops what it has.
        let at_once = (AT_ONCE_MAX as usize / length).max(1) * length;
        for contents in transmit.contents.chunks(at_once) {
            self.send_at_once(&Transmit {
                destination: transmit.destination,
                ecn: transmit.ecn,
                contents,
                segment_size: Some(length),
                src_ip: transmit.src_ip,
            })?;
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = std::task::ready!(self.inner.poll_recv(context, buffers, meta))?;
        for (buffer, meta) in buffers.iter().zip(meta.iter()).take(received) {
            let bytes = &buffer[..meta.len];
            self.metrics.udp_bytes_received.add(bytes.len() as u64);
            let strays = bytes.chunks(meta.stride.max(1)).filter(|datagram| self.is_stray(datagram)).count();
            self.metrics.datagrams_stray.add(strays as u64);
        }
        Poll::Ready(Ok(received))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    /// Only sizes the receive buffer: slots × this × the largest datagram. Ours take 64 KiB, which is
    /// as much as the kernel ever joins together, so that one is enough (2 MiB instead of 128).
    fn max_receive_segments(&self) -> usize {
        1
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}
