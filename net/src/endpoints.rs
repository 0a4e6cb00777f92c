//! The QUIC endpoints of one purpose: one for each address that is listened on, and which of them calls somebody.
//!
//! A call goes out from the socket that the answer comes back to: from the address that the kernel would take for the
//! way to the other side, if one of the sockets has it, so that a peer recognizes who calls by the address. Where none
//! of them leads there, a socket of its own does, which takes no calls.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use quinn::{Endpoint, TokioRuntime};

use crate::errors::NetError;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::transport::{self, Accepting, ConnectionIds, is_loopback};

/// The endpoints for peers, or those for clients.
pub(crate) struct Endpoints {
    listening: Vec<(SocketAddr, Endpoint)>,
    /// Those that only call, made when one is needed: over IPv4 and over IPv6.
    calling: Mutex<[Option<Endpoint>; 2]>,
    metrics: Arc<Metrics>,
}

impl Endpoints {
    /// Takes the sockets over; must be called inside the runtime.
    pub(crate) fn open(
        sockets: Vec<UdpSocket>,
        (identity, purpose): (&Identity, &str),
        accepting: &Accepting,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, NetError> {
        let open = |socket: UdpSocket| {
            let address = socket.local_addr()?;
            let ids = ConnectionIds::new(identity, purpose).generator();
            let socket = crate::socket::wrap(socket, Some(ids), metrics.clone())?;
            let config = transport::endpoint(Some((identity, purpose)));
            let accepting = Some(accepting.any());
            let runtime = Arc::new(TokioRuntime);
            Ok((address, Endpoint::new_with_abstract_socket(config, accepting, socket, runtime)?))
        };
        let listening = sockets.into_iter().map(open).collect::<Result<_, _>>().map_err(NetError::Thread)?;
        Ok(Self { listening, calling: Mutex::default(), metrics: metrics.clone() })
    }

    /// Those that take calls.
    pub(crate) fn listening(&self) -> impl Iterator<Item = &Endpoint> {
        self.listening.iter().map(|(_, endpoint)| endpoint)
    }

    /// Every endpoint that there is now.
    pub(crate) fn all(&self) -> Vec<Endpoint> {
        let calling = self.calling.lock().unwrap_or_else(PoisonError::into_inner);
        self.listening().chain(calling.iter().flatten()).cloned().collect()
    }

    /// The endpoint to call `remote` from; must be called inside the runtime.
    ///
    /// # Errors
    /// There is no way to it from here, or no socket for one.
    pub(crate) fn towards(&self, remote: SocketAddr) -> io::Result<Endpoint> {
        let from = source_towards(remote)?;
        let own: Vec<IpAddr> = self.listening.iter().map(|(own, _)| own.ip()).collect();
        if let Some(chosen) = choose(&own, remote.ip(), from) {
            return Ok(self.listening[chosen].1.clone());
        }
        let mut calling = self.calling.lock().unwrap_or_else(PoisonError::into_inner);
        let place = &mut calling[usize::from(remote.is_ipv6())];
        match place {
            Some(endpoint) => Ok(endpoint.clone()),
            None => Ok(place.insert(caller(remote, &self.metrics)?).clone()),
        }
    }
}

/// An endpoint that only calls, from a port that the system gives; must be called inside a runtime.
pub(crate) fn caller(remote: SocketAddr, metrics: &Arc<Metrics>) -> io::Result<Endpoint> {
    let socket = crate::socket::wrap(UdpSocket::bind(any(remote))?, None, metrics.clone())?;
    Endpoint::new_with_abstract_socket(transport::endpoint(None), None, socket, Arc::new(TokioRuntime))
}

/// Any address of the family of `remote`.
fn any(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// The address that the kernel sends from on the way to `remote`. Nothing is sent.
fn source_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind(any(remote))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

/// Which of our own addresses calls `remote`, if the kernel would send from the address `from`.
fn choose(own: &[IpAddr], remote: IpAddr, from: IpAddr) -> Option<usize> {
    let exactly = |own: &IpAddr| *own == from;
    // `::` is for both families where nothing of IPv4 stands beside it.
    let is_dual = own.iter().all(IpAddr::is_ipv6);
    let on_all = |own: &IpAddr| own.is_unspecified() && (own.is_ipv4() == remote.is_ipv4() || is_dual);
    // From one loopback address every other one of the family is reached.
    let within = |own: &IpAddr| is_loopback(*own) && is_loopback(remote) && own.is_ipv4() == remote.is_ipv4();
    let ways: [&dyn Fn(&IpAddr) -> bool; 3] = [&exactly, &on_all, &within];
    ways.iter().find_map(|way| own.iter().position(way))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_goes_out_from_where_its_answer_comes_back_to() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (own, remote, from, chosen) in [
            (&["10.0.0.1", "192.0.2.1"][..], "192.0.2.9", "192.0.2.1", Some(1)),
            (&["10.0.0.1", "0.0.0.0"], "192.0.2.9", "192.0.2.1", Some(1)),
            (&["0.0.0.0", "::"], "2001:db8::9", "2001:db8::1", Some(1)),
            (&["127.0.0.2"], "127.0.0.3", "127.0.0.1", Some(0)),
            // None of these leads there.
            (&["10.0.0.1"], "192.0.2.9", "192.0.2.1", None),
            (&["127.0.0.1"], "192.0.2.9", "192.0.2.1", None),
            (&["0.0.0.0"], "2001:db8::9", "2001:db8::1", None),
            (&["::"], "192.0.2.9", "192.0.2.1", Some(0)),
            (&["::", "10.0.0.1"], "192.0.2.9", "192.0.2.1", None),
        ] {
            let own: Vec<IpAddr> = own.iter().map(|text| ip(text)).collect();
            assert_eq!(choose(&own, ip(remote), ip(from)), chosen, "{own:?} to {remote}");
        }
    }

    #[test]
    fn the_kernel_tells_the_way_without_a_packet() {
        assert_eq!(source_towards("127.0.0.1:9".parse().unwrap()).unwrap(), IpAddr::from([127, 0, 0, 1]));
    }
}
