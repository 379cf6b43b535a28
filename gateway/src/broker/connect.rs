//! CONNECT: what a client asks for, and whether it may have it.

use std::fmt;
use std::sync::Arc;

use mqtt_protocol_core::mqtt::{
    packet::{self, Packet, Property, v3_1_1, v5_0},
    result_code::{ConnectReasonCode, ConnectReturnCode},
};

use super::{
    properties,
    protocol::{Protocol, RECEIVE_MAXIMUM, Violation, from_wire},
};
use crate::domain::{
    message::{Message, Payload, Properties, Qos},
    timestamp::Timestamp,
    topic::TopicName,
};
use crate::metrics::Limit;

/// A CONNECT packet.
pub(super) struct Connect {
    client_id: Box<str>,
    is_clean: bool,
    /// Seconds; zero for none.
    pub(super) keep_alive: u16,
    pub(super) user_name: Option<Box<str>>,
    pub(super) password: Option<Box<[u8]>>,
    will: Option<Will>,
    wants_session_expiry: bool,
    wants_authentication: bool,
    is_v5: bool,
}

#[derive(Debug)]
struct Will {
    topic: Box<str>,
    payload: Payload,
    qos: Qos,
    retain: bool,
    properties: Option<Properties>,
}

/// The client id that a client goes by.
#[derive(Clone, Debug)]
pub(super) struct ClientId {
    pub(super) text: Arc<str>,
    is_assigned: bool,
}

/// A client that may stay.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) client_id: ClientId,
    pub(super) will: Option<Message>,
    wants_session_expiry: bool,
}

/// Why a client may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    ClientId,
    ClientIdTooLong,
    Credentials,
    NotAuthorized,
    AuthenticationMethod,
    WillTopic,
    WillTooLarge,
    /// Its address has as many as it may.
    TooManyConnections,
}

impl Refusal {
    /// The limit that was reached, if it was one.
    pub(super) fn limit(self) -> Option<Limit> {
        match self {
            Self::ClientIdTooLong => Some(Limit::ClientIdBytes),
            Self::WillTooLarge => Some(Limit::WillBytes),
            _ => None,
        }
    }
}

impl Will {
    /// Bytes of its payload and its properties.
    fn size(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, Properties::size);
        self.payload.as_slice().len() + properties
    }
}

impl Connect {
    pub(super) fn from_v3(packet: &v3_1_1::Connect) -> Self {
        let will = packet.will_topic().map(|topic| Will {
            topic: topic.into(),
            payload: packet.will_payload().unwrap_or_default().to_vec().into(),
            qos: from_wire(packet.will_qos()),
            retain: packet.will_retain(),
            properties: None,
        });
        Self {
            client_id: packet.client_id().into(),
            is_clean: packet.clean_session(),
            keep_alive: packet.keep_alive(),
            user_name: packet.user_name().map(Into::into),
            password: packet.password().map(Into::into),
            will,
            wants_session_expiry: false,
            wants_authentication: false,
            is_v5: false,
        }
    }

    pub(super) fn from_v5(packet: &v5_0::Connect) -> Result<Self, Violation> {
        let will_properties = properties::read(packet.will_props())?;
        let will = packet.will_topic().map(|topic| Will {
            topic: topic.into(),
            payload: packet.will_payload().unwrap_or_default().to_vec().into(),
            qos: from_wire(packet.will_qos()),
            retain: packet.will_retain(),
            properties: will_properties,
        });
        let has = |wanted: fn(&Property) -> bool| packet.props().iter().any(wanted);
        let wants_authentication = has(|p| matches!(p, Property::AuthenticationMethod(_)));
        if !wants_authentication && has(|p| matches!(p, Property::AuthenticationData(_))) {
            return Err(Violation("authentication data without a method"));
        }
        Ok(Self {
            client_id: packet.client_id().into(),
            is_clean: packet.clean_start(),
            keep_alive: packet.keep_alive(),
            user_name: packet.user_name().map(Into::into),
            password: packet.password().map(Into::into),
            will,
            wants_session_expiry: has(
                |p| matches!(p, Property::SessionExpiryInterval(p) if p.val() != 0),
            ),
            wants_authentication,
            is_v5: true,
        })
    }

    /// The client id it asks for, or one that it is given.
    pub(super) fn client_id(&self, max_bytes: usize) -> Result<ClientId, Refusal> {
        if self.wants_authentication {
            return Err(Refusal::AuthenticationMethod);
        }
        let is_assigned = self.client_id.is_empty();
        let is_nameless = is_assigned && !self.is_v5 && !self.is_clean;
        let is_text = !self.client_id.chars().any(char::is_control);
        if max_bytes < self.client_id.len() {
            return Err(Refusal::ClientIdTooLong);
        }
        if is_nameless || !is_text {
            return Err(Refusal::ClientId);
        }
        let text = if is_assigned {
            format!("auto-{:016x}", fastrand::u64(..)).into()
        } else {
            (*self.client_id).into()
        };
        Ok(ClientId { text, is_assigned })
    }

    /// Takes in a client that may stay, with a will of `max_will` bytes at the most. `check_topic` is asked about its
    /// topic.
    pub(super) fn admit(
        self,
        client_id: ClientId,
        now: Timestamp,
        max_will: usize,
        check_topic: impl Fn(&TopicName) -> Result<(), Refusal>,
    ) -> Result<Admitted, Refusal> {
        let message = |will: Will| {
            let topic = TopicName::new(&will.topic).map_err(|_| Refusal::WillTopic)?;
            check_topic(&topic)?;
            if max_will < will.size() {
                return Err(Refusal::WillTooLarge);
            }
            Ok(Message {
                topic,
                payload: will.payload,
                qos: will.qos,
                retain: will.retain,
                received_at: now,
                publisher: Arc::clone(&client_id.text),
                properties: will.properties.map(Arc::new),
            })
        };
        Ok(Admitted {
            will: self.will.map(message).transpose()?,
            client_id,
            wants_session_expiry: self.wants_session_expiry,
        })
    }
}

/// Without the password.
impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl Protocol {
    /// CONNACK of a client that may stay. Sessions end with their connection: MQTT 5 is told so.
    pub(super) fn accept(&mut self, admitted: &Admitted) {
        if !self.is_v5() {
            let connack = v3_1_1::Connack::builder()
                .session_present(false)
                .return_code(ConnectReturnCode::Accepted)
                .build();
            return self.send(connack.map(Packet::V3_1_1Connack));
        }
        let mut properties: Vec<Property> = Vec::new();
        properties.extend(packet::ReceiveMaximum::new(RECEIVE_MAXIMUM).map(Into::into));
        properties.extend(packet::SharedSubscriptionAvailable::new(0).map(Into::into));
        if admitted.wants_session_expiry {
            properties.extend(packet::SessionExpiryInterval::new(0).map(Into::into));
        }
        if admitted.client_id.is_assigned {
            let assigned = packet::AssignedClientIdentifier::new(&*admitted.client_id.text);
            properties.extend(assigned.map(Into::into));
        }
        let connack = v5_0::Connack::builder()
            .session_present(false)
            .reason_code(ConnectReasonCode::Success)
            .props(properties)
            .build();
        self.send(connack.map(Packet::V5_0Connack));
    }

    /// CONNACK of a client that may not.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        if self.is_v5() {
            let reason = match refusal {
                Refusal::ClientId | Refusal::ClientIdTooLong => {
                    ConnectReasonCode::ClientIdentifierNotValid
                }
                Refusal::Credentials => ConnectReasonCode::BadUserNameOrPassword,
                Refusal::NotAuthorized => ConnectReasonCode::NotAuthorized,
                Refusal::AuthenticationMethod => ConnectReasonCode::BadAuthenticationMethod,
                Refusal::WillTopic => ConnectReasonCode::TopicNameInvalid,
                Refusal::WillTooLarge => ConnectReasonCode::PacketTooLarge,
                Refusal::TooManyConnections => ConnectReasonCode::QuotaExceeded,
            };
            let connack = v5_0::Connack::builder()
                .session_present(false)
                .reason_code(reason)
                .build();
            return self.send(connack.map(Packet::V5_0Connack));
        }
        let code = match refusal {
            Refusal::ClientId | Refusal::ClientIdTooLong => ConnectReturnCode::IdentifierRejected,
            Refusal::Credentials => ConnectReturnCode::BadUserNameOrPassword,
            Refusal::TooManyConnections => ConnectReturnCode::ServerUnavailable,
            _ => ConnectReturnCode::NotAuthorized,
        };
        let connack = v3_1_1::Connack::builder()
            .session_present(false)
            .return_code(code)
            .build();
        self.send(connack.map(Packet::V3_1_1Connack));
    }
}
