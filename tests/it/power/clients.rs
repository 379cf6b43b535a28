//! Clients of every kind, and what each of them was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fastrand::Rng;

use crate::support::Gateway;
use crate::support::frames::{
    Connect, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Publish, SUBACK, V5, V311, ack,
    read_connack, reading, subscribe,
};
use crate::support::http::{Answer, try_post};
use crate::support::properties::{Property, SESSION_EXPIRY};
use crate::support::raw::Raw;

/// Readings of one request: they stand or fall together.
const OF_A_REQUEST: u64 = 10;
const WINDOW: u64 = 20;
pub(super) const TOPICS: u64 = 4;

/// What was sent, and what was acknowledged of it.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) once: AtLeastOnce,
    pub(super) exact: Exact,
    pub(super) posted: AtLeastOnce,
    pub(super) retained: BTreeMap<u64, Versions>,
    pub(super) queued: AtLeastOnce,
    pub(super) keeper: Keeper,
}

#[derive(Default)]
pub(super) struct AtLeastOnce {
    sent: u64,
    pub(super) acked: BTreeSet<u64>,
}

/// A publisher of QoS 2 and its session.
#[derive(Default)]
pub(super) struct Exact {
    pub(super) has_session: bool,
    sent: u64,
    /// Sent and not complete; whether its PUBREC has come.
    open: Option<(u64, bool)>,
    pub(super) recorded: BTreeSet<u64>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Versions {
    pub(super) sent: u64,
    pub(super) acked: u64,
}

/// A subscriber that is mostly away.
#[derive(Default)]
pub(super) struct Keeper {
    pub(super) has_session: bool,
    pub(super) is_subscribed: bool,
    pub(super) alerts: BTreeSet<i64>,
    pub(super) numbers: BTreeSet<u64>,
}

/// One in four raises an alert, every second one is forwarded.
fn value(seq: u64) -> f64 {
    [80.0, 60.0, 20.0, 10.0][(seq % 4) as usize]
}

/// The outcome of a step of a client: `None` when the gateway is gone.
type Step<T = ()> = Option<T>;

/// Lets a client in; gives whether its session was there.
fn connect(gateway: &Gateway<'_>, connect: &Connect<'_>) -> Step<(Raw, bool)> {
    let socket = TcpStream::connect(gateway.mqtt).ok()?;
    let mut client = Raw::over(socket, connect.version, |socket| Box::new(socket));
    client.send(&connect.bytes());
    let frame = client.receive()?;
    let (is_present, reason, _) = read_connack(connect.version, &frame);
    assert_eq!(reason, 0, "{connect:?}");
    Some((client, is_present))
}

/// The client's name with a session that outlives the connection.
pub(super) fn lasting(client_id: &str) -> Connect<'_> {
    let connect = Connect {
        is_clean: false,
        ..Connect::new(V5, client_id)
    };
    connect.with(Property::Four(SESSION_EXPIRY, 86_400))
}

/// Waits for this acknowledgement.
fn acknowledged(client: &mut Raw, kind: u8, packet_id: u16) -> Step {
    let frame = client.receive()?;
    let version = client.version;
    assert_eq!(
        (frame.kind(), frame.acknowledged(version).0),
        (kind, packet_id)
    );
    Some(())
}

impl AtLeastOnce {
    /// Publishes a window at a time; each is acknowledged in its order.
    fn publish(
        &mut self,
        gateway: &Gateway<'_>,
        client_id: &str,
        window: u64,
        stop: &AtomicBool,
        packet: impl Fn(u64) -> Publish,
    ) -> Step {
        let (mut client, _) = connect(gateway, &Connect::new(V311, client_id))?;
        while !stop.load(Ordering::Relaxed) {
            let numbers = self.sent + 1..=self.sent + window;
            let id = |number: u64| (number % 60_000 + 1) as u16;
            let bytes: Vec<u8> = numbers
                .clone()
                .flat_map(|number| packet(number).qos(1, id(number)).bytes(V311))
                .collect();
            self.sent += window;
            client.send(&bytes);
            for number in numbers {
                acknowledged(&mut client, PUBACK, id(number))?;
                self.acked.insert(number);
            }
        }
        None
    }

    fn post(&mut self, gateway: &Gateway<'_>, stop: &AtomicBool) -> Step {
        while !stop.load(Ordering::Relaxed) {
            let numbers = self.sent + 1..=self.sent + OF_A_REQUEST;
            let readings: Vec<String> = numbers
                .clone()
                .map(|number| reading("posted", value(number), number))
                .collect();
            self.sent += OF_A_REQUEST;
            match try_post(gateway, "/data", &format!("[{}]", readings.join(","))) {
                Ok(Answer { status: 201, .. }) => self.acked.extend(numbers),
                Ok(Answer {
                    status: 503 | 507, ..
                }) => {}
                Ok(other) => panic!("unexpected answer {other:?}"),
                Err(_) => return None,
            }
        }
        None
    }
}

impl Exact {
    fn publish(&mut self, gateway: &Gateway<'_>, stop: &AtomicBool) -> Step {
        let (mut client, is_present) = connect(gateway, &lasting("exact"))?;
        assert!(
            is_present || !self.has_session,
            "the publisher's session is gone"
        );
        self.has_session = true;
        while !stop.load(Ordering::Relaxed) {
            let (number, is_recorded) = *self.open.get_or_insert_with(|| {
                self.sent += 1;
                (self.sent, false)
            });
            let id = (number % 60_000 + 1) as u16;
            if !is_recorded {
                let publish =
                    Publish::new("sensors/exact", reading("exact", value(number), number));
                client.send(&publish.qos(2, id).again().bytes(V5));
                acknowledged(&mut client, PUBREC, id)?;
                self.recorded.insert(number);
                self.open = Some((number, true));
            }
            client.send(&ack(PUBREL, id));
            acknowledged(&mut client, PUBCOMP, id)?;
            self.open = None;
        }
        None
    }
}

impl Keeper {
    /// Subscribes once, and takes at most so many of the messages that wait.
    pub(super) fn visit(&mut self, gateway: &Gateway<'_>, mut most: usize) -> Step {
        let (mut client, is_present) = connect(gateway, &lasting("keeper"))?;
        assert!(
            is_present || !self.has_session,
            "the keeper's session is gone"
        );
        self.has_session = true;
        if !self.is_subscribed {
            client.send(&subscribe(V5, 1, &[("queue/#", 1), ("alerts/#", 1)], &[]));
            while client.receive()?.kind() != SUBACK {}
            self.is_subscribed = true;
        }
        while 0 < most {
            let frame = client.receive()?;
            if frame.kind() == PUBLISH {
                let message = Publish::read(V5, &frame);
                client.send(&ack(PUBACK, message.packet_id));
                self.note(&message.topic, &message.payload);
                most -= 1;
            }
        }
        Some(())
    }

    pub(super) fn note(&mut self, topic: &str, payload: &[u8]) {
        if topic.starts_with("alerts/") {
            let alert: serde_json::Value = serde_json::from_slice(payload).unwrap();
            self.alerts.insert(alert["alert_id"].as_i64().unwrap());
        } else {
            let number = std::str::from_utf8(payload).unwrap().parse().unwrap();
            self.numbers.insert(number);
        }
    }
}

fn publish_retained(
    retained: &mut BTreeMap<u64, Versions>,
    gateway: &Gateway<'_>,
    rng: &mut Rng,
    stop: &AtomicBool,
) -> Step {
    let (mut client, _) = connect(gateway, &Connect::new(V311, "retainer"))?;
    while !stop.load(Ordering::Relaxed) {
        let topic = rng.u64(..TOPICS);
        let versions = retained.entry(topic).or_default();
        versions.sent += 1;
        let publish = Publish::new(&format!("state/{topic}"), versions.sent.to_string());
        client.send(&publish.qos(1, 1).retained().bytes(V311));
        acknowledged(&mut client, PUBACK, 1)?;
        versions.acked = versions.sent;
    }
    None
}

impl Ledger {
    /// All clients at once, until the gateway is gone or they are told to stop.
    pub(super) fn load(
        &mut self,
        gateway: &Gateway<'_>,
        rng: &mut Rng,
        stop: &AtomicBool,
        meanwhile: impl FnOnce(),
    ) {
        let visits = (rng.u8(..3) == 0).then(|| rng.usize(1..100));
        let mut fork = rng.fork();
        thread::scope(|scope| {
            let Self {
                once,
                exact,
                posted,
                retained,
                queued,
                keeper,
            } = self;
            scope.spawn(move || {
                once.publish(gateway, "once", WINDOW, stop, |number| {
                    Publish::new("sensors/once", reading("once", value(number), number))
                })
            });
            scope.spawn(move || exact.publish(gateway, stop));
            scope.spawn(move || posted.post(gateway, stop));
            scope.spawn(move || publish_retained(retained, gateway, &mut fork, stop));
            scope.spawn(move || {
                queued.publish(gateway, "queuer", 1, stop, |number| {
                    Publish::new("queue/numbers", number.to_string())
                })
            });
            if let Some(most) = visits {
                scope.spawn(move || keeper.visit(gateway, most));
            }
            meanwhile();
        });
    }
}
