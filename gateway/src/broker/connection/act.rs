//! What the connection does about the packets that a client sent.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::Connection;
use crate::broker::acknowledge::{Goodbye, Leave};
use crate::broker::protocol::{Incoming, Publish, Violation};
use crate::broker::session::{Ack, AckReason, Release};
use crate::broker::subscribe::{Granted, Subscribe, Unsubscribe};
use crate::broker::turn::Turn;
use crate::broker::wire::End;
use crate::clock;
use crate::domain::message::{Message, Qos};
use crate::domain::topic::{TopicFilter, TopicName};
use crate::ingest::{Refused, Submission};
use crate::metrics::Limit;
use crate::store::Committed;

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Acts on what one read brought, as one turn, as far as the client's rate allows; the rest stays in `incoming`.
    pub(super) fn handle(&mut self, incoming: &mut Vec<Incoming>) -> Result<(), End> {
        if !incoming.is_empty() {
            self.last_packet = Instant::now();
        }
        if self.rights.have_changed() {
            self.renew_rights()?;
        }
        let mut turn = Turn::default();
        let count = self.count_allowed(incoming);
        let acted = incoming
            .drain(..count)
            .try_for_each(|packet| self.act(packet, &mut turn));
        let (submission, owed) = turn.finish();
        let is_owed = owed.is_some();
        self.owed.extend(owed);
        match submission {
            Some(submission) => self.hand_over(submission, is_owed),
            None => self.settle_free(),
        }
        acted
    }

    /// How many of the packets may be acted upon now. The first publish without a token holds up all behind it: their
    /// order is the client's.
    fn count_allowed(&mut self, incoming: &[Incoming]) -> usize {
        let was_held = self.held_until.take().is_some();
        let Some(rate) = &mut self.rate else {
            return incoming.len();
        };
        let now = Instant::now();
        for (at, packet) in incoming.iter().enumerate() {
            if matches!(packet, Incoming::Publish(_))
                && let Err(moment) = rate.take(now)
            {
                self.held_until = Some(moment);
                if !was_held {
                    self.shared.metrics.limited(Limit::PublishRate);
                }
                return at;
            }
        }
        incoming.len()
    }

    /// Asks what the client may do now.
    pub(super) fn renew_rights(&mut self) -> Result<(), End> {
        if self.rights.renew(&self.shared.access) {
            Ok(())
        } else {
            Err(End::Said(Goodbye::NotAuthorized))
        }
    }

    /// Policy of the queue: what is owed an answer waits for room, what is all of QoS 0 is dropped and counted.
    fn hand_over(&mut self, submission: Submission, is_owed: bool) {
        let Err(refused) = self.shared.submissions.try_submit(submission) else {
            return;
        };
        if is_owed {
            let queue = self.shared.submissions.clone();
            self.unsent = Some(Box::pin(async move { queue.submit(*refused).await }));
        } else {
            self.shared.count_lost(&refused, "overload");
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
            Incoming::Subscribe(subscribe) => return self.subscribe(subscribe),
            Incoming::Unsubscribe(unsubscribe) => return self.unsubscribe(unsubscribe),
            Incoming::Ping => protocol.pingresp(),
            Incoming::Disconnect { wants_will } => return Err(End::Disconnected { wants_will }),
            Incoming::Connect(_) => return Err(Violation("a second CONNECT").into()),
        }
        Ok(())
    }

    fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), End> {
        check_filters(subscribe.packet_id, subscribe.entries.len())?;
        let mut granted = Vec::with_capacity(subscribe.entries.len());
        for entry in subscribe.entries {
            let text = entry.filter.as_ref().map(TopicFilter::as_str);
            if self.shared.is_beyond(text.map_err(|error| *error)) {
                granted.push(Granted::FilterInvalid);
                continue;
            }
            let is_allowed = entry
                .filter
                .as_ref()
                .is_ok_and(|filter| self.rights.grants().may_subscribe(filter));
            granted.push(if is_allowed || entry.filter.is_err() {
                self.shared.hub.subscribe(&mut self.member, entry)
            } else {
                Granted::NotAuthorized
            });
        }
        self.wire.protocol.suback(subscribe.packet_id, &granted);
        Ok(())
    }

    fn unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Result<(), End> {
        check_filters(unsubscribe.packet_id, unsubscribe.filters.len())?;
        let mut removed = Vec::with_capacity(unsubscribe.filters.len());
        for filter in unsubscribe.filters {
            removed.push(self.shared.hub.unsubscribe(&mut self.member, filter));
        }
        self.wire.protocol.unsuback(unsubscribe.packet_id, &removed);
        Ok(())
    }

    fn publish(&mut self, publish: Publish, turn: &mut Turn) -> Result<(), End> {
        let text = publish.topic.as_ref().map(TopicName::as_str);
        if self.shared.is_beyond(text.map_err(|error| *error)) {
            return Err(End::Said(Goodbye::TopicNameInvalid));
        }
        let Ok(topic) = publish.topic else {
            return Err(End::Said(Goodbye::TopicNameInvalid));
        };
        self.shared.messages_in[publish.qos as usize].inc();
        if publish.qos == Qos::ExactlyOnce && !self.session.open_exchange(publish.packet_id) {
            return Ok(());
        }
        let message = Message {
            topic: topic.clone(),
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            received_at: clock::now(),
            publisher: Arc::clone(&self.member.client_id),
            properties: publish.properties,
        };
        let reason = if self.rights.grants().may_publish(&topic) {
            self.shared.intake.take(message, &mut turn.submission)
        } else {
            AckReason::NotAuthorized
        };
        if reason == AckReason::NotAuthorized {
            self.note_refused(&topic);
        }
        if publish.qos != Qos::AtMostOnce {
            turn.acks.push(Ack {
                packet_id: publish.packet_id,
                qos: publish.qos,
                // MQTT 3.1.1 has no reasons: what it is told is success, and the exchange goes on as after one.
                reason: if self.wire.protocol.is_v5() {
                    reason
                } else {
                    AckReason::Success
                },
            });
        }
        Ok(())
    }

    /// Counts a publish that was refused, and says it once for each topic.
    fn note_refused(&mut self, topic: &TopicName) {
        const MAX_TOPICS: usize = 100;
        let dropped = &self.shared.metrics.mqtt_dropped;
        dropped.with_label_values(&["not_authorized"]).inc();
        if self.warned_of.len() < MAX_TOPICS && self.warned_of.insert(topic.clone()) {
            let client_id = &*self.member.client_id;
            tracing::warn!(client_id, %topic, "publish refused: the client may not; said once for a topic");
        }
    }

    /// Answers the first turn, now that it is on disk, and those behind it that wait for nothing.
    pub(super) fn settle(&mut self, committed: Result<Committed, Refused>) -> Result<(), End> {
        let committed = committed.map_err(|_| End::Said(Goodbye::ShuttingDown))?;
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
}

/// Packet identifiers are not 0, a packet has at least one filter (MQTT 5.0, sections 2.2.1 and 3.8.3), and no client
/// needs as many as fit.
fn check_filters(packet_id: u16, count: usize) -> Result<(), End> {
    const MAX_FILTERS: usize = 1000;
    match (packet_id, count) {
        (0, _) => Err(Violation("packet identifier 0").into()),
        (_, 1..=MAX_FILTERS) => Ok(()),
        _ => Err(Violation("no filter, or more than 1000 in one packet").into()),
    }
}
