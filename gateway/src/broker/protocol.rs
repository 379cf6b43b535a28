//! The wire of one connection, both versions behind one face: bytes in, packets out of them; answers in, bytes out.
//! Sans I/O. `mqtt-protocol-core` reads and writes the packets; what they mean for each other is kept here and in
//! `session`, not by that library's own state machine.

use std::sync::Arc;

use mqtt_protocol_core::mqtt::{
    common::Cursor,
    connection::{PacketBuildResult, PacketBuilder, PacketData, RawPacket},
    packet::{GenericPacketTrait, Packet, Property, Qos as WireQos, v3_1_1, v5_0},
    result_code::{DisconnectReasonCode, MqttError, PubrecReasonCode},
};

use super::{
    aliases::{FromClient, ToClient},
    connect::Connect,
    framing::{check_connect_flags, check_flags, level_of},
    properties,
    subscribe::{Subscribe, Unsubscribe},
    violation::Violation,
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
    Pubrel(u16),
    /// It is done with one of our publishes: PUBACK, PUBCOMP, or a PUBREC that refuses.
    Done(u16),
    /// PUBREC: it has one of our QoS 2 publishes.
    Pubrec(u16),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Ping,
    Disconnect(Disconnect),
}

/// A DISCONNECT as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disconnect {
    pub(super) wants_will: bool,
    /// Seconds that its session is to be kept for, if that is to change.
    pub(super) session_expiry: Option<u32>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Unknown,
    V3,
    V5,
}

/// The wire of one connection.
pub(super) struct Protocol {
    version: Version,
    builder: PacketBuilder,
    from_client: FromClient,
    pub(super) to_client: ToClient,
    /// Bytes of the longest packet that the client takes (MQTT 5: Maximum Packet Size).
    max_packet_out: usize,
    /// QoS 1 and 2 publishes that the client takes at once (MQTT 5: Receive Maximum).
    pub(super) receive_maximum: u16,
    /// Bytes to send.
    pub(super) out: Vec<u8>,
}

impl Protocol {
    /// A fresh connection that accepts packets of at most `max_packet` bytes.
    pub(super) fn new(max_packet: u32) -> Self {
        Self {
            version: Version::Unknown,
            builder: PacketBuilder::with_maximum_packet_size(max_packet),
            from_client: FromClient::default(),
            to_client: ToClient::default(),
            max_packet_out: usize::MAX,
            receive_maximum: u16::MAX,
            out: Vec::new(),
        }
    }

    /// Whether the client speaks MQTT 5.
    pub(super) fn is_v5(&self) -> bool {
        self.version == Version::V5
    }

    /// Reads all whole packets out of `bytes`; the rest of a packet is kept until the next call.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        into: &mut Vec<Incoming>,
    ) -> Result<(), Violation> {
        let mut cursor = Cursor::new(bytes);
        loop {
            match self.builder.feed(&mut cursor) {
                PacketBuildResult::Complete(packet) => into.push(self.read(&packet)?),
                PacketBuildResult::Incomplete => return Ok(()),
                PacketBuildResult::Error(error) => return Err(error.into()),
            }
        }
    }

    fn read(&mut self, raw: &RawPacket) -> Result<Incoming, Violation> {
        match self.version {
            Version::Unknown => self.read_first(raw),
            Version::V3 => {
                check_flags(raw.packet_type(), raw.flags())?;
                read_v3(raw)
            }
            Version::V5 => {
                check_flags(raw.packet_type(), raw.flags())?;
                self.read_v5(raw)
            }
        }
    }

    fn read_first(&mut self, raw: &RawPacket) -> Result<Incoming, Violation> {
        if raw.packet_type() != 1 {
            return Err(Violation::protocol("the first packet is no CONNECT"));
        }
        check_flags(raw.packet_type(), raw.flags())?;
        let body = raw.data_as_slice();
        match level_of(body) {
            Some(4) => self.version = Version::V3,
            Some(5) => self.version = Version::V5,
            _ => {
                self.refuse_version();
                return Err(Violation::protocol("unsupported protocol version"));
            }
        }
        check_connect_flags(body)?;
        let connect = if self.is_v5() {
            let (packet, lone_password) = Connect::parse_v5(body)?;
            properties::check(packet.props())?;
            for property in packet.props() {
                match property {
                    Property::ReceiveMaximum(p) => self.receive_maximum = p.val(),
                    Property::MaximumPacketSize(p) => self.max_packet_out = p.val() as usize,
                    Property::TopicAliasMaximum(p) => self.to_client = ToClient::new(p.val()),
                    _ => {}
                }
            }
            Connect::from_v5(&packet, lone_password)?
        } else {
            Connect::from_v3(&raw.parse_exact(v3_1_1::Connect::parse)?)
        };
        // No text has it (section 1.5.4; section 1.5.3 of 3.1.1). Client id and will are looked at later.
        if connect
            .user_name
            .as_ref()
            .is_some_and(|name| name.contains('\0'))
        {
            return Err(Violation::malformed("U+0000 in the user name"));
        }
        Ok(Incoming::Connect(Box::new(connect)))
    }

    fn read_v5(&mut self, raw: &RawPacket) -> Result<Incoming, Violation> {
        Ok(match raw.packet_type() {
            3 => Incoming::Publish(self.read_publish(raw)?),
            4 => {
                let packet = raw.parse_exact(v5_0::Puback::parse)?;
                properties::check(packet.props().iter().flatten())?;
                Incoming::Done(packet.packet_id())
            }
            5 => {
                let packet = raw.parse_exact(v5_0::Pubrec::parse)?;
                properties::check(packet.props().iter().flatten())?;
                let refuses = |code: PubrecReasonCode| code.is_failure();
                if packet.reason_code().is_some_and(refuses) {
                    Incoming::Done(packet.packet_id())
                } else {
                    Incoming::Pubrec(packet.packet_id())
                }
            }
            6 => {
                let packet = raw.parse_exact(v5_0::Pubrel::parse)?;
                properties::check(packet.props().iter().flatten())?;
                Incoming::Pubrel(packet.packet_id())
            }
            7 => {
                let packet = raw.parse_exact(v5_0::Pubcomp::parse)?;
                properties::check(packet.props().iter().flatten())?;
                Incoming::Done(packet.packet_id())
            }
            8 => {
                let packet = raw.parse_exact(v5_0::Subscribe::parse)?;
                properties::check(packet.props())?;
                Incoming::Subscribe(Subscribe::from_v5(&packet)?)
            }
            10 => {
                let packet = raw.parse_exact(v5_0::Unsubscribe::parse)?;
                properties::check(packet.props())?;
                Incoming::Unsubscribe(Unsubscribe::from_v5(&packet)?)
            }
            12 => {
                raw.parse_exact(v5_0::Pingreq::parse)?;
                Incoming::Ping
            }
            14 => {
                let packet = raw.parse_exact(v5_0::Disconnect::parse)?;
                properties::check(packet.props().iter().flatten())?;
                Incoming::Disconnect(read_disconnect(&packet))
            }
            other => return Err(out_of_place(other)),
        })
    }

    fn read_publish(&mut self, raw: &RawPacket) -> Result<Publish, Violation> {
        let PacketData::Publish(body) = &raw.data else {
            return Err(Violation::malformed("malformed packet"));
        };
        let (p, _) = v5_0::Publish::parse(raw.flags(), Arc::clone(body))?;
        // Section 2.2.2.1: also if there are no properties. The library takes a publish that ends before it.
        let length_at = 2 + p.topic_name().len() + 2 * usize::from(p.qos() != WireQos::AtMostOnce);
        if body.len() <= length_at {
            return Err(Violation::malformed("a publish without a property length"));
        }
        let alias = p.props().iter().find_map(|property| match property {
            Property::TopicAlias(p) => Some(p.val()),
            _ => None,
        });
        let topic = match (p.topic_name(), alias) {
            ("", None) => return Err(Violation::protocol("neither a topic nor its alias")),
            ("", Some(alias)) => Ok(self.from_client.get(alias)?),
            (text, alias) => {
                let topic = TopicName::new(text);
                if let (Ok(topic), Some(alias)) = (&topic, alias) {
                    self.from_client.set(alias, topic.clone())?;
                }
                topic
            }
        };
        Ok(Publish {
            topic,
            payload: payload_of(p.payload()),
            qos: from_wire(p.qos()),
            retain: p.retain(),
            packet_id: nonzero(p.packet_id(), p.qos())?,
            properties: properties::read(p.props())?.map(Arc::new),
        })
    }

    /// Writes a packet to `out`; one that is longer than the client takes is left out (MQTT 5.0, section 3.1.2.11.4).
    pub(super) fn send(&mut self, packet: Result<Packet, MqttError>) {
        match packet {
            Ok(packet) if packet.size() <= self.max_packet_out => {
                self.out.append(&mut packet.to_continuous_buffer());
            }
            Ok(_) => tracing::debug!("packet not sent: the client takes none that long"),
            Err(error) => tracing::debug!(?error, "packet cannot be made"),
        }
    }
}

impl std::fmt::Debug for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Protocol").finish_non_exhaustive()
    }
}

fn read_v3(raw: &RawPacket) -> Result<Incoming, Violation> {
    Ok(match raw.packet_type() {
        3 => {
            let PacketData::Publish(body) = &raw.data else {
                return Err(Violation::malformed("malformed packet"));
            };
            let (p, _) = v3_1_1::Publish::parse(raw.flags(), Arc::clone(body))?;
            Incoming::Publish(Publish {
                topic: TopicName::new(p.topic_name()),
                payload: payload_of(p.payload()),
                qos: from_wire(p.qos()),
                retain: p.retain(),
                packet_id: nonzero(p.packet_id(), p.qos())?,
                properties: None,
            })
        }
        4 => Incoming::Done(raw.parse_exact(v3_1_1::Puback::parse)?.packet_id()),
        5 => Incoming::Pubrec(raw.parse_exact(v3_1_1::Pubrec::parse)?.packet_id()),
        6 => Incoming::Pubrel(raw.parse_exact(v3_1_1::Pubrel::parse)?.packet_id()),
        7 => Incoming::Done(raw.parse_exact(v3_1_1::Pubcomp::parse)?.packet_id()),
        8 => {
            let packet = raw.parse_exact(v3_1_1::Subscribe::parse)?;
            Incoming::Subscribe(Subscribe::from_v3(&packet)?)
        }
        10 => {
            let packet = raw.parse_exact(v3_1_1::Unsubscribe::parse)?;
            Incoming::Unsubscribe(Unsubscribe::from_v3(&packet)?)
        }
        12 => {
            raw.parse_exact(v3_1_1::Pingreq::parse)?;
            Incoming::Ping
        }
        14 => {
            raw.parse_exact(v3_1_1::Disconnect::parse)?;
            Incoming::Disconnect(Disconnect {
                wants_will: false,
                session_expiry: None,
            })
        }
        other => return Err(out_of_place(other)),
    })
}

fn read_disconnect(packet: &v5_0::Disconnect) -> Disconnect {
    let properties = packet.props().as_ref().into_iter().flatten();
    Disconnect {
        // Only a normal end is without it (MQTT 5.0, section 3.1.2.5).
        wants_will: !matches!(
            packet.reason_code(),
            None | Some(DisconnectReasonCode::NormalDisconnection)
        ),
        session_expiry: properties.into_iter().find_map(|property| match property {
            Property::SessionExpiryInterval(p) => Some(p.val()),
            _ => None,
        }),
    }
}

fn out_of_place(packet_type: u8) -> Violation {
    match packet_type {
        0 => Violation::malformed("packet type 0"),
        1 => Violation::protocol("a second CONNECT"),
        15 => Violation::protocol("enhanced authentication was not agreed on"),
        _ => Violation::protocol("a packet that only servers send"),
    }
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
        Some(0) => Err(Violation::protocol("packet identifier 0")),
        Some(id) => Ok(id),
        None if qos == WireQos::AtMostOnce => Ok(0),
        None => Err(Violation::malformed("packet identifier missing")),
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
