//! Where somebody can be reached: a host by its name or IP address, and a UDP port.
//!
//! ```text
//! "node-3.example:7000"  "192.0.2.7:7000"  "[2001:db8::7]:7000"
//!        └─ looked up at every attempt: the name may lead elsewhere by then
//! ```
//!
//! An address on which one can only listen (`0.0.0.0`, `::`) is refused when it is read, and left out when a name leads
//! to it.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

/// Addresses of one name that are called; further ones are left out.
const ADDRESSES_MAX: usize = 8;
/// What DNS allows for a name and for a part of it, in bytes.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A machine, by its name or its IP address; one that can be called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Kind);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Ip(IpAddr),
    Name(Arc<str>),
}

/// A host and a UDP port, which is not 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: Host,
    port: u16,
}

/// Why a text is not the address of somebody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no port, or it is no port.
    #[error(
        "{0:?} has no port: write HOST:PORT with a port from 1 to 65535, and an IPv6 address in brackets, as in [::1]:7000"
    )]
    Port(String),
    /// The host is neither a name nor an IP address.
    #[error(
        "{0:?} is no host: write an IPv4 address, an IPv6 address, or a host name of letters, digits, dots, hyphens and \
         underscores (an international name in its ASCII form, xn--…)"
    )]
    Host(String),
    /// One can listen there, but not be called.
    #[error(
        "{0} is only an address to listen on: nobody can call it. Write the name or the address of the machine"
    )]
    OnlyToListen(IpAddr),
    /// Nobody in particular is there.
    #[error("{0} is a multicast or broadcast address: write that of one machine")]
    Group(IpAddr),
}

impl Host {
    /// The IP address, where the host is not named.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match &self.0 {
            Kind::Ip(ip) => Some(*ip),
            Kind::Name(_) => None,
        }
    }

    /// The address of a port of this host.
    #[must_use]
    pub fn at(&self, port: u16) -> Address {
        Address { host: self.clone(), port }
    }
}

impl FromStr for Host {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let ip = match bare {
            Some(bare) => bare.parse::<Ipv6Addr>().map(IpAddr::V6),
            None => text.parse::<IpAddr>(),
        };
        match ip {
            Ok(ip) => can_be_called(ip.to_canonical()).map(|ip| Self(Kind::Ip(ip))),
            Err(_) if is_name(text) => Ok(Self(Kind::Name(text.into()))),
            Err(_) => Err(AddressError::Host(text.to_owned())),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self(Kind::Ip(ip.to_canonical()))
    }
}

/// As it stands in front of a port: an IPv6 address in brackets.
impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Ip(IpAddr::V6(ip)) => write!(out, "[{ip}]"),
            Kind::Ip(IpAddr::V4(ip)) => ip.fmt(out),
            Kind::Name(name) => name.fmt(out),
        }
    }
}

impl Address {
    /// The address, where the host is not named: such a one needs no lookup.
    pub(crate) fn socket(&self) -> Option<SocketAddr> {
        self.host.ip().map(|ip| SocketAddr::new(ip, self.port))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let portless = || AddressError::Port(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(portless)?;
        // Without brackets, the last part of an IPv6 address would be taken for the port.
        if host.contains(':') && !host.starts_with('[') {
            return Err(portless());
        }
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| is_number && *port != 0).ok_or_else(portless)?;
        Ok(Self { host: host.parse()?, port })
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Host::from(address.ip()).at(address.port())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

fn can_be_called(ip: IpAddr) -> Result<IpAddr, AddressError> {
    match ip {
        ip if ip.is_unspecified() => Err(AddressError::OnlyToListen(ip)),
        ip if ip.is_multicast() => Err(AddressError::Group(ip)),
        IpAddr::V4(v4) if v4.is_broadcast() => Err(AddressError::Group(ip)),
        ip => Ok(ip),
    }
}

/// Whether a text is a host name (RFC 1123, and underscores, which names of containers have). What ends in a number is
/// an IPv4 address with a mistake in it, which some resolvers read in their own way.
fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let ends_in_number =
        name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.split('.').all(is_label) && !ends_in_number
}

/// How names are looked up. The function may take its time: it is called on a thread of its own.
#[derive(Clone)]
pub struct Names(Arc<Lookup>);

type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

impl Default for Names {
    /// As the operating system does it: the file of hosts, DNS, and what else it is set up to ask.
    fn default() -> Self {
        Self(Arc::new(|name, port| (name, port).to_socket_addrs().map(Iterator::collect)))
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Names(…)")
    }
}

#[cfg(test)]
impl Names {
    pub(crate) fn of(
        lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(lookup))
    }
}

/// Finds out where an address leads, at every attempt anew. At most one lookup is under way: one that hangs is waited
/// for at the next attempt, so it costs one thread and no more.
pub(crate) struct Resolver {
    address: Address,
    names: Names,
    asked: Option<JoinHandle<io::Result<Vec<SocketAddr>>>>,
}

impl Resolver {
    pub(crate) fn new(address: Address, names: Names) -> Self {
        Self { address, names, asked: None }
    }

    /// The address that is looked up.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// From now on this is the address.
    pub(crate) fn follow(&mut self, address: Address) {
        if self.address != address {
            (self.address, self.asked) = (address, None);
        }
    }

    /// Where the address leads now: at least one address, at most [`ADDRESSES_MAX`], each once. Must be called inside a
    /// runtime, whose thread it does not hold.
    ///
    /// # Errors
    /// In words: the name leads nowhere, or no answer came within `limit`.
    pub(crate) async fn resolve(&mut self, limit: Duration) -> Result<Vec<SocketAddr>, String> {
        let (name, port) = match &self.address.host.0 {
            Kind::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, self.address.port)]),
            Kind::Name(name) => (name.clone(), self.address.port),
        };
        let names = &self.names;
        let asked = self.asked.get_or_insert_with(|| {
            let (name, lookup) = (name.clone(), names.0.clone());
            tokio::task::spawn_blocking(move || lookup(&name, port))
        });
        let Ok(answer) = tokio::time::timeout(limit, asked).await else {
            return Err(format!("the name \"{name}\" cannot be looked up: no answer within {limit:?}"));
        };
        self.asked = None;
        let told = |problem: String| format!("the name \"{name}\" cannot be looked up: {problem}");
        let found =
            answer.map_err(|error| told(error.to_string()))?.map_err(|error| told(error.to_string()))?;
        let mut addresses = Vec::new();
        for address in found {
            let address = SocketAddr::new(address.ip().to_canonical(), port);
            if can_be_called(address.ip()).is_ok()
                && !addresses.contains(&address)
                && addresses.len() < ADDRESSES_MAX
            {
                addresses.push(address);
            }
        }
        match addresses.is_empty() {
            true => Err(told("it leads to no address that can be called".to_owned())),
            false => Ok(addresses),
        }
    }
}

#[cfg(test)]
mod tests;
