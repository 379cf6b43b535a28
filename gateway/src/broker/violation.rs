//! A client that does not keep to the protocol, and what it is told about it.

use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, DisconnectReasonCode, MqttError};

/// The connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(super) struct Violation {
    what: &'static str,
    /// What MQTT 5 is told (section 4.13).
    reason: DisconnectReasonCode,
}

impl Violation {
    /// Bytes that cannot be read.
    pub(super) const fn malformed(what: &'static str) -> Self {
        Self {
            what,
            reason: DisconnectReasonCode::MalformedPacket,
        }
    }

    /// A packet that may not come, or not now.
    pub(super) const fn protocol(what: &'static str) -> Self {
        Self {
            what,
            reason: DisconnectReasonCode::ProtocolError,
        }
    }

    /// More QoS 1 and 2 publishes at once than the client was told (MQTT 5.0, section 3.3.4).
    pub(super) const fn receive_maximum() -> Self {
        Self {
            what: "more publishes at once than Receive Maximum",
            reason: DisconnectReasonCode::ReceiveMaximumExceeded,
        }
    }

    /// A topic alias that was not agreed on (MQTT 5.0, section 3.3.2.3.4).
    pub(super) const fn topic_alias() -> Self {
        Self {
            what: "topic alias invalid",
            reason: DisconnectReasonCode::TopicAliasInvalid,
        }
    }

    /// Whether a packet was longer than the gateway takes.
    pub(super) fn is_packet_too_large(self) -> bool {
        self.reason == DisconnectReasonCode::PacketTooLarge
    }

    /// For DISCONNECT.
    pub(super) fn reason(self) -> DisconnectReasonCode {
        self.reason
    }

    /// For the CONNACK of a CONNECT that cannot be read.
    pub(super) fn connect_reason(self) -> ConnectReasonCode {
        match self.reason {
            DisconnectReasonCode::MalformedPacket => ConnectReasonCode::MalformedPacket,
            DisconnectReasonCode::PacketTooLarge => ConnectReasonCode::PacketTooLarge,
            _ => ConnectReasonCode::ProtocolError,
        }
    }
}

impl From<MqttError> for Violation {
    fn from(error: MqttError) -> Self {
        match error {
            MqttError::ProtocolError => Self::protocol("protocol error"),
            MqttError::PacketTooLarge => Self {
                what: "packet too large",
                reason: DisconnectReasonCode::PacketTooLarge,
            },
            MqttError::ClientIdentifierNotValid => Self::malformed("malformed client identifier"),
            MqttError::BadUserNameOrPassword => Self::malformed("malformed user name or password"),
            _ => Self::malformed("malformed packet"),
        }
    }
}
