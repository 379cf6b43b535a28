//! Where the gateway itself listens: an uplink that leads there would bring its readings round and round.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::config::gateway_id;
use crate::config::http::Http;
use crate::config::mqtt::Mqtt;

/// All addresses, each with its key.
#[derive(Debug)]
pub(super) struct Doors {
    all: Vec<(&'static str, SocketAddr)>,
    host_name: Option<Box<str>>,
}

impl Doors {
    pub(super) fn of(mqtt: &Mqtt, http: &Http) -> Self {
        let tls = mqtt.tls.as_ref();
        let all = [
            ("mqtt.listen", Some(mqtt.listen)),
            ("mqtt.websocket_listen", mqtt.websocket_listen),
            ("mqtt.tls.listen", tls.map(|tls| tls.listen)),
            (
                "mqtt.tls.websocket_listen",
                tls.and_then(|tls| tls.websocket_listen),
            ),
            ("http.listen", Some(http.listen)),
            ("http.tls.listen", http.tls.as_ref().map(|tls| tls.listen)),
        ];
        Self {
            all: all
                .into_iter()
                .filter_map(|(key, address)| Some((key, address?)))
                .collect(),
            host_name: gateway_id::machine_name(),
        }
    }

    /// The key of the one behind this host and port, as far as that can be told without asking for names.
    pub(super) fn behind(&self, host: &str, port: u16) -> Option<&'static str> {
        let is_it = |address: &SocketAddr| {
            address.port() == port && self.is_reached_by(host, address.ip().to_canonical())
        };
        let door = self.all.iter().find(|(_, address)| is_it(address));
        door.map(|(key, _)| *key)
    }

    fn is_reached_by(&self, host: &str, listener: IpAddr) -> bool {
        if is_localhost(host) {
            return listener.is_loopback() || listener.is_unspecified();
        }
        match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
            // Connecting to no address in particular is connecting to this machine.
            Ok(ip) if ip.is_unspecified() => listener.is_loopback() || listener.is_unspecified(),
            Ok(ip) if listener.is_unspecified() => is_of_this_machine(ip),
            Ok(ip) => ip == listener,
            Err(_) => {
                let own = self.host_name.as_deref();
                own.is_some_and(|own| own.eq_ignore_ascii_case(host)) && !listener.is_loopback()
            }
        }
    }
}

/// Whether a host, a name or an address, is this machine to itself.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    is_localhost(host) || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// RFC 6761, section 6.3.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// To reach an address of its own a machine speaks from that very address. Nothing is sent.
fn is_of_this_machine(address: IpAddr) -> bool {
    const ANY_PORT: u16 = 9;
    let from = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let way = UdpSocket::bind((from, 0)).and_then(|socket| {
        socket.connect((address, ANY_PORT))?;
        socket.local_addr()
    });
    address.is_loopback() || way.is_ok_and(|way| way.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_under_each_of_its_names() {
        let doors = |listener: &str| Doors {
            all: vec![("mqtt.listen", listener.parse().unwrap())],
            host_name: Some("Press-4".into()),
        };
        let check = |listener: &str, host: &str, port: u16, is_it: bool| {
            let found = doors(listener).behind(host, port);
            assert_eq!(found.is_some(), is_it, "{listener} {host}:{port}");
        };
        for host in ["127.0.0.1", "localhost", "Broker.localhost.", "0.0.0.0"] {
            check("127.0.0.1:1883", host, 1883, true);
            check("127.0.0.1:1883", host, 1884, false);
            check("0.0.0.0:1883", host, 1883, true);
            check("192.0.2.7:1883", host, 1883, false);
        }
        check("127.0.0.1:1883", "127.0.0.2", 1883, false);
        check("0.0.0.0:1883", "127.0.0.2", 1883, true);
        check("[::]:1883", "::1", 1883, true);
        check("[::1]:1883", "::1", 1883, true);
        check("192.0.2.7:1883", "192.0.2.7", 1883, true);
        check("192.0.2.7:1883", "::ffff:192.0.2.7", 1883, true);
        // Reserved for documentation (RFC 5737): nobody has it.
        check("0.0.0.0:1883", "192.0.2.7", 1883, false);
        check("0.0.0.0:1883", "press-4", 1883, true);
        // A name of its own is seldom that of the loopback address itself.
        check("127.0.0.1:1883", "press-4", 1883, false);
        check("0.0.0.0:1883", "press-5", 1883, false);
    }

    #[test]
    fn this_machine_knows_its_own_addresses() {
        assert!(is_of_this_machine(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_of_this_machine(Ipv4Addr::new(192, 0, 2, 7).into()));
    }
}
