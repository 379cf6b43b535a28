//! One MQTT connection and the sensors that share it.
//!
//! Two futures in one task: the *feeder* hands readings to the client, the *driver* lets the client
//! speak and counts what the broker answers. Neither is ever cancelled halfway: the client may be
//! in the middle of a packet.
//!
//! Invariant: readings handed over but not settled <= the window. So what the client must send
//! again after a lost connection always fits its packet ids.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::SeqCst},
    time::Duration,
};

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS, Request};
use tokio::{
    sync::Semaphore,
    time::{self, Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::fleet::{
    counts::Counters,
    ledger::{Ledger, Reading, Sent},
    pace::Pace,
    sensor_id, wave,
};

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// What one connection is to do.
pub(super) struct Plan {
    pub(super) options: MqttOptions,
    /// Numbers of the sensors on this connection, from 1.
    pub(super) sensors: Vec<u32>,
    /// Readings per second of all these sensors together.
    pub(super) rate: f64,
    /// How long the first reading waits, so that connections do not publish in step.
    pub(super) offset: Duration,
    pub(super) qos: QoS,
    pub(super) prefix: String,
    pub(super) seed: u64,
    /// Readings that may be on their way without an acknowledgement.
    pub(super) window: u16,
}

/// What feeder and driver share.
struct Shared {
    counters: Arc<Counters>,
    ledger: Mutex<Ledger>,
    window: Semaphore,
    /// Set when nothing more will be published and all is settled.
    drained: CancellationToken,
}

/// Publishes until `stop`, then waits for what is not acknowledged and disconnects.
pub(super) async fn run(plan: Plan, counters: Arc<Counters>, stop: CancellationToken) {
    let (client, mut event_loop) =
        AsyncClient::new(plan.options.clone(), usize::from(plan.window) + 1);
    event_loop.network_options.set_tcp_nodelay(true);
    let shared = Shared {
        counters,
        ledger: Mutex::new(Ledger::default()),
        window: Semaphore::new(usize::from(plan.window)),
        drained: CancellationToken::new(),
    };
    let feeder = async {
        // The client's end of the queue lives as long as the driver: the only error there is.
        if feed(&plan, &client, &shared, &stop).await.is_ok()
            && let Ok(_all) = shared.window.acquire_many(plan.window.into()).await
        {
            shared.drained.cancel();
            client.disconnect().await.ok();
        }
    };
    tokio::join!(feeder, drive(event_loop, &shared));
}

async fn feed(
    plan: &Plan,
    client: &AsyncClient,
    shared: &Shared,
    stop: &CancellationToken,
) -> Result<(), rumqttc::ClientError> {
    let started = Instant::now() + plan.offset;
    let mut pace = Pace::new(plan.rate, started.into_std());
    let mut ticks = time::interval_at(started, pace.tick());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        for _ in 0..pace.due(Instant::now().into_std()) {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                permit = shared.window.acquire() => permit.expect("the window is never closed").forget(),
            }
            let reading = plan.reading(turn);
            turn += 1;
            shared.ledger().hand(reading);
            shared.counters.published.fetch_add(1, SeqCst);
            let id = sensor_id(reading.sensor);
            let topic = format!("{}{id}", plan.prefix);
            let payload = format!(
                r#"{{"sensor_id":"{id}","value":{},"seq":{}}}"#,
                reading.value, reading.seq
            );
            client.publish(topic, plan.qos, false, payload).await?;
        }
    }
}

/// Lets the client speak until it has disconnected after all is settled.
async fn drive(mut event_loop: EventLoop, shared: &Shared) {
    let counters = &shared.counters;
    let mut unsent: VecDeque<Request> = VecDeque::new();
    let mut wait = RETRY_FIRST;
    let mut connected = false;
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                // The client has just forgotten what was pending, the session being new.
                event_loop.pending.append(&mut unsent);
                connected = true;
                wait = RETRY_FIRST;
                counters.connected.fetch_add(1, SeqCst);
                counters.changed.notify_waiters();
            }
            Ok(Event::Outgoing(Outgoing::Disconnect)) => break,
            Ok(event) => shared.settle(&event),
            Err(error) => {
                unsent.append(&mut mem::take(&mut event_loop.pending));
                if mem::take(&mut connected) {
                    counters.connected.fetch_sub(1, SeqCst);
                }
                counters.disconnects.fetch_add(1, SeqCst);
                counters.note_error(error.to_string());
                counters.changed.notify_waiters();
                if shared.drained.is_cancelled() {
                    break;
                }
                time::sleep(wait.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
                wait = (wait * 2).min(RETRY_LONGEST);
            }
        }
    }
    if connected {
        counters.connected.fetch_sub(1, SeqCst);
    }
}

impl Plan {
    /// The reading of turn number `turn`, from 0: the sensors take turns.
    fn reading(&self, turn: u64) -> Reading {
        let sensors = self.sensors.len() as u64;
        let sensor = self.sensors[(turn % sensors) as usize];
        let seq = turn / sensors + 1;
        Reading {
            sensor,
            seq,
            value: wave(self.seed, sensor, seq),
        }
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Books what the client has sent and what the broker has acknowledged.
    fn settle(&self, event: &Event) {
        let (acked, settled) = match event {
            Event::Outgoing(Outgoing::Publish(packet_id)) => {
                let sent = self.ledger().sent(*packet_id);
                if sent == Sent::Again {
                    self.counters.resent.fetch_add(1, SeqCst);
                }
                (None, *packet_id == 0 && sent != Sent::Again)
            }
            Event::Incoming(Packet::PubAck(ack)) => {
                let acked = self.ledger().acked(ack.pkid);
                (acked, acked.is_some())
            }
            Event::Incoming(Packet::PubRec(receipt)) => {
                (self.ledger().received(receipt.pkid), false)
            }
            Event::Incoming(Packet::PubComp(completion)) => {
                (None, self.ledger().completed(completion.pkid))
            }
            _ => return,
        };
        if let Some(reading) = acked {
            self.counters.count_acked(reading);
        }
        if settled {
            self.window.add_permits(1);
        }
    }
}
