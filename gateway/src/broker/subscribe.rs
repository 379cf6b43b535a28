//! SUBSCRIBE and UNSUBSCRIBE, and their answers.

use mqtt_protocol_core::mqtt::{
    packet::{Packet, Property, RetainHandling, SubEntry, v3_1_1, v5_0},
    result_code::{SubackReasonCode, SubackReturnCode, UnsubackReasonCode},
};

use super::protocol::{Protocol, Violation, from_wire};
use crate::domain::{
    message::Qos,
    topic::{TopicError, TopicFilter},
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
    pub(super) filter: Result<TopicFilter, TopicError>,
    pub(super) options: SubscriptionOptions,
    pub(super) retained: Retained,
    pub(super) is_shared: bool,
}

/// How messages of a subscription are delivered (MQTT 5.0, section 3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SubscriptionOptions {
    pub(super) qos: Qos,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) id: Option<u32>,
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
    pub(super) filters: Vec<Result<TopicFilter, TopicError>>,
}

/// The answer to one entry of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    Yes(Qos),
    FilterInvalid,
    SharedNotSupported,
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
        let entries = packet.entries().iter().map(|entry| Entry::new(entry, None));
        Ok(Self {
            packet_id: packet.packet_id(),
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn from_v5(packet: &v5_0::Subscribe) -> Result<Self, Violation> {
        let id = packet.props().iter().find_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(id.val()),
            _ => None,
        });
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
        Ok(Self {
            filter: filter_of(entry.topic_filter())?,
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
            is_shared: entry.topic_filter().starts_with("$share/"),
        })
    }
}

/// A malformed filter is refused alone; one with a control character is a malformed packet, as a topic is. U+0000 has to
/// be one (MQTT 5.0, section 1.5.4).
fn filter_of(text: &str) -> Result<Result<TopicFilter, TopicError>, Violation> {
    match TopicFilter::new(text) {
        Err(TopicError::ControlCharacter) => {
            Err(Violation("a control character in a topic filter"))
        }
        filter => Ok(filter),
    }
}

impl Unsubscribe {
    pub(super) fn from_v3(packet: &v3_1_1::Unsubscribe) -> Result<Self, Violation> {
        let filters = packet.entries().iter().map(|text| filter_of(text));
        Ok(Self {
            packet_id: packet.packet_id(),
            filters: filters.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn from_v5(packet: &v5_0::Unsubscribe) -> Result<Self, Violation> {
        let filters = packet.entries().iter().map(|text| filter_of(text));
        Ok(Self {
            packet_id: packet.packet_id(),
            filters: filters.collect::<Result<_, _>>()?,
        })
    }
}

impl Protocol {
    /// SUBACK, with an answer for each entry in their order.
    pub(super) fn suback(&mut self, packet_id: u16, granted: &[Granted]) {
        if self.is_v5() {
            let codes = granted.iter().map(|granted| match granted {
                Granted::Yes(Qos::AtMostOnce) => SubackReasonCode::GrantedQos0,
                Granted::Yes(Qos::AtLeastOnce) => SubackReasonCode::GrantedQos1,
                Granted::Yes(Qos::ExactlyOnce) => SubackReasonCode::GrantedQos2,
                Granted::FilterInvalid => SubackReasonCode::TopicFilterInvalid,
                Granted::SharedNotSupported => SubackReasonCode::SharedSubscriptionsNotSupported,
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
    pub(super) fn unsuback(&mut self, packet_id: u16, removed: &[Removed]) {
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
