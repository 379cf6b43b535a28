//! One connection, from CONNECT to its end. The client is never interrupted halfway: it may be in the middle of a packet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, Outgoing, Packet, Publish, QoS};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::failure::judge;
use super::ledger::Ledger;
use super::subscription::Subscription;
use super::{Keeper, Request, options};
use crate::forwarder::progress::Progress;
use crate::forwarder::rate::Bucket;
use crate::forwarder::uplink::Sent;
use crate::forwarder::verdict::{Verdict, Words};
use crate::ingest::SubmissionQueue;

/// What may wait for the client: all that can be on its way, and an acknowledgement for each packet id of the other side.
/// So it is never full, and nobody waits for the client that the client waits for.
const CLIENT_QUEUE: usize = 2 * u16::MAX as usize;

/// Commands that wait for their commit; then the socket is not read.
const INBOX: usize = 16;

/// How a connection ended.
pub(super) struct Ended {
    pub(super) verdict: Verdict,
    /// How long it was up, if it was.
    pub(super) lasted: Option<Duration>,
}

/// A batch that was handed to the client.
struct Departed {
    reply: oneshot::Sender<Sent>,
    bytes: u64,
    due: Instant,
}

type SharedLedger = Mutex<Ledger<Departed>>;

impl Departed {
    fn answer(self, verdict: Verdict) {
        let bytes = self.bytes;
        // Nobody waits any more when the gateway stops.
        self.reply.send(Sent { verdict, bytes }).ok();
    }
}

impl Keeper {
    /// Makes a connection and serves it to its end. What was handed to it and not acknowledged is answered.
    pub(super) async fn connection(
        &mut self,
        submissions: &SubmissionQueue,
        progress: &Progress,
    ) -> Ended {
        let (client, mut event_loop) = match self.connect().await {
            Ok(connected) => connected,
            Err(verdict) => {
                return Ended {
                    verdict,
                    lasted: None,
                };
            }
        };
        let since = Instant::now();
        tracing::info!(uplink = %self.config.name, "connected to the broker");
        progress.refused(None);
        let ledger = SharedLedger::default();
        let (commands, inbox) = mpsc::channel(INBOX);
        let subscription = Subscription {
            uplink: &self.config.name,
            client: &client,
            filter: self.mqtt.downlink.as_ref(),
            pause: self.config.retry_max,
            progress,
            refused: Notify::new(),
        };
        let feeder = Feeder {
            requests: &mut self.requests,
            next: &mut self.next,
            bucket: self.bucket.as_mut(),
            client: &client,
            ledger: &ledger,
            timeout: self.config.timeout,
        };
        let verdict = tokio::select! {
            verdict = drive(&mut event_loop, &ledger, &commands, &subscription) => verdict,
            verdict = subscription.ask() => verdict,
            verdict = feeder.feed() => verdict,
            verdict = watch(&ledger, self.config.timeout) => verdict,
            verdict = self.downlink.relay(inbox, &client, submissions) => verdict,
        };
        // What was read together with the connection's end, or while something else ended it.
        for event in &event_loop.state.events {
            book(event, &ledger);
        }
        for departed in lock(&ledger).take_all() {
            departed.answer(verdict.clone());
        }
        Ended {
            verdict,
            lasted: Some(since.elapsed()),
        }
    }

    async fn connect(&self) -> Result<(AsyncClient, EventLoop), Verdict> {
        let (mqtt, files) = (Arc::clone(&self.mqtt), self.files.clone());
        let options = options::read(mqtt, files).await.map_err(Verdict::held)?;
        let (client, mut event_loop) = AsyncClient::new(options, CLIENT_QUEUE);
        let limit = self.config.timeout;
        event_loop.network_options.set_tcp_nodelay(true);
        // The client has its own limit for each write, in whole seconds.
        let seconds = limit.as_secs().saturating_add(1);
        event_loop.network_options.set_connection_timeout(seconds);
        match timeout(limit, event_loop.poll()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(judge(&error)),
            Err(_) => return Err(Verdict::retry("no connection: no CONNACK in time")),
        }
        Ok((client, event_loop))
    }
}

/// Books what was sent and what was acknowledged.
fn book(event: &Event, ledger: &SharedLedger) {
    match event {
        Event::Outgoing(Outgoing::Publish(id)) => lock(ledger).sent(*id),
        Event::Incoming(Packet::PubAck(ack)) => {
            let acked = lock(ledger).acked(ack.pkid);
            if let Some(departed) = acked {
                departed.answer(Verdict::Delivered {
                    rejected: Vec::new(),
                    refusal: Words::default(),
                });
            }
        }
        _ => {}
    }
}

/// Lets the client speak and hears what it says.
async fn drive(
    event_loop: &mut EventLoop,
    ledger: &SharedLedger,
    commands: &mpsc::Sender<Publish>,
    subscription: &Subscription<'_>,
) -> Verdict {
    loop {
        match event_loop.poll().await {
            Ok(Event::Outgoing(Outgoing::Disconnect)) => {
                return Verdict::retry("the gateway stops");
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                if commands.send(publish).await.is_err() {
                    return Verdict::retry("nobody takes commands");
                }
            }
            Ok(Event::Incoming(Packet::SubAck(ack))) => subscription.answered(&ack),
            Ok(event) => book(&event, ledger),
            Err(error) => return judge(&error),
        }
    }
}

/// Ends when something is not acknowledged in time. What is handed over later is due later.
async fn watch(ledger: &SharedLedger, limit: Duration) -> Verdict {
    loop {
        let due = |ledger: &Ledger<Departed>| ledger.all().map(|departed| departed.due).min();
        let next = due(&lock(ledger));
        sleep_until(next.unwrap_or_else(|| Instant::now() + limit)).await;
        if due(&lock(ledger)).is_some_and(|due| due <= Instant::now()) {
            return Verdict::timeout("no PUBACK in time");
        }
    }
}

/// Hands what comes to the client, as fast as it may go.
struct Feeder<'f> {
    requests: &'f mut mpsc::Receiver<Request>,
    next: &'f mut Option<Request>,
    bucket: Option<&'f mut Bucket>,
    client: &'f AsyncClient,
    ledger: &'f SharedLedger,
    timeout: Duration,
}

impl Feeder<'_> {
    async fn feed(mut self) -> Verdict {
        loop {
            if self.next.is_none() {
                *self.next = self.requests.recv().await;
            }
            if let (Some(request), Some(bucket)) = (self.next.as_ref(), &mut self.bucket) {
                // Paid for afterwards: the connection need not outlast the time that the batch itself takes.
                sleep_until(bucket.free_at(Instant::now())).await;
                bucket.take(request.size(), Instant::now());
            }
            let Some(request) = self.next.take() else {
                return self.part().await;
            };
            lock(self.ledger).hand(Departed {
                bytes: request.size() as u64,
                reply: request.reply,
                due: Instant::now() + self.timeout,
            });
            let (client, topic) = (self.client, request.topic);
            let handed = client.publish_bytes(topic, QoS::AtLeastOnce, false, request.payload);
            if let Err(error) = handed.await {
                return Verdict::retry(error.to_string());
            }
        }
    }

    /// Nothing more comes: has the client take its leave (MQTT 3.1.1, section 3.14), which ends the connection.
    async fn part(&self) -> Verdict {
        match self.client.disconnect().await {
            Ok(()) => std::future::pending().await,
            Err(error) => Verdict::retry(error.to_string()),
        }
    }
}

fn lock(ledger: &SharedLedger) -> MutexGuard<'_, Ledger<Departed>> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
