//! From the hub's queue to the client, as far as there is room.

use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::broker::acknowledge::Leave;
use crate::broker::hub::RetainedPage;
use crate::broker::queue::Outgoing;
use crate::broker::turn::{Answer, Turn};
use crate::broker::wire::MAX_SEND_BYTES;
use crate::domain::message::{Delivery, Qos};
use crate::ingest::Submission;
use crate::metrics::Limit;
use crate::store::sessions::Change;

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Moves messages from the queue to the send buffer, as far as there is room for them; then retained ones.
    pub(super) fn deliver(&mut self) {
        let now = Instant::now();
        self.deliver_queued(now);
        let is_free = self.unsent.is_none() && !self.member.awaits_retained;
        if is_free && self.member.queue.is_empty() {
            let page = self.shared.hub.send_retained(&mut self.member);
            if page.is_more && page.stored.is_empty() {
                // The rest comes in another turn, so that nobody has to wait for it.
                self.member.queue.nudge();
            }
            self.store_retained(page);
            self.deliver_queued(now);
        }
        self.hand_over_changes();
    }

    /// Retained messages go out when it is on disk that they are owed. If there are none, nobody waits for how far it is.
    fn store_retained(&mut self, page: RetainedPage) {
        let RetainedPage {
            stored, progress, ..
        } = page;
        if stored.is_empty() {
            return self.changes.extend(progress);
        }
        let rows = stored.iter().cloned().map(Change::Queue).chain(progress);
        self.finish(Turn {
            submission: Submission::of_changes(rows.collect()),
            answers: vec![Answer::Retained(stored)],
        });
    }

    pub(super) fn deliver_queued(&mut self, now: Instant) {
        let receive_maximum = usize::from(self.wire.protocol.receive_maximum);
        let window = self.shared.limits.in_flight.min(receive_maximum);
        while self.wire.protocol.out.len() < MAX_SEND_BYTES {
            match self.member.queue.next(window) {
                None => break,
                // It is sent again: that it is wanted was on disk before this connection was accepted.
                Some(Outgoing::Pubrel(packet_id)) => {
                    self.wire
                        .protocol
                        .pubrel(packet_id, true, Leave::NothingStored);
                }
                Some(Outgoing::Publish {
                    delivery,
                    packet_id,
                    is_again,
                }) => {
                    let is_sent = self.send(&delivery, packet_id, is_again, now);
                    if !is_sent && delivery.qos != Qos::AtMostOnce {
                        self.delivered(packet_id);
                    } else if self.member.queue.in_flight() == self.shared.limits.in_flight {
                        self.shared.metrics.limited(Limit::InFlight);
                    }
                }
            }
        }
    }

    /// The client is done with a message, or will never get it.
    pub(super) fn delivered(&mut self, packet_id: u16) {
        let seq = self.member.queue.done(packet_id);
        if let Some(seq) = seq.filter(|_| self.member.is_stored()) {
            self.changes.push(Change::Done {
                session: self.member.session,
                seq,
            });
        }
    }

    /// Has the committer write what nobody waits for.
    fn hand_over_changes(&mut self) {
        let is_late = || self.member.is_stored() && self.shared.hub.is_late(self.member.session);
        if self.unsent.is_none() && (!self.changes.is_empty() || is_late()) {
            self.finish(Turn::default());
        }
    }

    /// Sends one message, unless the client may not have it, takes none that long, or it has expired.
    fn send(&mut self, delivery: &Delivery, packet_id: u16, is_again: bool, now: Instant) -> bool {
        let dropped = |reason| {
            let dropped = &self.shared.metrics.mqtt_dropped;
            dropped.with_label_values(&[reason]).inc();
            false
        };
        if !self.rights.grants().may_receive(&delivery.message.topic) {
            return dropped("not_authorized");
        }
        let protocol = &mut self.wire.protocol;
        if protocol.publish(delivery, packet_id, is_again, now) == 0 {
            return dropped("not_sendable");
        }
        self.shared.messages_out[delivery.qos as usize].inc();
        true
    }
}
