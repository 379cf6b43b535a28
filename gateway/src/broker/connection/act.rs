//! What the connection does about the packets that a client sent.

use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{Connection, Unsent};
use crate::broker::acknowledge::{Goodbye, Leave};
use crate::broker::protocol::{Disconnect, Incoming, Publish};
use crate::broker::session::{Ack, AckReason, Opening, Release};
use crate::broker::subscribe::{Entry, Granted, Subscribe, Unsubscribe};
use crate::broker::turn::{Answer, Turn};
use crate::broker::violation::Violation;
use crate::broker::wire::End;
use crate::clock;
use crate::domain::message::{Message, Qos};
use crate::domain::topic::{TopicFilter, TopicName};
use crate::ingest::{Refused, Source, Submission};
use crate::metrics::Limit;
use crate::store::Committed;
use crate::store::sessions::Change;

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
        // After a single packet nothing is kept: most clients that are idle do say PINGREQ.
        incoming.shrink_to(4 * count.saturating_sub(1));
        self.finish(turn);
        acted
    }

    /// Hands over what is to be committed of a turn, with what is to be stored of the session, and owes its answers.
    pub(super) fn finish(&mut self, mut turn: Turn) {
        if self.member.is_stored() {
            let mut changes = self.shared.hub.take_late(self.member.session);
            changes.append(&mut self.changes);
            changes.append(&mut turn.submission.changes);
            turn.submission.changes = changes;
        }
        if !turn.submission.readings.is_empty() {
            turn.submission.source = Some(Source {
                transport: "mqtt",
                client: Some(Arc::clone(&self.member.client_id)),
                address: self.address,
            });
        }
        let is_binding = turn.is_binding();
        let (submission, owed) = turn.finish();
        let is_owed = owed.is_some();
        self.owed.extend(owed);
        match submission {
            Some(submission) => self.hand_over(submission, is_binding, is_owed),
            None => self.settle_free(),
        }
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

    /// Policy of the queue: what is owed an answer, changes what is stored of the session, or says how a device is, waits for
    /// room; the rest of QoS 0 is dropped and counted.
    fn hand_over(&mut self, submission: Submission, is_binding: bool, is_owed: bool) {
        let Err(refused) = self.shared.submissions.try_submit(submission) else {
            return;
        };
        if is_binding {
            let queue = self.shared.submissions.clone();
            let weight = refused.weight();
            self.unsent = Some(Unsent {
                submission: *refused,
                is_owed,
                place: Box::pin(async move { queue.reserve(weight).await }),
            });
            return;
        }
        self.shared.count_lost(&refused, "overload");
        if is_owed {
            self.owed.pop_back();
        }
    }

    fn act(&mut self, packet: Incoming, turn: &mut Turn) -> Result<(), End> {
        match packet {
            Incoming::Publish(publish) => return self.publish(publish, turn),
            Incoming::Pubrel(packet_id) => return self.release(packet_id, turn),
            Incoming::Done(packet_id) => self.delivered(packet_id),
            Incoming::Pubrec(packet_id) => self.received(packet_id, turn),
            Incoming::Subscribe(subscribe) => return self.subscribe(&subscribe, turn),
            Incoming::Unsubscribe(unsubscribe) => return self.unsubscribe(unsubscribe, turn),
            Incoming::Ping => {
                // Who is answered has what came before.
                self.deliver_queued(StdInstant::now());
                self.wire.protocol.pingresp();
            }
            Incoming::Disconnect(disconnect) => return Err(self.disconnect(disconnect)),
            Incoming::Connect(_) => return Err(Violation::protocol("a second CONNECT").into()),
        }
        Ok(())
    }

    /// Answers at once if nothing of it is stored, else behind what is stored in this turn.
    fn answer(&mut self, answer: Answer, turn: &mut Turn) {
        if self.member.is_stored() {
            turn.answers.push(answer);
        } else {
            let (member, protocol) = (&mut self.member, &mut self.wire.protocol);
            answer.send(Leave::NothingStored, member, protocol);
        }
    }

    /// PUBREL: the client may use the identifier for another publish once this is on disk.
    fn release(&mut self, packet_id: u16, turn: &mut Turn) -> Result<(), End> {
        match self.member.exchanges.release(packet_id) {
            Release::TooEarly => {
                return Err(Violation::protocol("PUBREL before its PUBREC").into());
            }
            Release::Unknown => {
                let protocol = &mut self.wire.protocol;
                protocol.pubcomp(packet_id, false, Leave::NothingStored);
            }
            Release::Complete => {
                if self.member.is_stored() {
                    let session = self.member.session;
                    let change = Change::CloseExchange { session, packet_id };
                    turn.submission.changes.push(change);
                }
                self.answer(Answer::Pubcomp(packet_id), turn);
            }
        }
        Ok(())
    }

    /// PUBREC: once it is on disk that the client has the message, PUBREL goes out.
    fn received(&mut self, packet_id: u16, turn: &mut Turn) {
        let Some(seq) = self.member.queue.received(packet_id) else {
            let protocol = &mut self.wire.protocol;
            return protocol.pubrel(packet_id, false, Leave::NothingStored);
        };
        if self.member.is_stored() {
            let session = self.member.session;
            let change = Change::Received { session, seq };
            turn.submission.changes.push(change);
        }
        self.answer(Answer::Pubrel(packet_id), turn);
    }

    fn subscribe(&mut self, subscribe: &Subscribe, turn: &mut Turn) -> Result<(), End> {
        check_filters(subscribe.packet_id, subscribe.entries.len())?;
        let mut granted = Vec::with_capacity(subscribe.entries.len());
        for entry in &subscribe.entries {
            let outcome = self.subscribe_one(entry);
            if let (Granted::Yes(_), Ok(interest)) = (outcome, &entry.interest)
                && self.member.is_stored()
            {
                let change = self.member.subscribed(interest, entry.options);
                turn.submission.changes.push(change);
            }
            granted.push(outcome);
        }
        self.answer(Answer::Suback(subscribe.packet_id, granted), turn);
        Ok(())
    }

    fn subscribe_one(&mut self, entry: &Entry) -> Granted {
        let filter = entry.interest.as_ref().map(|interest| &interest.filter);
        let text = filter.map(TopicFilter::as_str);
        if self.shared.is_beyond(text.map_err(|error| *error)) {
            return Granted::FilterInvalid;
        }
        match filter {
            Ok(filter) if !self.rights.grants().may_subscribe(filter) => Granted::NotAuthorized,
            _ => self.shared.hub.subscribe(&mut self.member, entry),
        }
    }

    fn unsubscribe(&mut self, unsubscribe: Unsubscribe, turn: &mut Turn) -> Result<(), End> {
        check_filters(unsubscribe.packet_id, unsubscribe.interests.len())?;
        let mut removed = Vec::with_capacity(unsubscribe.interests.len());
        for interest in unsubscribe.interests {
            removed.push(self.shared.hub.unsubscribe(&mut self.member, &interest));
            if let Ok(interest) = interest
                && self.member.is_stored()
            {
                let session = self.member.session;
                let change = Change::Unsubscribe { session, interest };
                turn.submission.changes.push(change);
            }
        }
        self.answer(Answer::Unsuback(unsubscribe.packet_id, removed), turn);
        Ok(())
    }

    fn disconnect(&mut self, disconnect: Disconnect) -> End {
        if let Some(seconds) = disconnect.session_expiry {
            // MQTT 5.0, section 3.14.2.2.2.
            if self.member.expiry == 0 && seconds != 0 {
                return Violation::protocol("DISCONNECT asks for a session that CONNECT did not")
                    .into();
            }
            self.member.expiry = self.shared.session_expiry(seconds);
        }
        End::Disconnected(disconnect)
    }

    fn publish(&mut self, publish: Publish, turn: &mut Turn) -> Result<(), End> {
        let text = publish.topic.as_ref().map(TopicName::as_str);
        if self.shared.is_beyond(text.map_err(|error| *error)) {
            return Err(End::Said(Goodbye::TopicNameInvalid));
        }
        let Ok(topic) = publish.topic else {
            return Err(End::Said(Goodbye::TopicNameInvalid));
        };
        let (packet_id, qos) = (publish.packet_id, publish.qos);
        self.shared.messages_in[qos as usize].inc();
        if self.is_known(packet_id, qos)? {
            return Ok(());
        }
        let mut message = Message {
            topic: topic.clone(),
            payload: publish.payload,
            qos,
            retain: publish.retain,
            received_at: clock::now(),
            publisher: Arc::clone(&self.member.client_id),
            properties: publish.properties,
        };
        message.count_expiry(StdInstant::now(), Duration::ZERO);
        let is_stored_exchange = qos == Qos::ExactlyOnce && self.member.is_stored();
        let is_behind =
            is_stored_exchange || !self.owed.is_empty() || !turn.submission.messages.is_empty();
        let reason = if self.rights.grants().may_publish(&topic) {
            let submission = &mut turn.submission;
            self.shared.intake.take(message, is_behind, submission)
        } else {
            AckReason::NotAuthorized
        };
        if reason == AckReason::NotAuthorized {
            self.note_refused(&topic);
        }
        if qos == Qos::AtMostOnce {
            return Ok(());
        }
        // MQTT 3.1.1 has no reasons: what it is told is success, and the exchange goes on as after one.
        let reason = if self.wire.protocol.is_v5() {
            reason
        } else {
            AckReason::Success
        };
        if is_stored_exchange && reason == AckReason::Success {
            let session = self.member.session;
            let change = Change::OpenExchange { session, packet_id };
            turn.submission.changes.push(change);
        }
        turn.answers.push(Answer::Ack(Ack {
            packet_id,
            qos,
            reason,
        }));
        Ok(())
    }

    /// Takes note of a publish that is to be acknowledged; true if it is one that came before.
    fn is_known(&mut self, packet_id: u16, qos: Qos) -> Result<bool, End> {
        let exchanges = &mut self.member.exchanges;
        let opening = match qos {
            Qos::AtMostOnce => return Ok(false),
            Qos::AtLeastOnce => {
                exchanges.open_acknowledgement();
                Opening::New
            }
            Qos::ExactlyOnce => exchanges.open_exchange(packet_id),
        };
        let protocol = &mut self.wire.protocol;
        match opening {
            Opening::Pending => return Ok(true),
            Opening::Committed => {
                protocol.pubrec(packet_id, AckReason::Success, Leave::NothingStored);
                return Ok(true);
            }
            Opening::New => {}
        }
        if protocol.is_v5() && exchanges.is_beyond_receive_maximum() {
            return Err(Violation::receive_maximum().into());
        }
        Ok(false)
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
            let member = &mut self.member;
            owed.answer(committed.into(), member, &mut self.wire.protocol);
        }
        self.settle_free();
        Ok(())
    }

    fn settle_free(&mut self) {
        while self.owed.front().is_some_and(|owed| !owed.is_waiting()) {
            if let Some(owed) = self.owed.pop_front() {
                let member = &mut self.member;
                owed.answer(Leave::NothingStored, member, &mut self.wire.protocol);
            }
        }
    }
}

/// Packet identifiers are not 0, a packet has at least one filter (MQTT 5.0, sections 2.2.1 and 3.8.3), and no client
/// needs as many as fit.
fn check_filters(packet_id: u16, count: usize) -> Result<(), End> {
    const MAX_FILTERS: usize = 1000;
    match (packet_id, count) {
        (0, _) => Err(Violation::protocol("packet identifier 0").into()),
        (_, 1..=MAX_FILTERS) => Ok(()),
        _ => Err(Violation::protocol("no filter, or more than 1000 in one packet").into()),
    }
}
