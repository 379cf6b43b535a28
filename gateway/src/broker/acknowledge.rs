//! Acknowledgements, and the publishes that we send. The only place that can write a PUBACK or PUBREC for what has to
//! be on disk, and it asks for the proof.

use std::time::Instant;

use mqtt_protocol_core::mqtt::{
    packet::{Packet, v3_1_1, v5_0},
    result_code::{
        DisconnectReasonCode, PubackReasonCode, PubcompReasonCode, PubrecReasonCode,
        PubrelReasonCode,
    },
};

use super::{
    aliases::Alias,
    properties,
    protocol::{Protocol, to_wire},
    session::AckReason,
};
use crate::domain::message::{Delivery, Qos};
use crate::store::Committed;

/// Why an acknowledgement may go out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leave {
    /// What it acknowledges is on disk.
    Committed { _proof: Committed },
    /// It acknowledges nothing that is stored.
    NothingStored,
}

impl From<Committed> for Leave {
    fn from(proof: Committed) -> Self {
        Self::Committed { _proof: proof }
    }
}

/// Why the gateway ends a connection (only MQTT 5 hears it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goodbye {
    TakenOver,
    ShuttingDown,
    KeepAliveTimeout,
    TopicNameInvalid,
    /// It may not stay since users or ACL were read anew.
    NotAuthorized,
}

impl Protocol {
    /// PUBACK (MQTT 5.0, section 3.4).
    pub(super) fn puback(&mut self, packet_id: u16, reason: AckReason, _leave: Leave) {
        if !self.is_v5() {
            let puback = v3_1_1::Puback::builder().packet_id(packet_id).build();
            return self.send(puback.map(Packet::V3_1_1Puback));
        }
        let builder = v5_0::Puback::builder().packet_id(packet_id);
        let builder = match reason {
            AckReason::Success => builder,
            AckReason::NotAuthorized => builder.reason_code(PubackReasonCode::NotAuthorized),
            AckReason::PayloadFormatInvalid => {
                builder.reason_code(PubackReasonCode::PayloadFormatInvalid)
            }
            AckReason::QuotaExceeded => builder.reason_code(PubackReasonCode::QuotaExceeded),
        };
        self.send(builder.build().map(Packet::V5_0Puback));
    }

    /// PUBREC (MQTT 5.0, section 3.5). A reason that refuses ends the exchange.
    pub(super) fn pubrec(&mut self, packet_id: u16, reason: AckReason, _leave: Leave) {
        if !self.is_v5() {
            let pubrec = v3_1_1::Pubrec::builder().packet_id(packet_id).build();
            return self.send(pubrec.map(Packet::V3_1_1Pubrec));
        }
        let builder = v5_0::Pubrec::builder().packet_id(packet_id);
        let builder = match reason {
            AckReason::Success => builder,
            AckReason::NotAuthorized => builder.reason_code(PubrecReasonCode::NotAuthorized),
            AckReason::PayloadFormatInvalid => {
                builder.reason_code(PubrecReasonCode::PayloadFormatInvalid)
            }
            AckReason::QuotaExceeded => builder.reason_code(PubrecReasonCode::QuotaExceeded),
        };
        self.send(builder.build().map(Packet::V5_0Pubrec));
    }

    /// PUBCOMP (MQTT 5.0, section 3.7).
    pub(super) fn pubcomp(&mut self, packet_id: u16, is_known: bool, _leave: Leave) {
        if !self.is_v5() {
            let pubcomp = v3_1_1::Pubcomp::builder().packet_id(packet_id).build();
            return self.send(pubcomp.map(Packet::V3_1_1Pubcomp));
        }
        let builder = v5_0::Pubcomp::builder().packet_id(packet_id);
        let builder = if is_known {
            builder
        } else {
            builder.reason_code(PubcompReasonCode::PacketIdentifierNotFound)
        };
        self.send(builder.build().map(Packet::V5_0Pubcomp));
    }

    /// PUBREL (MQTT 5.0, section 3.6).
    pub(super) fn pubrel(&mut self, packet_id: u16, is_known: bool, _leave: Leave) {
        if !self.is_v5() {
            let pubrel = v3_1_1::Pubrel::builder().packet_id(packet_id).build();
            return self.send(pubrel.map(Packet::V3_1_1Pubrel));
        }
        let builder = v5_0::Pubrel::builder().packet_id(packet_id);
        let builder = if is_known {
            builder
        } else {
            builder.reason_code(PubrelReasonCode::PacketIdentifierNotFound)
        };
        self.send(builder.build().map(Packet::V5_0Pubrel));
    }

    /// PINGRESP.
    pub(super) fn pingresp(&mut self) {
        let packet = if self.is_v5() {
            v5_0::Pingresp::builder().build().map(Packet::V5_0Pingresp)
        } else {
            v3_1_1::Pingresp::builder()
                .build()
                .map(Packet::V3_1_1Pingresp)
        };
        self.send(packet);
    }

    /// DISCONNECT with its reason, to who can read it.
    pub(super) fn say_goodbye(&mut self, reason: DisconnectReasonCode) {
        if self.is_v5() {
            let disconnect = v5_0::Disconnect::builder().reason_code(reason).build();
            self.send(disconnect.map(Packet::V5_0Disconnect));
        }
    }

    /// PUBLISH to the client. `packet_id` is zero for QoS 0; `is_again`: it may have been sent before. Gives the number
    /// of bytes it wrote: none if the packet is larger than the client takes, or its message has expired before it was
    /// sent.
    pub(super) fn publish(
        &mut self,
        delivery: &Delivery,
        packet_id: u16,
        is_again: bool,
        now: Instant,
    ) -> usize {
        let before = self.out.len();
        let message = &*delivery.message;
        let packet_id = (delivery.qos != Qos::AtMostOnce).then_some(packet_id);
        // What was sent before is brought to its end (MQTT 5.0, sections 4.3.3 and 4.4).
        if message.has_expired(now) && !is_again {
            return 0;
        }
        let expiry = message.expiry_left(now).map(|left| {
            let seconds = left.as_millis().div_ceil(1000);
            u32::try_from(seconds).unwrap_or(u32::MAX)
        });
        if !self.is_v5() {
            let built = v3_1_1::Publish::builder()
                .topic_name(message.topic.as_str())
                .and_then(|builder| {
                    builder
                        .qos(to_wire(delivery.qos))
                        .retain(delivery.retain)
                        .dup(is_again)
                        .packet_id(packet_id)
                        .payload(message.payload.as_slice())
                        .build()
                });
            self.send(built.map(Packet::V3_1_1Publish));
            return self.out.len() - before;
        }
        let alias = self.to_client.find(&message.topic);
        let (topic, number) = match alias {
            Alias::None => (message.topic.as_str(), None),
            Alias::New(number) => (message.topic.as_str(), Some(number)),
            Alias::Known(number) => ("", Some(number)),
        };
        let properties = message.properties.as_deref();
        let built = properties::write(properties, expiry, &delivery.subscription_ids, number)
            .and_then(|properties| {
                v5_0::Publish::builder()
                    .topic_name(topic)?
                    .qos(to_wire(delivery.qos))
                    .retain(delivery.retain)
                    .dup(is_again)
                    .packet_id(packet_id)
                    .props(properties)
                    .payload(message.payload.as_slice())
                    .build()
            });
        self.send(built.map(Packet::V5_0Publish));
        let written = self.out.len() - before;
        if 0 < written {
            self.to_client.wrote(&message.topic, alias);
        }
        written
    }
}

impl Goodbye {
    /// What MQTT 5 is told.
    pub(super) fn reason(self) -> DisconnectReasonCode {
        match self {
            Self::TakenOver => DisconnectReasonCode::SessionTakenOver,
            Self::ShuttingDown => DisconnectReasonCode::ServerShuttingDown,
            Self::KeepAliveTimeout => DisconnectReasonCode::KeepAliveTimeout,
            Self::TopicNameInvalid => DisconnectReasonCode::TopicNameInvalid,
            Self::NotAuthorized => DisconnectReasonCode::NotAuthorized,
        }
    }
}
