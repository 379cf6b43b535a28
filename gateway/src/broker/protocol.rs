//! The wire of one connection, both versions behind one face: bytes in, packets out of them; answers in, bytes out.
//! Sans I/O. Stands on `mqtt-protocol-core`; what that keeps of QoS 2 is not trusted (see `session`).

use std::sync::Arc;

use mqtt_protocol_core::mqtt::{
    Connection, Version,
    common::Cursor,
    connection::{ConnectionOptions, Event},
    packet::{GenericPacketTrait, Packet, Qos as WireQos, v3_1_1, v5_0},
    result_code::{ConnectReturnCode, DisconnectReasonCode, MqttError, PubrecReasonCode},
    role,
};

use super::{
    connect::Connect,
    framing::Framing,
    properties,
    subscribe::{Subscribe, Unsubscribe},
};
use crate::domain::{
    message::{Payload, Properties, Qos},
    topic::{TopicError, TopicName},
};

/// QoS 1 and 2 publishes that a client may have on their way at once (MQTT 5: Receive Maximum).
pub(super) const RECEIVE_MAXIMUM: u16 = 1000;

/// What a client sent.
#[derive(Debug)]
pub(super) enum Incoming {
    Connect(Box<Connect>),
    Publish(Publish),
    /// A QoS 2 publish with an id whose exchange is open: its PUBREC is wanted again.
    PublishAgain(u16),
    Pubrel(u16),
    /// One of our own QoS 1 or 2 publishes is done with.
    Delivered,
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Ping,
    Disconnect {
        wants_will: bool,
    },
}

/// A PUBLISH as it came.
#[derive(Debug)]
pub(super) struct Publish {
    pub(super) topic: Result<TopicName, TopicError>,
    pub(super) payload: Payload,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    /// Zero for QoS 0.
    pub(super) packet_id: u16,
    pub(super) properties: Option<Arc<Properties>>,
}

/// The connection is to be closed; bytes that are still to be sent have been written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Violation(pub(super) &'static str);

impl Violation {
    const PACKET_TOO_LARGE: &'static str = "packet too large";

    /// Whether a packet was longer than the gateway takes.
    pub(super) fn is_packet_too_large(&self) -> bool {
        self.0 == Self::PACKET_TOO_LARGE
    }
}

/// The wire of one connection.
pub(super) struct Protocol {
    inner: Connection<role::Server>,
    framing: Framing,
    /// Bytes to send.
    pub(super) out: Vec<u8>,
}

impl Protocol {
    /// A fresh connection that accepts packets of at most `max_packet` bytes.
    pub(super) fn new(max_packet: u32) -> Self {
        let options = ConnectionOptions::new().maximum_packet_size_recv(max_packet);
        Self {
            inner: Connection::with_options(Version::Undetermined, options),
            framing: Framing::default(),
            out: Vec::new(),
        }
    }

    /// Whether the client speaks MQTT 5.
    pub(super) fn is_v5(&self) -> bool {
        self.inner.get_protocol_version() == Version::V5_0
    }

    /// Reads all whole packets out of `bytes`; the rest of a packet is kept until the next call.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        into: &mut Vec<Incoming>,
    ) -> Result<(), Violation> {
        let (sound, checked) = self.framing.check(bytes);
        let mut cursor = Cursor::new(&bytes[..sound]);
        while (cursor.position() as usize) < sound {
            let mut is_closing = false;
            for event in self.inner.recv(&mut cursor) {
                match event {
                    // What is wrong is said behind it.
                    Event::RequestClose => is_closing = true,
                    event => self.handle(event, into)?,
                }
            }
            if is_closing {
                return Err(Violation("protocol error"));
            }
        }
        checked
    }

    fn handle(&mut self, event: Event, into: &mut Vec<Incoming>) -> Result<(), Violation> {
        match event {
            Event::NotifyPacketReceived(packet) => {
                if let Some(incoming) = self.read(packet)? {
                    into.push(incoming);
                }
            }
            Event::RequestSendPacket { packet, .. } => match packet {
                Packet::V3_1_1Pubrec(p) => into.push(Incoming::PublishAgain(p.packet_id())),
                Packet::V5_0Pubrec(p) => into.push(Incoming::PublishAgain(p.packet_id())),
                // Its answer to a malformed CONNECT; there is no code that says so (MQTT 3.1.1, section 3.1.4).
                Packet::V3_1_1Connack(p) if p.return_code() == ConnectReturnCode::NotAuthorized => {
                }
                other => self.out.append(&mut bytes_of(&other)),
            },
            Event::NotifyError(error) => {
                if error == MqttError::UnsupportedProtocolVersion && self.out.is_empty() {
                    // CONNACK of 3.1.1 with code 1, which all versions understand (MQTT 3.1.1, section 3.1.2.2).
                    self.out.extend([0x20, 2, 0, 1]);
                }
                return Err(Violation(describe(error)));
            }
            Event::RequestClose
            | Event::NotifyPacketIdReleased(_)
            | Event::RequestTimerReset { .. }
            | Event::RequestTimerCancel(_) => {}
        }
        Ok(())
    }

    fn read(&mut self, packet: Packet) -> Result<Option<Incoming>, Violation> {
        Ok(Some(match packet {
            Packet::V3_1_1Publish(p) => Incoming::Publish(Publish {
                topic: TopicName::new(p.topic_name()),
                payload: payload_of(p.payload()),
                qos: from_wire(p.qos()),
                retain: p.retain(),
                packet_id: nonzero(p.packet_id(), p.qos())?,
                properties: None,
            }),
            Packet::V5_0Publish(p) => Incoming::Publish(Publish {
                topic: TopicName::new(p.topic_name()),
                payload: payload_of(p.payload()),
                qos: from_wire(p.qos()),
                retain: p.retain(),
                packet_id: nonzero(p.packet_id(), p.qos())?,
                properties: properties::read(p.props())?.map(Arc::new),
            }),
            Packet::V3_1_1Connect(p) => Incoming::Connect(Box::new(Connect::from_v3(&p))),
            Packet::V5_0Connect(p) => Incoming::Connect(Box::new(Connect::from_v5(&p)?)),
            Packet::V3_1_1Subscribe(p) => Incoming::Subscribe(Subscribe::from_v3(&p)?),
            Packet::V5_0Subscribe(p) => Incoming::Subscribe(Subscribe::from_v5(&p)?),
            Packet::V3_1_1Unsubscribe(p) => Incoming::Unsubscribe(Unsubscribe::from_v3(&p)?),
            Packet::V5_0Unsubscribe(p) => Incoming::Unsubscribe(Unsubscribe::from_v5(&p)?),
            Packet::V3_1_1Puback(_) | Packet::V5_0Puback(_) => Incoming::Delivered,
            Packet::V3_1_1Pubrec(p) => {
                self.pubrel(p.packet_id());
                return Ok(None);
            }
            Packet::V5_0Pubrec(p) => {
                if p.reason_code()
                    .is_some_and(|code| PubrecReasonCode::is_failure(&code))
                {
                    return Ok(Some(Incoming::Delivered));
                }
                self.pubrel(p.packet_id());
                return Ok(None);
            }
            Packet::V3_1_1Pubcomp(_) | Packet::V5_0Pubcomp(_) => Incoming::Delivered,
            Packet::V3_1_1Pubrel(p) => Incoming::Pubrel(p.packet_id()),
            Packet::V5_0Pubrel(p) => Incoming::Pubrel(p.packet_id()),
            Packet::V3_1_1Pingreq(_) | Packet::V5_0Pingreq(_) => Incoming::Ping,
            Packet::V3_1_1Disconnect(_) => Incoming::Disconnect { wants_will: false },
            Packet::V5_0Disconnect(p) => Incoming::Disconnect {
                // Only a normal end is without it (MQTT 5.0, section 3.1.2.5).
                wants_will: !matches!(
                    p.reason_code(),
                    None | Some(DisconnectReasonCode::NormalDisconnection)
                ),
            },
            Packet::V5_0Auth(_) => {
                return Err(Violation("enhanced authentication was not agreed on"));
            }
            _ => return Err(Violation("a packet that only servers send")),
        }))
    }

    fn pubrel(&mut self, packet_id: u16) {
        if self.is_v5() {
            let pubrel = v5_0::Pubrel::builder().packet_id(packet_id).build();
            self.send(pubrel.map(Packet::V5_0Pubrel));
        } else {
            let pubrel = v3_1_1::Pubrel::builder().packet_id(packet_id).build();
            self.send(pubrel.map(Packet::V3_1_1Pubrel));
        }
    }

    /// Hands a packet to the state machine; what it lets through is written to `out`.
    pub(super) fn send(&mut self, packet: Result<Packet, MqttError>) {
        match packet {
            Ok(packet) => {
                for event in self.inner.send(packet) {
                    match event {
                        Event::RequestSendPacket { packet, .. } => {
                            self.out.append(&mut bytes_of(&packet));
                        }
                        Event::NotifyError(error) => {
                            tracing::debug!(error = describe(error), "packet not sent");
                        }
                        _ => {}
                    }
                }
            }
            Err(error) => tracing::debug!(error = describe(error), "packet cannot be made"),
        }
    }

    /// A packet id for an own publish; `None` when the client takes no more at once.
    pub(super) fn acquire_packet_id(&mut self) -> Option<u16> {
        if self.inner.get_receive_maximum_vacancy_for_send() == Some(0) {
            return None;
        }
        self.inner.acquire_packet_id().ok()
    }

    /// Gives back the id of a publish that was not sent.
    pub(super) fn release_packet_id(&mut self, packet_id: u16) {
        drop(self.inner.release_packet_id(packet_id));
    }
}

impl std::fmt::Debug for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Protocol").finish_non_exhaustive()
    }
}

fn bytes_of(packet: &Packet) -> Vec<u8> {
    packet.to_continuous_buffer()
}

/// The payload stands at the end of the packet's bytes.
fn payload_of(payload: &mqtt_protocol_core::mqtt::ArcPayload) -> Payload {
    match payload.arc_data() {
        Some(bytes) => Payload::tail(Arc::clone(bytes), bytes.len() - payload.len()),
        None => Payload::from(payload.as_slice().to_vec()),
    }
}

fn nonzero(packet_id: Option<u16>, qos: WireQos) -> Result<u16, Violation> {
    match packet_id {
        Some(0) => Err(Violation("packet identifier 0")),
        Some(id) => Ok(id),
        None if qos == WireQos::AtMostOnce => Ok(0),
        None => Err(Violation("packet identifier missing")),
    }
}

pub(super) fn from_wire(qos: WireQos) -> Qos {
    match qos {
        WireQos::AtMostOnce => Qos::AtMostOnce,
        WireQos::AtLeastOnce => Qos::AtLeastOnce,
        WireQos::ExactlyOnce => Qos::ExactlyOnce,
    }
}

pub(super) fn to_wire(qos: Qos) -> WireQos {
    match qos {
        Qos::AtMostOnce => WireQos::AtMostOnce,
        Qos::AtLeastOnce => WireQos::AtLeastOnce,
        Qos::ExactlyOnce => WireQos::ExactlyOnce,
    }
}

fn describe(error: MqttError) -> &'static str {
    match error {
        MqttError::MalformedPacket => "malformed packet",
        MqttError::ProtocolError => "protocol error",
        MqttError::PacketTooLarge => Violation::PACKET_TOO_LARGE,
        MqttError::UnsupportedProtocolVersion => "unsupported protocol version",
        MqttError::ClientIdentifierNotValid => "client identifier not valid",
        MqttError::ReceiveMaximumExceeded => "receive maximum exceeded",
        MqttError::TopicAliasInvalid => "topic alias invalid",
        _ => "protocol error",
    }
}
