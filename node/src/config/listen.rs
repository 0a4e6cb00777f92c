//! The addresses that a validator listens on.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Addresses of one port that is listened on.
const LISTEN_MAX: usize = 16;

/// The addresses of one port: 1 to 16, none of which takes what another one would take. The only place of a
/// configuration where `0.0.0.0` and `[::]` may stand, which take calls on every address of the machine. `[::]` takes
/// calls over IPv4, too, where no IPv4 address stands beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenOn(Vec<SocketAddr>);

impl ListenOn {
    /// `None` where these are too few, too many, or in each other's way, or where one has no port or is a group's.
    #[must_use]
    pub fn new(addresses: Vec<SocketAddr>) -> Option<Self> {
        let addresses: Vec<SocketAddr> = addresses
            .iter()
            .map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()))
            .collect();
        let is_usable = |address: &SocketAddr| address.port() != 0 && !address.ip().is_multicast();
        let are_apart = |(at, one): (usize, &SocketAddr)| {
            addresses[..at].iter().all(|other| one.is_ipv4() != other.is_ipv4() || !clash(*one, *other))
        };
        let is_good = (1..=LISTEN_MAX).contains(&addresses.len())
            && addresses.iter().all(is_usable)
            && addresses.iter().enumerate().all(are_apart);
        is_good.then_some(Self(addresses))
    }

    /// All of them.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.0
    }

    /// Whether one socket for `self` and one for `other` could not be open at the same time.
    #[must_use]
    pub fn clashes(&self, other: &Self) -> bool {
        self.0.iter().any(|one| other.0.iter().any(|other| clash(*one, *other)))
    }
}

/// Whether two sockets with these addresses are in each other's way.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |wide: IpAddr, narrow: IpAddr| {
        wide == narrow || wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4())
    };
    one.port() == other.port() && (covers(one.ip(), other.ip()) || covers(other.ip(), one.ip()))
}

/// With commas between them.
impl fmt::Display for ListenOn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        out.write_str(&texts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(texts: &[&str]) -> Option<ListenOn> {
        ListenOn::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn several_addresses_are_listened_on_if_they_are_apart() {
        for good in [
            &["127.0.0.1:7000"][..],
            &["0.0.0.0:7000", "[::]:7000"],
            &["10.0.0.1:7000", "192.0.2.1:7000", "[2001:db8::1]:7000"],
            &["10.0.0.1:7000", "10.0.0.1:7001"],
            &["[::]:7000", "10.0.0.1:7000"],
        ] {
            assert!(on(good).is_some(), "{good:?}");
        }
        for bad in [
            &[][..],
            &["127.0.0.1:0"],
            &["224.0.0.1:7000"],
            &["127.0.0.1:7000", "127.0.0.1:7000"],
            &["127.0.0.1:7000", "[::ffff:127.0.0.1]:7000"],
            &["10.0.0.1:7000", "0.0.0.0:7000"],
            &["[::]:7000", "[::1]:7000"],
        ] {
            assert!(on(bad).is_none(), "{bad:?}");
        }
        let many: Vec<SocketAddr> = (1..=17).map(|port| ([127, 0, 0, 1], port).into()).collect();
        assert!(ListenOn::new(many).is_none());
    }

    #[test]
    fn two_ports_clash_where_both_sockets_cannot_be_open() {
        for (one, other, clash) in [
            ("127.0.0.1:7000", "127.0.0.1:7000", true),
            ("127.0.0.1:7000", "127.0.0.1:7001", false),
            ("0.0.0.0:7000", "127.0.0.1:7000", true),
            ("0.0.0.0:7000", "[::1]:7000", false),
            ("[::]:7000", "127.0.0.1:7000", true),
            ("[::]:7000", "[::1]:7000", true),
        ] {
            let (one, other) = (on(&[one]).unwrap(), on(&[other]).unwrap());
            assert_eq!((one.clashes(&other), other.clashes(&one)), (clash, clash), "{one} {other}");
        }
    }
}
