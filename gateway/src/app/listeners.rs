//! The sockets on which the gateway listens: all are bound before anything else is opened.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use super::StartError;
use crate::broker::Sockets;
use crate::config::Config;
use crate::service::Service;

/// Clients that wait to be accepted, as far as the system lets them: one that finds no room tries again a second later.
const BACKLOG: u32 = 1024;

/// Where the gateway listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub mqtt: SocketAddr,
    /// MQTT over WebSocket.
    pub ws: Option<SocketAddr>,
    /// MQTT over TLS.
    pub mqtts: Option<SocketAddr>,
    /// MQTT over WebSocket and TLS.
    pub wss: Option<SocketAddr>,
    pub http: SocketAddr,
    pub https: Option<SocketAddr>,
}

impl Addresses {
    /// Has the next start listen there again: port 0 would be another one.
    pub fn keep(&self, config: &mut Config) {
        config.mqtt.listen = self.mqtt;
        config.mqtt.websocket_listen = self.ws;
        if let (Some(tls), Some(address)) = (&mut config.mqtt.tls, self.mqtts) {
            tls.listen = address;
            tls.websocket_listen = self.wss;
        }
        config.http.listen = self.http;
        if let (Some(tls), Some(address)) = (&mut config.http.tls, self.https) {
            tls.listen = address;
        }
    }

    /// A line for each.
    pub(super) fn log(&self) {
        for (transport, address) in self.all() {
            tracing::info!(transport, %address, "listening");
        }
    }

    fn have(&self, address: SocketAddr) -> bool {
        self.all().any(|(_, bound)| bound == address)
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let all = [
            ("mqtt", Some(self.mqtt)),
            ("ws", self.ws),
            ("mqtts", self.mqtts),
            ("wss", self.wss),
            ("https", self.https),
            ("http", Some(self.http)),
        ];
        let bound = |(transport, address): (_, Option<_>)| Some((transport, address?));
        all.into_iter().filter_map(bound)
    }
}

/// The sockets that listen.
pub(super) struct Listeners {
    pub(super) mqtt: Sockets,
    pub(super) mqtts: Option<Sockets>,
    pub(super) http: TcpListener,
    pub(super) https: Option<TcpListener>,
}

impl Listeners {
    /// Binds all of them, or none; what the service manager passed is bound already.
    pub(super) fn open(
        config: &Config,
        service: &Service,
    ) -> Result<(Self, Addresses), StartError> {
        let listen = |key, address| listen(service, key, address);
        let listen_if_set = |key, address: Option<SocketAddr>| match address {
            Some(address) => {
                listen(key, address).map(|(socket, bound)| (Some(socket), Some(bound)))
            }
            None => Ok((None, None)),
        };
        let (plain, tls) = (&config.mqtt, config.mqtt.tls.as_ref());
        let (mqtt, mqtt_address) = listen("mqtt.listen", plain.listen)?;
        let (ws, ws_address) = listen_if_set("mqtt.websocket_listen", plain.websocket_listen)?;
        let address = tls.map(|tls| tls.listen);
        let (mqtts, mqtts_address) = listen_if_set("mqtt.tls.listen", address)?;
        let address = tls.and_then(|tls| tls.websocket_listen);
        let (wss, wss_address) = listen_if_set("mqtt.tls.websocket_listen", address)?;
        let (http, http_address) = listen("http.listen", config.http.listen)?;
        let address = config.http.tls.as_ref().map(|tls| tls.listen);
        let (https, https_address) = listen_if_set("http.tls.listen", address)?;
        let addresses = Addresses {
            mqtt: mqtt_address,
            ws: ws_address,
            mqtts: mqtts_address,
            wss: wss_address,
            http: http_address,
            https: https_address,
        };
        if let Some(unused) = service.addresses().find(|passed| !addresses.have(*passed)) {
            return Err(StartError::Passed(unused));
        }
        let sockets = |mqtt, websocket| Sockets { mqtt, websocket };
        let listeners = Self {
            mqtt: sockets(mqtt, ws),
            mqtts: mqtts.map(|mqtts| sockets(mqtts, wss)),
            http,
            https,
        };
        Ok((listeners, addresses))
    }
}

fn listen(
    service: &Service,
    key: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let passed = service.socket(address).transpose();
    let opened = passed.map_or_else(|| bind(address), |passed| TcpListener::from_std(passed?));
    opened
        .and_then(|listener| listener.local_addr().map(|bound| (listener, bound)))
        .map_err(|source| StartError::Listen {
            key,
            address,
            source,
        })
}

/// As [`TcpListener::bind`] does it, but for the backlog.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A gateway that is started again finds its port free at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
