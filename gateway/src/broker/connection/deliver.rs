//! From the hub's queue to the client, as far as there is room.

use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::broker::queue::Delivery;
use crate::broker::wire::MAX_SEND_BYTES;
use crate::clock;
use crate::domain::message::Qos;
use crate::domain::timestamp::Timestamp;
use crate::metrics::Limit;

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Moves messages from the queue to the send buffer, as far as there is room for them; then retained ones.
    pub(super) fn deliver(&mut self) {
        let now = clock::now();
        self.deliver_queued(now);
        if !self.member.queue.is_empty() {
            return;
        }
        let is_more = self.shared.hub.send_retained(&mut self.member);
        self.deliver_queued(now);
        if is_more {
            // The rest comes in another turn, so that nobody has to wait for it.
            self.member.queue.nudge();
        }
    }

    fn deliver_queued(&mut self, now: Timestamp) {
        while self.wire.protocol.out.len() < MAX_SEND_BYTES {
            let may_be_acknowledged = self.session.has_room_in_flight();
            let packet_id = may_be_acknowledged
                .then(|| self.wire.protocol.acquire_packet_id())
                .flatten();
            let is_possible = |qos| qos == Qos::AtMostOnce || packet_id.is_some();
            let delivery = self.member.queue.pop(|waiting| is_possible(waiting.qos));
            let is_used = delivery
                .as_ref()
                .is_some_and(|delivery| self.send(delivery, packet_id.unwrap_or(0), now));
            match packet_id {
                Some(_) if is_used => self.note_sent(),
                Some(unused) => self.wire.protocol.release_packet_id(unused),
                None => {}
            }
            if delivery.is_none() {
                break;
            }
        }
    }

    fn note_sent(&mut self) {
        self.session.sent();
        if !self.session.has_room_in_flight() {
            self.shared.metrics.limited(Limit::InFlight);
        }
    }

    /// Sends one message; true if it now waits for its acknowledgement under `packet_id`.
    fn send(&mut self, delivery: &Delivery, packet_id: u16, now: Timestamp) -> bool {
        if !self.rights.grants().may_receive(&delivery.message.topic) {
            let dropped = &self.shared.metrics.mqtt_dropped;
            dropped.with_label_values(&["not_authorized"]).inc();
            return false;
        }
        if self.wire.protocol.publish(delivery, packet_id, now) == 0 {
            let dropped = &self.shared.metrics.mqtt_dropped;
            dropped.with_label_values(&["not_sendable"]).inc();
            return false;
        }
        self.shared.messages_out[delivery.qos as usize].inc();
        delivery.qos != Qos::AtMostOnce
    }
}
