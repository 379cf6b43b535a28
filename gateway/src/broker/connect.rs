//! CONNECT: what a client asks for, and whether it may have it.

use std::fmt;
use std::sync::Arc;

use mqtt_protocol_core::mqtt::{
    packet::{self, MqttBinary, Packet, Property, v3_1_1, v5_0},
    result_code::{ConnectReasonCode, ConnectReturnCode},
};

use super::{
    acknowledge::Leave,
    aliases,
    framing::without_lone_password,
    properties,
    protocol::{Protocol, RECEIVE_MAXIMUM, from_wire},
    violation::Violation,
};
use crate::domain::{
    message::{Message, Payload, Properties, Qos, Will},
    timestamp::Timestamp,
    topic::TopicName,
};
use crate::metrics::Limit;

type Password = Box<[u8]>;

/// A CONNECT packet.
pub(super) struct Connect {
    client_id: Box<str>,
    is_clean: bool,
    /// Seconds; zero for none.
    pub(super) keep_alive: u16,
    pub(super) user_name: Option<Box<str>>,
    pub(super) password: Option<Password>,
    will: Option<WantedWill>,
    /// Seconds that its session is to be kept after the connection; `u32::MAX`: for ever.
    session_expiry: u32,
    wants_authentication: bool,
    is_v5: bool,
}

#[derive(Debug)]
struct WantedWill {
    topic: Box<str>,
    payload: Payload,
    qos: Qos,
    retain: bool,
    properties: Option<Properties>,
    /// Seconds.
    delay: u32,
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
    pub(super) is_clean: bool,
    pub(super) will: Option<Will>,
    /// Seconds.
    pub(super) session_expiry: u32,
    /// Seconds; zero for none.
    pub(super) keep_alive: u16,
}

/// What a client is told that may stay.
#[derive(Debug)]
pub(super) struct Accepted<'c> {
    pub(super) client_id: &'c ClientId,
    pub(super) is_session_present: bool,
    /// Seconds, if they are not what it asked for.
    pub(super) session_expiry: Option<u32>,
    /// Seconds, if they are not what it asked for.
    pub(super) keep_alive: Option<u16>,
    /// Bytes.
    pub(super) max_packet: u32,
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
    /// There are too many sessions that outlive their connections, or they take too much memory.
    TooManySessions,
    /// Its session cannot be taken up yet.
    Busy,
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

    /// A short word out of a small set, for metrics.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::ClientId | Self::ClientIdTooLong => "client_id",
            Self::Credentials => "credentials",
            Self::NotAuthorized => "not_authorized",
            Self::AuthenticationMethod => "authentication_method",
            Self::WillTopic | Self::WillTooLarge => "will",
            Self::TooManySessions => "sessions",
            Self::Busy => "busy",
            Self::TooManyConnections => "connections",
        }
    }
}

impl WantedWill {
    /// Bytes of its payload and its properties.
    fn size(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, Properties::size);
        self.payload.as_slice().len() + properties
    }
}

impl Connect {
    pub(super) fn from_v3(packet: &v3_1_1::Connect) -> Self {
        let will = packet.will_topic().map(|topic| WantedWill {
            topic: topic.into(),
            payload: packet.will_payload().unwrap_or_default().to_vec().into(),
            qos: from_wire(packet.will_qos()),
            retain: packet.will_retain(),
            properties: None,
            delay: 0,
        });
        Self {
            client_id: packet.client_id().into(),
            is_clean: packet.clean_session(),
            keep_alive: packet.keep_alive(),
            user_name: packet.user_name().map(Into::into),
            password: packet.password().map(Into::into),
            will,
            // A session of 3.1.1 has no end of its own (section 3.1.2.4).
            session_expiry: if packet.clean_session() { 0 } else { u32::MAX },
            wants_authentication: false,
            is_v5: false,
        }
    }

    /// Reads the body of a CONNECT of MQTT 5. The library takes a password only behind a user name; in MQTT 5 it may stand
    /// alone (section 3.1.2.9).
    pub(super) fn parse_v5(body: &[u8]) -> Result<(v5_0::Connect, Option<Password>), Violation> {
        let without = without_lone_password(body);
        let body = without.as_deref().unwrap_or(body);
        let (packet, mut read) = v5_0::Connect::parse(body)?;
        let mut password = None;
        if without.is_some() {
            let (alone, bytes) = MqttBinary::decode(&body[read..])?;
            password = Some(alone.as_slice().into());
            read += bytes;
        }
        if read == body.len() {
            Ok((packet, password))
        } else {
            Err(Violation::malformed(
                "bytes behind the last field of CONNECT",
            ))
        }
    }

    pub(super) fn from_v5(
        packet: &v5_0::Connect,
        lone_password: Option<Password>,
    ) -> Result<Self, Violation> {
        let will_properties = properties::read(packet.will_props())?;
        let delay = packet
            .will_props()
            .iter()
            .find_map(|property| match property {
                Property::WillDelayInterval(p) => Some(p.val()),
                _ => None,
            });
        let will = packet.will_topic().map(|topic| WantedWill {
            topic: topic.into(),
            payload: packet.will_payload().unwrap_or_default().to_vec().into(),
            qos: from_wire(packet.will_qos()),
            retain: packet.will_retain(),
            properties: will_properties,
            delay: delay.unwrap_or(0),
        });
        let session_expiry = packet.props().iter().find_map(|property| match property {
            Property::SessionExpiryInterval(p) => Some(p.val()),
            _ => None,
        });
        let has = |wanted: fn(&Property) -> bool| packet.props().iter().any(wanted);
        let wants_authentication = has(|p| matches!(p, Property::AuthenticationMethod(_)));
        if !wants_authentication && has(|p| matches!(p, Property::AuthenticationData(_))) {
            return Err(Violation::protocol("authentication data without a method"));
        }
        Ok(Self {
            client_id: packet.client_id().into(),
            is_clean: packet.clean_start(),
            keep_alive: packet.keep_alive(),
            user_name: packet.user_name().map(Into::into),
            password: packet.password().map(Into::into).or(lone_password),
            will,
            session_expiry: session_expiry.unwrap_or(0),
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
        let made = |will: WantedWill| {
            let topic = TopicName::new(&will.topic).map_err(|_| Refusal::WillTopic)?;
            check_topic(&topic)?;
            if max_will < will.size() {
                return Err(Refusal::WillTooLarge);
            }
            let message = Message {
                topic,
                payload: will.payload,
                qos: will.qos,
                retain: will.retain,
                received_at: now,
                publisher: Arc::clone(&client_id.text),
                properties: will.properties.map(Arc::new),
            };
            let delay = will.delay;
            Ok(Will { message, delay })
        };
        Ok(Admitted {
            will: self.will.map(made).transpose()?,
            client_id,
            is_clean: self.is_clean,
            session_expiry: self.session_expiry,
            keep_alive: self.keep_alive,
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
    /// CONNACK of a client that may stay.
    pub(super) fn accept(&mut self, accepted: &Accepted<'_>, _leave: Leave) {
        let session_present = accepted.is_session_present;
        if !self.is_v5() {
            let connack = v3_1_1::Connack::builder()
                .session_present(session_present)
                .return_code(ConnectReturnCode::Accepted)
                .build();
            return self.send(connack.map(Packet::V3_1_1Connack));
        }
        let mut properties: Vec<Property> = Vec::new();
        properties.extend(packet::ReceiveMaximum::new(RECEIVE_MAXIMUM).map(Into::into));
        properties.extend(packet::TopicAliasMaximum::new(aliases::MAX_FROM_CLIENT).map(Into::into));
        properties.extend(packet::MaximumPacketSize::new(accepted.max_packet).map(Into::into));
        if let Some(seconds) = accepted.session_expiry {
            properties.extend(packet::SessionExpiryInterval::new(seconds).map(Into::into));
        }
        if let Some(seconds) = accepted.keep_alive {
            properties.extend(packet::ServerKeepAlive::new(seconds).map(Into::into));
        }
        if accepted.client_id.is_assigned {
            let assigned = packet::AssignedClientIdentifier::new(&*accepted.client_id.text);
            properties.extend(assigned.map(Into::into));
        }
        let connack = v5_0::Connack::builder()
            .session_present(session_present)
            .reason_code(ConnectReasonCode::Success)
            .props(properties)
            .build();
        self.send(connack.map(Packet::V5_0Connack));
    }

    /// CONNACK of a CONNECT that cannot be read: only MQTT 5 has words for it (section 3.1.4).
    pub(super) fn refuse_violation(&mut self, violation: Violation) {
        if self.is_v5() {
            let connack = v5_0::Connack::builder()
                .session_present(false)
                .reason_code(violation.connect_reason())
                .build();
            self.send(connack.map(Packet::V5_0Connack));
        }
    }

    /// CONNACK for a version that nobody speaks, as 3.1.1 writes it (section 3.1.2.2): who does not know that either
    /// could read no other.
    pub(super) fn refuse_version(&mut self) {
        let connack = v3_1_1::Connack::builder()
            .session_present(false)
            .return_code(ConnectReturnCode::UnacceptableProtocolVersion)
            .build();
        self.send(connack.map(Packet::V3_1_1Connack));
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
                Refusal::TooManySessions => ConnectReasonCode::QuotaExceeded,
                Refusal::Busy => ConnectReasonCode::ServerBusy,
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
            Refusal::TooManySessions | Refusal::Busy => ConnectReturnCode::ServerUnavailable,
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
