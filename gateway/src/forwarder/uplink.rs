//! The way to a receiver, whatever it speaks.

use tokio::time::Instant;

use super::https::Https;
use super::mqtt::{Keeper, Mqtt};
use super::payload::Body;
use super::verdict::Verdict;
use crate::config;
use crate::tls::{ClientFiles, FileFault};

/// Why an uplink cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    #[error(transparent)]
    File(#[from] FileFault),
    #[cfg(not(feature = "mqtt-uplink"))]
    #[error("this build has no uplinks to MQTT brokers (feature `mqtt-uplink`)")]
    NoMqtt,
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// A receiver, by what it speaks.
#[derive(Debug)]
pub struct Uplink {
    way: Way,
    /// Of its connection, until the pump lets it run.
    keeper: Option<Keeper>,
}

#[derive(Debug)]
enum Way {
    Https(Https),
    Mqtt(Mqtt),
}

/// What became of a request.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) verdict: Verdict,
    /// That were handed to the connection, of head and body.
    pub(super) bytes: u64,
}

impl Sent {
    /// Nothing was handed to a connection.
    pub(super) fn without_bytes(verdict: Verdict) -> Self {
        Self { verdict, bytes: 0 }
    }
}

impl Uplink {
    /// Sets up what the section says. Reads its certificates; connects to nobody yet.
    pub fn new(config: &config::Uplink) -> Result<Self, UplinkError> {
        let Some(mqtt) = &config.mqtt else {
            let way = Way::Https(Https::new(config)?);
            return Ok(Self { way, keeper: None });
        };
        let (mqtt, keeper) = Mqtt::new(config, mqtt)?;
        Ok(Self {
            way: Way::Mqtt(mqtt),
            keeper: Some(keeper),
        })
    }

    /// Who keeps its connection, if it has one that is to be kept; to be run beside what sends.
    pub(super) fn take_keeper(&mut self) -> Option<Keeper> {
        self.keeper.take()
    }

    /// Sends one body once and judges the answer; `started` is when that was decided.
    pub(super) async fn send(&self, idempotency_key: &str, body: Body, started: Instant) -> Sent {
        match &self.way {
            Way::Https(https) => https.send(idempotency_key, body).await,
            Way::Mqtt(mqtt) => mqtt.send(body, started).await,
        }
    }
}

/// The files of a section, for who reads them.
pub(super) fn client_files(files: &config::UplinkFiles) -> ClientFiles {
    let own = files.client.as_ref();
    ClientFiles {
        ca: files.ca.as_ref().map(|(path, _)| path.clone()),
        own: own.map(|(certificate, key, _)| (certificate.clone(), key.clone())),
    }
}
