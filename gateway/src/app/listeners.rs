//! The sockets on which the gateway listens: all are bound before anything else is opened.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::StartError;
use crate::config::Config;

/// Where the gateway listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub mqtt: SocketAddr,
    /// MQTT over TLS.
    pub mqtts: Option<SocketAddr>,
    pub http: SocketAddr,
}

/// The sockets that listen.
pub(super) struct Listeners {
    pub(super) mqtt: TcpListener,
    pub(super) mqtts: Option<TcpListener>,
    pub(super) http: TcpListener,
}

impl Listeners {
    /// Binds all of them, or none.
    pub(super) async fn open(config: &Config) -> Result<(Self, Addresses), StartError> {
        let (mqtt, mqtt_address) = listen("mqtt.listen", config.mqtt.listen).await?;
        let (mqtts, mqtts_address) = match &config.mqtt.tls {
            Some(tls) => {
                let (listener, address) = listen("mqtt.tls.listen", tls.listen).await?;
                (Some(listener), Some(address))
            }
            None => (None, None),
        };
        let (http, http_address) = listen("http.listen", config.http.listen).await?;
        let addresses = Addresses {
            mqtt: mqtt_address,
            mqtts: mqtts_address,
            http: http_address,
        };
        Ok((Self { mqtt, mqtts, http }, addresses))
    }
}

async fn listen(
    key: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = TcpListener::bind(address).await;
    bound
        .and_then(|listener| listener.local_addr().map(|bound| (listener, bound)))
        .map_err(|source| StartError::Listen {
            key,
            address,
            source,
        })
}
