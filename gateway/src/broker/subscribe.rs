//! SUBSCRIBE and UNSUBSCRIBE, and their answers.

use mqtt_protocol_core::mqtt::{
    packet::{Packet, Property, RetainHandling, SubEntry, v3_1_1, v5_0},
    result_code::{SubackReasonCode, SubackReturnCode, UnsubackReasonCode},
};

use super::acknowledge::Leave;
use super::protocol::{Protocol, from_wire};
use super::violation::Violation;
use crate::domain::{
    message::Qos,
    subscription::{Interest, SubscriptionOptions},
    topic::TopicError,
};

/// A SUBSCRIBE packet.
#[derive(Debug)]
pub(super) struct Subscribe {
    pub(super) packet_id: u16,
    pub(super) entries: Vec<Entry>,
}

/// One wanted subscription.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) interest: Result<Interest, TopicError>,
    pub(super) options: SubscriptionOptions,
    pub(super) retained: Retained,
}

/// Whether retained messages are sent at the time of subscribing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retained {
    Send,
    SendIfNew,
    Keep,
}

/// An UNSUBSCRIBE packet.
#[derive(Debug)]
pub(super) struct Unsubscribe {
    pub(super) packet_id: u16,
    pub(super) interests: Vec<Result<Interest, TopicError>>,
}

/// The answer to one entry of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    Yes(Qos),
    FilterInvalid,
    QuotaExceeded,
    NotAuthorized,
}

/// The answer to one entry of an UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    Yes,
    NoneExisted,
    FilterInvalid,
}

impl Subscribe {
    pub(super) fn from_v3(packet: &v3_1_1::Subscribe) -> Result<Self, Violation> {
        // What MQTT 5 made options of is reserved in 3.1.1 (section 3.8.3).
        let has_options = |entry: &SubEntry| entry.sub_opts().to_buffer()[0] & !0x03 != 0;
        if packet.entries().iter().any(has_options) {
            return Err(Violation::malformed("reserved bits beside a requested QoS"));
        }
        let entries = packet.entries().iter().map(|entry| Entry::new(entry, None));
        Ok(Self {
            packet_id: packet.packet_id(),
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn from_v5(packet: &v5_0::Subscribe) -> Result<Self, Violation> {
        let mut ids = packet.props().iter().filter_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(id.val()),
            _ => None,
        });
        let id = ids.next();
        // Section 3.8.2.1.2.
        if ids.next().is_some() {
            return Err(Violation::protocol("more than one subscription identifier"));
        }
        let entries = packet.entries().iter().map(|entry| Entry::new(entry, id));
        Ok(Self {
            packet_id: packet.packet_id(),
            entries: entries.collect::<Result<_, _>>()?,
        })
    }
}

impl Entry {
    fn new(entry: &SubEntry, id: Option<u32>) -> Result<Self, Violation> {
        let options = entry.sub_opts();
        let interest = interest_of(entry.topic_filter())?;
        // MQTT 5.0, section 3.8.3.1.
        if options.nl() && interest.as_ref().is_ok_and(|of| of.group.is_some()) {
            return Err(Violation::protocol("no local on a shared subscription"));
        }
        Ok(Self {
            interest,
            options: SubscriptionOptions {
                qos: from_wire(options.qos()),
                no_local: options.nl(),
                retain_as_published: options.rap(),
                id,
            },
            retained: match options.rh() {
                RetainHandling::SendRetained => Retained::Send,
                RetainHandling::SendRetainedIfNotExists => Retained::SendIfNew,
                RetainHandling::DoNotSendRetained => Retained::Keep,
            },
        })
    }
}

/// A malformed filter is refused alone; one with a control character is a malformed packet, as a topic is. U+0000 has to
/// be one (MQTT 5.0, section 1.5.4).
fn interest_of(text: &str) -> Result<Result<Interest, TopicError>, Violation> {
    match Interest::new(text) {
        Err(TopicError::ControlCharacter) => Err(Violation::malformed(
            "a control character in a topic filter",
        )),
        interest => Ok(interest),
    }
}

impl Unsubscribe {
    pub(super) fn from_v3(packet: &v3_1_1::Unsubscribe) -> Result<Self, Violation> {
        let interests = packet.entries().iter().map(|text| interest_of(text));
        Ok(Self {
            packet_id: packet.packet_id(),
            interests: interests.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn from_v5(packet: &v5_0::Unsubscribe) -> Result<Self, Violation> {
        let interests = packet.entries().iter().map(|text| interest_of(text));
        Ok(Self {
            packet_id: packet.packet_id(),
            interests: interests.collect::<Result<_, _>>()?,
        })
    }
}

impl Protocol {
    /// SUBACK, with an answer for each entry in their order.
    pub(super) fn suback(&mut self, packet_id: u16, granted: &[Granted], _leave: Leave) {
        if self.is_v5() {
            let codes = granted.iter().map(|granted| match granted {
                Granted::Yes(Qos::AtMostOnce) => SubackReasonCode::GrantedQos0,
                Granted::Yes(Qos::AtLeastOnce) => SubackReasonCode::GrantedQos1,
                Granted::Yes(Qos::ExactlyOnce) => SubackReasonCode::GrantedQos2,
                Granted::FilterInvalid => SubackReasonCode::TopicFilterInvalid,
                Granted::QuotaExceeded => SubackReasonCode::QuotaExceeded,
                Granted::NotAuthorized => SubackReasonCode::NotAuthorized,
            });
            let suback = v5_0::Suback::builder()
                .packet_id(packet_id)
                .reason_codes(codes.collect())
                .build();
            return self.send(suback.map(Packet::V5_0Suback));
        }
        let codes = granted.iter().map(|granted| match granted {
            Granted::Yes(Qos::AtMostOnce) => SubackReturnCode::SuccessMaximumQos0,
            Granted::Yes(Qos::AtLeastOnce) => SubackReturnCode::SuccessMaximumQos1,
            Granted::Yes(Qos::ExactlyOnce) => SubackReturnCode::SuccessMaximumQos2,
            _ => SubackReturnCode::Failure,
        });
        let suback = v3_1_1::Suback::builder()
            .packet_id(packet_id)
            .return_codes(codes.collect())
            .build();
        self.send(suback.map(Packet::V3_1_1Suback));
    }

    /// UNSUBACK, with an answer for each entry in their order (which only MQTT 5 hears).
    pub(super) fn unsuback(&mut self, packet_id: u16, removed: &[Removed], _leave: Leave) {
        if self.is_v5() {
            let codes = removed.iter().map(|removed| match removed {
                Removed::Yes => UnsubackReasonCode::Success,
                Removed::NoneExisted => UnsubackReasonCode::NoSubscriptionExisted,
                Removed::FilterInvalid => UnsubackReasonCode::TopicFilterInvalid,
            });
            let unsuback = v5_0::Unsuback::builder()
                .packet_id(packet_id)
                .reason_codes(codes.collect())
                .build();
            return self.send(unsuback.map(Packet::V5_0Unsuback));
        }
        let unsuback = v3_1_1::Unsuback::builder().packet_id(packet_id).build();
        self.send(unsuback.map(Packet::V3_1_1Unsuback));
    }
}
