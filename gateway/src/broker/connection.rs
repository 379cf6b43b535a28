//! One client's connection: moves bytes between socket and protocol, publishes to the committer, messages from the hub
//! to the client. It stops reading while the committer is behind, so that TCP pushes back.

use std::{collections::VecDeque, net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    acknowledge::{Goodbye, Leave},
    connect::Admitted,
    hub::Member,
    intake::Intake,
    protocol::{Incoming, Publish, RECEIVE_MAXIMUM, Violation},
    session::{Ack, AckReason, Release, Session},
    turn::{Owed, Turn},
    wire::{End, MAX_SEND_BYTES, Wire},
};
use crate::clock;
use crate::domain::message::{Message, Qos};
use crate::ingest::{Busy, Submission};
use crate::store::Committed;

/// A client has so long to send its CONNECT.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Reads whose answer may be owed at once.
const MAX_TURNS: usize = RECEIVE_MAXIMUM as usize;

/// Serves a client until it or the gateway ends the connection.
pub(super) async fn serve<R, W>(
    reader: R,
    writer: W,
    peer: IpAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut wire = Wire::new(reader, writer, shared.max_packet);
    let mut incoming = Vec::new();
    let greeting = time::timeout(CONNECT_TIMEOUT, wire.greet(&mut incoming));
    let connect = tokio::select! {
        greeted = greeting => greeted,
        () = stop.cancelled() => return,
    };
    let connect = match connect {
        Ok(Ok(connect)) => connect,
        Ok(Err(end)) => {
            tracing::debug!(%peer, %end, "no connection was made");
            return wire.flush_and_close().await;
        }
        Err(_) => return tracing::debug!(%peer, "no CONNECT in time"),
    };
    let keep_alive = connect.keep_alive;
    let admitted = connect.admit(peer, shared.anonymous, clock::now(), Intake::may_publish);
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => {
            tracing::info!(%peer, ?refusal, "client refused");
            wire.protocol.refuse(refusal);
            return wire.flush_and_close().await;
        }
    };
    wire.protocol.accept(&admitted);
    let Admitted {
        client_id, will, ..
    } = admitted;
    tracing::debug!(%peer, %client_id, "client connected");
    let mut connection = Connection {
        member: shared.hub.join(client_id),
        wire,
        shared,
        session: Session::default(),
        owed: VecDeque::new(),
        unsent: None,
        // MQTT 5.0, section 3.1.2.10: one and a half times the keep alive.
        keep_alive: Duration::from_millis(u64::from(keep_alive) * 1500),
        last_packet: Instant::now(),
        has_warned: false,
    };
    connection.shared.metrics.mqtt_connections.inc();
    let end = connection.run(incoming, &stop).await;
    connection.shared.metrics.mqtt_connections.dec();
    connection.close(end, will).await;
}

struct Connection<R, W> {
    wire: Wire<R, W>,
    shared: Arc<Shared>,
    member: Member,
    session: Session,
    /// Turns whose answer is owed, in their order.
    owed: VecDeque<Owed>,
    /// A submission that waits for room at the committer.
    unsent: Option<Submission>,
    /// Zero for none.
    keep_alive: Duration,
    last_packet: Instant,
    has_warned: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    async fn run(&mut self, first: Vec<Incoming>, stop: &CancellationToken) -> End {
        match self.steps(first, stop).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn steps(
        &mut self,
        first: Vec<Incoming>,
        stop: &CancellationToken,
    ) -> Result<std::convert::Infallible, End> {
        let mut incoming = first;
        self.handle(&mut incoming)?;
        let deadline = time::sleep(self.keep_alive);
        tokio::pin!(deadline);
        let shared = Arc::clone(&self.shared);
        let queue = Arc::clone(&self.member.queue);
        loop {
            let is_stopping = stop.is_cancelled();
            if is_stopping && self.unsent.is_none() && self.owed.is_empty() {
                return Err(End::Said(Goodbye::ShuttingDown));
            }
            let has_room = self.unsent.is_none()
                && self.owed.len() < MAX_TURNS
                && self.wire.protocol.out.len() < MAX_SEND_BYTES;
            if !has_room {
                self.last_packet = Instant::now();
            }
            let weight = self.unsent.as_ref().map_or(0, Submission::weight);
            tokio::select! {
                count = self.wire.writer.write(&self.wire.protocol.out), if !self.wire.protocol.out.is_empty() => {
                    self.wire.wrote(&count)?;
                    self.deliver();
                }
                committed = next_commit(&mut self.owed) => self.settle(committed)?,
                place = shared.submissions.reserve(weight), if self.unsent.is_some() => match (place, self.unsent.take()) {
                    (Ok(place), Some(submission)) => place.submit(submission),
                    _ => return Err(End::Said(Goodbye::ShuttingDown)),
                },
                count = self.wire.reader.read(&mut self.wire.buffer), if has_room && !is_stopping => {
                    let taken = self.wire.take(&count, &mut incoming);
                    self.handle(&mut incoming)?;
                    taken?;
                    self.deliver();
                }
                () = queue.changed() => {
                    if self.member.queue.is_taken_over() {
                        return Err(End::Said(Goodbye::TakenOver));
                    }
                    self.deliver();
                }
                () = &mut deadline, if !self.keep_alive.is_zero() => {
                    let until = self.last_packet + self.keep_alive;
                    if until <= Instant::now() {
                        return Err(End::Said(Goodbye::KeepAliveTimeout));
                    }
                    deadline.as_mut().reset(until);
                }
                () = stop.cancelled(), if !is_stopping => {}
            }
        }
    }

    /// Acts on what one read brought, as one turn.
    fn handle(&mut self, incoming: &mut Vec<Incoming>) -> Result<(), End> {
        if !incoming.is_empty() {
            self.last_packet = Instant::now();
        }
        let mut turn = Turn::default();
        let acted = incoming
            .drain(..)
            .try_for_each(|packet| self.act(packet, &mut turn));
        let (submission, owed) = turn.finish();
        let Some(submission) = submission else {
            self.owed.extend(owed);
            self.settle_free();
            return acted;
        };
        if owed.is_some() {
            self.unsent = Some(submission);
        } else {
            self.submit_unacknowledged(submission);
        }
        self.owed.extend(owed);
        acted
    }

    /// Hands over what is all of QoS 0, unless the committer is too far behind.
    fn submit_unacknowledged(&self, submission: Submission) {
        let count = submission.readings.len() as u64;
        if self.shared.submissions.try_submit(submission) == Err(Busy::Full) {
            let lost = &self.shared.metrics.readings_lost;
            lost.with_label_values(&["overload"]).inc_by(count);
        }
    }

    fn act(&mut self, packet: Incoming, turn: &mut Turn) -> Result<(), End> {
        let protocol = &mut self.wire.protocol;
        match packet {
            Incoming::Publish(publish) => return self.publish(publish, turn),
            Incoming::PublishAgain(packet_id) => {
                if self.session.is_committed(packet_id) {
                    protocol.pubrec(packet_id, AckReason::Success, Leave::NothingStored);
                }
            }
            Incoming::Pubrel(packet_id) => match self.session.release(packet_id) {
                Release::Complete => protocol.pubcomp(packet_id, true),
                Release::Unknown => protocol.pubcomp(packet_id, false),
                Release::TooEarly => return Err(End::Said(Goodbye::ProtocolError)),
            },
            Incoming::Delivered => self.session.delivered(),
            Incoming::Subscribe(subscribe) => {
                let mut granted = Vec::with_capacity(subscribe.entries.len());
                for entry in subscribe.entries {
                    granted.push(self.shared.hub.subscribe(&mut self.member, entry));
                }
                protocol.suback(subscribe.packet_id, &granted);
            }
            Incoming::Unsubscribe(unsubscribe) => {
                let mut removed = Vec::with_capacity(unsubscribe.filters.len());
                for filter in unsubscribe.filters {
                    removed.push(self.shared.hub.unsubscribe(&mut self.member, filter));
                }
                protocol.unsuback(unsubscribe.packet_id, &removed);
            }
            Incoming::Ping => protocol.pingresp(),
            Incoming::Disconnect { wants_will } => return Err(End::Disconnected { wants_will }),
            Incoming::Connect(_) => return Err(Violation("a second CONNECT").into()),
        }
        Ok(())
    }

    fn publish(&mut self, publish: Publish, turn: &mut Turn) -> Result<(), End> {
        let Ok(topic) = publish.topic else {
            return Err(End::Said(Goodbye::TopicNameInvalid));
        };
        self.shared.messages_in[publish.qos as usize].inc();
        if publish.qos == Qos::ExactlyOnce && !self.session.open_exchange(publish.packet_id) {
            return Ok(());
        }
        let message = Message {
            topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            received_at: clock::now(),
            publisher: Arc::clone(&self.member.client_id),
            properties: publish.properties,
        };
        let topic = message.topic.clone();
        let reason = self.shared.intake.take(message, &mut turn.submission);
        if reason == AckReason::NotAuthorized {
            let dropped = &self.shared.metrics.mqtt_dropped;
            dropped.with_label_values(&["not_authorized"]).inc();
            if !std::mem::replace(&mut self.has_warned, true) {
                let client_id = &*self.member.client_id;
                tracing::warn!(client_id, %topic, "publish refused: the topic is the gateway's own; said once a connection");
            }
        }
        if publish.qos != Qos::AtMostOnce {
            turn.acks.push(Ack {
                packet_id: publish.packet_id,
                qos: publish.qos,
                reason,
            });
        }
        Ok(())
    }

    /// Answers the first turn, now that it is on disk, and those behind it that wait for nothing.
    fn settle(&mut self, committed: Option<Committed>) -> Result<(), End> {
        let Some(committed) = committed else {
            return Err(End::Said(Goodbye::ShuttingDown));
        };
        if let Some(owed) = self.owed.pop_front() {
            owed.acknowledge(committed.into(), &mut self.session, &mut self.wire.protocol);
        }
        self.settle_free();
        Ok(())
    }

    fn settle_free(&mut self) {
        while self.owed.front().is_some_and(|owed| !owed.is_waiting()) {
            if let Some(owed) = self.owed.pop_front() {
                let leave = Leave::NothingStored;
                owed.acknowledge(leave, &mut self.session, &mut self.wire.protocol);
            }
        }
    }

    /// Moves messages from the queue to the send buffer, as far as there is room for them.
    fn deliver(&mut self) {
        let now = clock::now();
        while self.wire.protocol.out.len() < MAX_SEND_BYTES {
            let has_room = self.session.has_room_in_flight();
            let packet_id = if has_room {
                self.wire.protocol.acquire_packet_id()
            } else {
                None
            };
            let is_possible = |qos| qos == Qos::AtMostOnce || packet_id.is_some();
            let delivery = self.member.queue.pop(|waiting| is_possible(waiting.qos));
            let sent = delivery.map_or(0, |delivery| {
                let sent = self
                    .wire
                    .protocol
                    .publish(&delivery, packet_id.unwrap_or(0), now);
                if sent == 0 {
                    let dropped = &self.shared.metrics.mqtt_dropped;
                    dropped.with_label_values(&["not_sendable"]).inc();
                    return 1;
                }
                self.shared.messages_out[delivery.qos as usize].inc();
                if delivery.qos == Qos::AtMostOnce {
                    1
                } else {
                    2
                }
            });
            match (sent, packet_id) {
                (2, _) => self.session.sent(),
                (_, Some(unused)) => self.wire.protocol.release_packet_id(unused),
                _ => {}
            }
            if sent == 0 {
                return;
            }
        }
    }

    /// Says goodbye, publishes the will where it is due, and lets the committer have what it was promised.
    async fn close(mut self, end: End, will: Option<Message>) {
        let client_id = Arc::clone(&self.member.client_id);
        tracing::debug!(%client_id, %end, "client gone");
        self.shared.hub.leave(&mut self.member);
        if let End::Said(goodbye) = &end {
            self.wire.protocol.say_goodbye(*goodbye);
        }
        if !matches!(end, End::Lost) {
            self.wire.flush_and_close().await;
        }
        if let Some(submission) = self.unsent.take() {
            self.submit(submission).await;
        }
        let is_due = match end {
            End::Disconnected { wants_will } => wants_will,
            End::Said(Goodbye::ShuttingDown) => false,
            End::Lost | End::Violated(_) | End::Said(_) => true,
        };
        if let Some(will) = will.filter(|_| is_due) {
            let mut submission = Submission::default();
            let now = clock::now();
            self.shared.intake.take(
                Message {
                    received_at: now,
                    ..will
                },
                &mut submission,
            );
            if !submission.is_empty() {
                self.submit(submission).await;
            }
        }
    }

    async fn submit(&self, submission: Submission) {
        let count = submission.readings.len() as u64;
        if self.shared.submissions.submit(submission).await.is_err() {
            let lost = &self.shared.metrics.readings_lost;
            lost.with_label_values(&["shutdown"]).inc_by(count);
        }
    }
}

/// Waits for the commit of the first turn that is owed; for ever if there is none.
async fn next_commit(owed: &mut VecDeque<Owed>) -> Option<Committed> {
    match owed.front_mut() {
        Some(first) => first.committed().await,
        None => std::future::pending().await,
    }
}
