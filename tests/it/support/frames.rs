//! MQTT packets as bytes, written and read by hand: what a test sends need not be right.

use super::properties::{Property, Reader, string, varying, write_properties};

/// Protocol levels.
pub(crate) const V311: u8 = 4;
pub(crate) const V5: u8 = 5;
pub(crate) const BOTH: [u8; 2] = [V311, V5];

/// Packet types.
pub(crate) const CONNACK: u8 = 2;
pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const PUBREC: u8 = 5;
pub(crate) const PUBREL: u8 = 6;
pub(crate) const PUBCOMP: u8 = 7;
pub(crate) const SUBACK: u8 = 9;
pub(crate) const UNSUBACK: u8 = 11;
pub(crate) const PINGRESP: u8 = 13;
pub(crate) const DISCONNECT: u8 = 14;

/// A packet as it came: its first byte and what stands behind the length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    pub(crate) fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The packet id and the reason of an acknowledgement, or of a SUBACK with one entry; the reason of a DISCONNECT.
    pub(crate) fn acknowledged(&self, version: u8) -> (u16, u8) {
        let mut reader = Reader(&self.body);
        if self.kind() == DISCONNECT {
            return (0, reader.0.first().copied().unwrap_or(0));
        }
        let packet_id = reader.two();
        if matches!(self.kind(), SUBACK | UNSUBACK) && version == V5 {
            reader.properties();
        }
        (packet_id, reader.0.first().copied().unwrap_or(0))
    }
}

/// CONNECT.
#[derive(Clone, Debug)]
pub(crate) struct Connect<'t> {
    pub(crate) version: u8,
    pub(crate) protocol_name: &'t str,
    pub(crate) client_id: &'t str,
    pub(crate) is_clean: bool,
    pub(crate) keep_alive: u16,
    /// Flips bits of the flags.
    pub(crate) wrong_flags: u8,
    pub(crate) will: Option<Publish>,
    /// User name and password.
    pub(crate) credentials: Option<(&'t str, &'t str)>,
    pub(crate) properties: Vec<Property>,
}

impl<'t> Connect<'t> {
    pub(crate) fn new(version: u8, client_id: &'t str) -> Self {
        Self {
            version,
            protocol_name: "MQTT",
            client_id,
            is_clean: true,
            keep_alive: 0,
            wrong_flags: 0,
            will: None,
            credentials: None,
            properties: Vec::new(),
        }
    }

    pub(crate) fn credentials(mut self, name: &'t str, password: &'t str) -> Self {
        self.credentials = Some((name, password));
        self
    }

    pub(crate) fn will(mut self, will: Publish) -> Self {
        self.will = Some(will);
        self
    }

    pub(crate) fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut flags = u8::from(self.is_clean) << 1;
        if let Some(will) = &self.will {
            flags |= 0x04 | will.qos << 3 | u8::from(will.is_retained) << 5;
        }
        if self.credentials.is_some() {
            flags |= 0xc0;
        }
        let mut body = string(self.protocol_name.as_bytes());
        body.extend([self.version, flags ^ self.wrong_flags]);
        body.extend(self.keep_alive.to_be_bytes());
        write_properties(self.version, &self.properties, &mut body);
        body.extend(string(self.client_id.as_bytes()));
        if let Some(will) = &self.will {
            write_properties(self.version, &will.properties, &mut body);
            body.extend(string(will.topic.as_bytes()));
            body.extend(string(&will.payload));
        }
        if let Some((name, password)) = self.credentials {
            body.extend(string(name.as_bytes()));
            body.extend(string(password.as_bytes()));
        }
        packet(0x10, &body)
    }
}

/// PUBLISH, in both directions; a will as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) is_retained: bool,
    pub(crate) is_duplicate: bool,
    pub(crate) packet_id: u16,
    pub(crate) properties: Vec<Property>,
}

impl Publish {
    pub(crate) fn new(topic: &str, payload: impl AsRef<[u8]>) -> Self {
        Self {
            topic: topic.to_owned(),
            payload: payload.as_ref().to_vec(),
            qos: 0,
            is_retained: false,
            is_duplicate: false,
            packet_id: 0,
            properties: Vec::new(),
        }
    }

    /// QoS and, above 0, the packet id.
    pub(crate) fn qos(mut self, qos: u8, packet_id: u16) -> Self {
        (self.qos, self.packet_id) = (qos, packet_id);
        self
    }

    pub(crate) fn retained(mut self) -> Self {
        self.is_retained = true;
        self
    }

    pub(crate) fn again(mut self) -> Self {
        self.is_duplicate = true;
        self
    }

    pub(crate) fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    /// The payload as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }

    pub(crate) fn bytes(&self, version: u8) -> Vec<u8> {
        let flags = u8::from(self.is_duplicate) << 3 | self.qos << 1 | u8::from(self.is_retained);
        let mut body = string(self.topic.as_bytes());
        if 0 < self.qos {
            body.extend(self.packet_id.to_be_bytes());
        }
        write_properties(version, &self.properties, &mut body);
        body.extend(&self.payload);
        packet(0x30 | flags, &body)
    }

    pub(crate) fn read(version: u8, frame: &Frame) -> Self {
        assert_eq!(frame.kind(), PUBLISH, "{frame:?}");
        let mut reader = Reader(&frame.body);
        let topic = reader.text();
        let qos = frame.first >> 1 & 3;
        Self {
            topic,
            qos,
            is_retained: frame.first & 1 == 1,
            is_duplicate: frame.first & 8 == 8,
            packet_id: if 0 < qos { reader.two() } else { 0 },
            properties: if version == V5 {
                reader.properties()
            } else {
                Vec::new()
            },
            payload: reader.0.to_vec(),
        }
    }
}

/// SUBSCRIBE; the second of each pair has the QoS and, in MQTT 5, the options.
pub(crate) fn subscribe(
    version: u8,
    packet_id: u16,
    entries: &[(&str, u8)],
    properties: &[Property],
) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    write_properties(version, properties, &mut body);
    for (filter, options) in entries {
        body.extend(string(filter.as_bytes()));
        body.push(*options);
    }
    packet(0x82, &body)
}

/// UNSUBSCRIBE.
pub(crate) fn unsubscribe(version: u8, packet_id: u16, filter: &str) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    write_properties(version, &[], &mut body);
    body.extend(string(filter.as_bytes()));
    packet(0xA2, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP in the short form that both versions know.
pub(crate) fn ack(kind: u8, packet_id: u16) -> Vec<u8> {
    let Frame { first, body } = acked(kind, packet_id);
    packet(first, &body)
}

/// As [`ack`], to compare with what has come.
pub(crate) fn acked(kind: u8, packet_id: u16) -> Frame {
    let flags = if kind == PUBREL { 2 } else { 0 };
    Frame {
        first: kind << 4 | flags,
        body: packet_id.to_be_bytes().to_vec(),
    }
}

/// The payload of a reading as a simulated sensor sends it.
pub(crate) fn reading(sensor_id: &str, value: f64, seq: u64) -> String {
    format!(r#"{{"sensor_id":"{sensor_id}","value":{value},"seq":{seq}}}"#)
}

/// PINGREQ.
pub(crate) fn ping() -> Vec<u8> {
    packet(0xC0, &[])
}

/// DISCONNECT without a reason.
pub(crate) fn disconnect() -> Vec<u8> {
    packet(0xE0, &[])
}

/// Any packet.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(varying(body.len()));
    bytes.extend(body);
    bytes
}

/// A CONNACK: whether the session is present, the reason, and the properties of MQTT 5.
pub(crate) fn read_connack(version: u8, frame: &Frame) -> (bool, u8, Vec<Property>) {
    assert_eq!(frame.kind(), CONNACK, "{frame:?}");
    let mut reader = Reader(&frame.body[2..]);
    let properties = if version == V5 {
        reader.properties()
    } else {
        Vec::new()
    };
    (frame.body[0] == 1, frame.body[1], properties)
}
