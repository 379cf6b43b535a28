//! A fleet of sensors that publishes over MQTT 3.1.1 and keeps count of what the broker acknowledged.
//!
//! It never forgets a reading that it has published: what was not acknowledged when a connection
//! broke is sent again on the next one.

mod connection;
mod counts;
mod ledger;
mod pace;
mod wave;

use std::{sync::Arc, time::Duration};

pub use counts::Counts;
use rumqttc::MqttOptions;
pub use rumqttc::QoS;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
pub use wave::wave;

use crate::{fleet::counts::Counters, tasks, waiting};

const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// What a fleet is to do. Fill in what differs from the default.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// `host:port` of the broker; an IPv6 address stands in brackets.
    pub broker: String,
    /// How many sensors: `s1`, `s2`, …
    pub count: u32,
    /// Readings per second over the whole fleet; infinite for as fast as acknowledgements come.
    pub rate: f64,
    /// Quality of service of every publish.
    pub qos: QoS,
    /// What stands before the sensor id in the topic, with its last `/`.
    pub topic_prefix: String,
    /// Decides all values, see [`wave()`].
    pub seed: u64,
    /// How many sensors share a connection at most.
    pub sensors_per_connection: u32,
    /// Readings on their way without an acknowledgement, for each connection at most.
    pub window: u16,
    /// User name and password.
    pub credentials: Option<(String, String)>,
}

/// Why a fleet cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    #[error("broker `{0}` is not of the form host:port")]
    Broker(String),
    #[error("{0} must be greater than 0")]
    NotPositive(&'static str),
}

/// A fleet at work. Dropping it ends it at once, acknowledged or not.
#[derive(Debug)]
pub struct RunningFleet {
    counters: Arc<Counters>,
    stop: CancellationToken,
    connections: JoinSet<()>,
}

/// The id of sensor number `sensor`.
pub fn sensor_id(sensor: u32) -> String {
    format!("s{sensor}")
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            broker: "127.0.0.1:1883".to_owned(),
            count: 10,
            rate: 10.0,
            qos: QoS::AtLeastOnce,
            topic_prefix: "sensors/".to_owned(),
            seed: 1,
            sensors_per_connection: 10,
            window: 20,
            credentials: None,
        }
    }
}

impl Fleet {
    /// Starts publishing on the current runtime; connects, and connects again, in the background.
    pub fn start(self) -> Result<RunningFleet, FleetError> {
        let (host, port) = self.check()?;
        let counters = Arc::new(Counters::new(self.count));
        let stop = CancellationToken::new();
        let mut connections = JoinSet::new();
        // Two fleets must never share a client id: they would disconnect each other for ever.
        let fleet_id = fastrand::u32(..);
        let step = Duration::try_from_secs_f64(self.rate.recip())
            .unwrap_or_default()
            .min(Duration::from_secs(1));
        let numbers: Vec<u32> = (1..=self.count).collect();
        for (index, sensors) in (0_u32..).zip(numbers.chunks(self.sensors_per_connection as usize))
        {
            let client_id = format!("fleet-{fleet_id:08x}-{index}");
            let plan = connection::Plan {
                options: self.options(client_id, host, port),
                sensors: sensors.to_vec(),
                rate: self.rate * sensors.len() as f64 / f64::from(self.count),
                offset: step * index,
                qos: self.qos,
                prefix: self.topic_prefix.clone(),
                seed: self.seed,
                window: self.window,
            };
            connections.spawn(connection::run(plan, counters.clone(), stop.clone()));
        }
        Ok(RunningFleet {
            counters,
            stop,
            connections,
        })
    }

    /// The broker's host and port, if all settings make sense.
    fn check(&self) -> Result<(&str, u16), FleetError> {
        let positive = [
            ("count", 0 < self.count),
            ("rate", 0.0 < self.rate),
            ("sensors_per_connection", 0 < self.sensors_per_connection),
            ("window", 0 < self.window),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, holds)| !holds) {
            return Err(FleetError::NotPositive(name));
        }
        self.broker
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty() && (!host.contains(':') || host.ends_with(']')))
            .and_then(|(host, port)| Some((host, port.parse().ok()?)))
            .ok_or_else(|| FleetError::Broker(self.broker.clone()))
    }

    fn options(&self, client_id: String, host: &str, port: u16) -> MqttOptions {
        let mut options = MqttOptions::new(client_id, host, port);
        options
            .set_clean_session(true)
            .set_keep_alive(KEEP_ALIVE)
            // Wider than the window: a packet id comes round again only long after it was settled.
            .set_inflight(self.window.saturating_mul(4));
        if let Some((user, password)) = &self.credentials {
            options.set_credentials(user, password);
        }
        options
    }
}

impl RunningFleet {
    /// The counts of this moment.
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }

    /// For each sensor, in order, the highest `seq` up to which all readings from 1 are acknowledged.
    pub fn acked_of(&self) -> Vec<u64> {
        self.counters.acked_of()
    }

    /// What the last lost connection or failed attempt was lost to.
    pub fn last_error(&self) -> Option<String> {
        self.counters.last_error()
    }

    /// Waits until `wanted` holds of the counts; `Err` carries them when `limit` has passed.
    pub async fn wait_for(
        &self,
        wanted: impl Fn(&Counts) -> bool,
        limit: Duration,
    ) -> Result<Counts, Counts> {
        let counters = &self.counters;
        waiting::until(&counters.changed, limit, || counters.read(), wanted).await
    }

    /// Publishes no more, waits at most `limit` until all that was published is acknowledged,
    /// disconnects. With a healthy broker `published == acked` in what it returns (above QoS 0).
    pub async fn stop(self, limit: Duration) -> Counts {
        self.stop_with_acked(limit).await.0
    }

    /// Like [`stop`](Self::stop), with the final answer of [`acked_of`](Self::acked_of).
    pub async fn stop_with_acked(mut self, limit: Duration) -> (Counts, Vec<u64>) {
        self.stop.cancel();
        if !tasks::join(&mut self.connections, limit).await {
            self.connections.shutdown().await;
        }
        (self.counters.read(), self.counters.acked_of())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_named() {
        let check = |fleet: Fleet, expected: Result<(&str, u16), FleetError>| {
            assert_eq!(fleet.check(), expected);
        };
        let of = |broker: &str| Fleet {
            broker: broker.to_owned(),
            ..Fleet::default()
        };
        check(of("localhost:1883"), Ok(("localhost", 1883)));
        check(of("[::1]:1883"), Ok(("[::1]", 1883)));
        for bad in [
            "localhost",
            ":1883",
            "::1:1883",
            "localhost:x",
            "localhost:70000",
        ] {
            check(of(bad), Err(FleetError::Broker(bad.to_owned())));
        }
        let rate = |rate| Fleet {
            rate,
            ..Fleet::default()
        };
        check(rate(0.0), Err(FleetError::NotPositive("rate")));
        check(rate(f64::NAN), Err(FleetError::NotPositive("rate")));
    }
}
