//! The MQTT broker: versions 3.1.1 and 5 on one port, and on others over TLS, over WebSocket, and over both.
//!
//! `listener` accepts, `guests` takes over who came by HTTP (`addresses` counts who comes from where), `websocket` takes the packets out of its frames,
//! `connection` moves bytes (through `wire` and `scratch`) and answers them by `turn`, `protocol` (with `framing`, `connect`,
//! `subscribe`, `acknowledge`, `properties`, `aliases` and `violation`) reads and writes packets, `session` keeps what is owed, `rate` how much a client may publish, `intake` tells readings from other messages,
//! `hub` (with `subscriptions`, `retained` and `queue`) brings messages to their subscribers, `expiry`
//! ends what has waited too long, `will` publishes for who is gone, `sys` says how it goes.
//!
//! Absent on purpose: a PUBACK or PUBREC of a reading without its `Committed`; a publisher that waits for a subscriber;
//! a queue without a bound.

mod acknowledge;
mod addresses;
mod aliases;
mod connect;
mod connection;
mod expiry;
mod framing;
mod guests;
mod hub;
mod intake;
mod listener;
mod properties;
mod protocol;
mod queue;
mod rate;
mod retained;
mod scratch;
mod session;
mod subscribe;
mod subscriptions;
mod sys;
mod turn;
mod violation;
mod websocket;
mod will;
mod wire;

use std::num::NonZeroU16;
use std::sync::Arc;

use prometheus::IntCounter;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::access::{Access, Guest};
use crate::config::{Limits, Mqtt};
use crate::domain::topic::TopicError;
use crate::ingest::{Decoder, Submission, SubmissionQueue};
use crate::metrics::{Limit, Metrics};
use crate::tls::Server;

use addresses::Addresses;
pub use hub::Hub;
use intake::Intake;
use listener::Door;
use websocket::Pages;
use wire::End;

/// What all connections share.
#[derive(Debug)]
struct Shared {
    hub: Arc<Hub>,
    intake: Intake,
    submissions: SubmissionQueue,
    metrics: Arc<Metrics>,
    /// By QoS.
    messages_in: [IntCounter; 3],
    messages_out: [IntCounter; 3],
    access: Arc<Access>,
    /// Bytes.
    max_packet: u32,
    /// Seconds.
    max_keep_alive: Option<NonZeroU16>,
    limits: Limits,
    addresses: Arc<Addresses>,
}

impl Shared {
    /// Whether a topic name or filter goes beyond a limit, which is counted.
    fn is_beyond(&self, topic: Result<&str, TopicError>) -> bool {
        let limit = match topic {
            Ok(topic) if self.limits.topic_bytes < topic.len() => Limit::TopicBytes,
            Ok(topic) if self.limits.topic_levels < topic.split('/').count() => Limit::TopicLevels,
            Err(TopicError::TooLong) => Limit::TopicBytes,
            Err(TopicError::TooManyLevels) => Limit::TopicLevels,
            _ => return false,
        };
        self.metrics.limited(limit);
        true
    }

    /// The keep alive of a client that asks for so many seconds; zero is none.
    fn keep_alive(&self, asked: u16) -> u16 {
        match self.max_keep_alive.map(NonZeroU16::get) {
            Some(most) if asked == 0 || most < asked => most,
            _ => asked,
        }
    }

    /// For how many seconds a session is kept whose client asks for so many.
    fn session_expiry(&self, asked: u32) -> u32 {
        let most = self.limits.session_expiry.as_secs();
        asked.min(u32::try_from(most).unwrap_or(u32::MAX))
    }

    /// Counts an end for which a limit was the reason.
    fn note_end(&self, end: &End) {
        if matches!(end, End::Violated(violation) if violation.is_packet_too_large()) {
            self.metrics.limited(Limit::MaxPacket);
        }
    }

    /// Counts what was not taken: readings and statuses, and other messages.
    fn count_lost(&self, submission: &Submission, reason: &str) {
        let lost = submission.readings.len() + submission.statuses.len();
        let counter = &self.metrics.readings_lost;
        counter.with_label_values(&[reason]).inc_by(lost as u64);
        let messages = submission.messages.iter();
        let others = messages.filter(|message| self.intake.is_ordinary(message));
        let dropped = self.metrics.mqtt_dropped.with_label_values(&[reason]);
        dropped.inc_by(others.count() as u64);
    }
}

/// The sockets on which clients come, either with TLS or without.
#[derive(Debug)]
pub struct Sockets {
    pub mqtt: TcpListener,
    pub websocket: Option<TcpListener>,
}

/// The broker, ready to run.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    pages: Arc<Pages>,
    max_connections: usize,
}

impl Broker {
    /// Puts the broker together.
    pub fn new(
        config: &Mqtt,
        decoder: Arc<Decoder>,
        hub: Arc<Hub>,
        submissions: SubmissionQueue,
        access: Arc<Access>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let counters = |direction| {
            ["0", "1", "2"].map(|qos| metrics.mqtt_messages.with_label_values(&[direction, qos]))
        };
        let shared = Shared {
            intake: Intake::new(decoder, Arc::clone(&hub), &metrics),
            hub,
            submissions,
            messages_in: counters("in"),
            messages_out: counters("out"),
            access,
            max_packet: config.max_packet,
            max_keep_alive: config.max_keep_alive,
            limits: config.limits,
            addresses: Arc::new(Addresses::new(config.limits.connections_per_address)),
            metrics,
        };
        Self {
            shared: Arc::new(shared),
            pages: Arc::new(Pages::new(config)),
            max_connections: config.max_connections,
        }
    }

    /// Serves clients until `stop`; returns when all of them are gone.
    pub async fn run(
        self,
        plain: Sockets,
        tls: Option<(Sockets, Arc<Server>)>,
        guests: mpsc::Receiver<Guest>,
        stop: CancellationToken,
    ) {
        let permits = Arc::new(Semaphore::new(self.max_connections));
        let run = |listener, door| {
            let (shared, permits) = (Arc::clone(&self.shared), Arc::clone(&permits));
            listener::run(listener, door, shared, permits, stop.clone())
        };
        let serve = async |sockets: Sockets, tls: Option<Arc<Server>>| {
            let door = Door { tls, pages: None };
            let pages = Some(Arc::clone(&self.pages));
            let mqtt = run(sockets.mqtt, door.clone());
            match sockets.websocket {
                None => mqtt.await,
                Some(websocket) => {
                    tokio::join!(mqtt, run(websocket, Door { pages, ..door }));
                }
            }
        };
        let sys = sys::run(Arc::clone(&self.shared), stop.clone());
        let expiry = expiry::run(Arc::clone(&self.shared), stop.clone());
        let plain = serve(plain, None);
        let (shared, places) = (Arc::clone(&self.shared), Arc::clone(&permits));
        let guests = guests::run(guests, shared, places, stop.clone());
        match tls {
            None => {
                tokio::join!(sys, expiry, plain, guests);
            }
            Some((sockets, server)) => {
                let tls = serve(sockets, Some(server));
                tokio::join!(sys, expiry, plain, tls, guests);
            }
        }
    }
}

#[cfg(test)]
mod fuzz;
