//! MQTT packets as bytes, written and read by hand: what a test sends need not be right.

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

/// Property identifiers (MQTT 5.0, section 2.2.2.2).
pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
pub(crate) const CONTENT_TYPE: u8 = 0x03;
pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
pub(crate) const CORRELATION_DATA: u8 = 0x09;
pub(crate) const SUBSCRIPTION_ID: u8 = 0x0B;
pub(crate) const SESSION_EXPIRY: u8 = 0x11;
pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
pub(crate) const TOPIC_ALIAS: u8 = 0x23;
pub(crate) const USER_PROPERTY: u8 = 0x26;
pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;

/// A property: its identifier and a value of one of the kinds there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    Byte(u8, u8),
    Two(u8, u16),
    Four(u8, u32),
    Varying(u8, u32),
    Text(u8, String),
    Data(u8, Vec<u8>),
    Pair(u8, String, String),
}

impl Property {
    pub(crate) fn text(id: u8, text: &str) -> Self {
        Self::Text(id, text.to_owned())
    }

    pub(crate) fn user(name: &str, value: &str) -> Self {
        Self::Pair(USER_PROPERTY, name.to_owned(), value.to_owned())
    }

    pub(crate) fn id(&self) -> u8 {
        match self {
            Self::Byte(id, _)
            | Self::Two(id, _)
            | Self::Four(id, _)
            | Self::Varying(id, _)
            | Self::Text(id, _)
            | Self::Data(id, _)
            | Self::Pair(id, ..) => *id,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.id());
        match self {
            Self::Byte(_, value) => out.push(*value),
            Self::Two(_, value) => out.extend(value.to_be_bytes()),
            Self::Four(_, value) => out.extend(value.to_be_bytes()),
            Self::Varying(_, value) => out.extend(varying(*value as usize)),
            Self::Text(_, value) => out.extend(string(value.as_bytes())),
            Self::Data(_, value) => out.extend(string(value)),
            Self::Pair(_, name, value) => {
                out.extend(string(name.as_bytes()));
                out.extend(string(value.as_bytes()));
            }
        }
    }
}

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
    pub(crate) will: Option<Publish>,
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
            will: None,
            properties: Vec::new(),
        }
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
        let mut body = string(self.protocol_name.as_bytes());
        body.extend([self.version, flags]);
        body.extend(self.keep_alive.to_be_bytes());
        write_properties(self.version, &self.properties, &mut body);
        body.extend(string(self.client_id.as_bytes()));
        if let Some(will) = &self.will {
            write_properties(self.version, &will.properties, &mut body);
            body.extend(string(will.topic.as_bytes()));
            body.extend(string(&will.payload));
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
    let flags = if kind == PUBREL { 2 } else { 0 };
    packet(kind << 4 | flags, &packet_id.to_be_bytes())
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

/// The properties of a CONNACK of MQTT 5, and before them its reason.
pub(crate) fn read_connack(version: u8, frame: &Frame) -> (u8, Vec<Property>) {
    assert_eq!(frame.kind(), CONNACK, "{frame:?}");
    assert_eq!(frame.body[0], 0, "session present: {frame:?}");
    let mut reader = Reader(&frame.body[2..]);
    let properties = if version == V5 {
        reader.properties()
    } else {
        Vec::new()
    };
    (frame.body[1], properties)
}

fn write_properties(version: u8, properties: &[Property], out: &mut Vec<u8>) {
    if version < V5 {
        assert!(properties.is_empty(), "MQTT 3.1.1 has no properties");
        return;
    }
    let mut written = Vec::new();
    properties
        .iter()
        .for_each(|property| property.write(&mut written));
    out.extend(varying(written.len()));
    out.extend(written);
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend(bytes);
    out
}

fn varying(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

/// What is left to read of a body.
struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken.to_vec()
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn two(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn four(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn varying(&mut self) -> u32 {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte();
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return value;
            }
        }
        panic!("a variable byte integer of more than four bytes");
    }

    fn data(&mut self) -> Vec<u8> {
        let length = self.two();
        self.take(length.into())
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.data()).unwrap()
    }

    fn properties(&mut self) -> Vec<Property> {
        let length = self.varying() as usize;
        let own = self.take(length);
        let mut reader = Reader(&own);
        let mut properties = Vec::new();
        while !reader.0.is_empty() {
            let id = reader.byte();
            properties.push(match id {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2A => Property::Byte(id, reader.byte()),
                0x13 | 0x21..=0x23 => Property::Two(id, reader.two()),
                0x02 | 0x11 | 0x18 | 0x27 => Property::Four(id, reader.four()),
                0x0B => Property::Varying(id, reader.varying()),
                0x09 | 0x16 => Property::Data(id, reader.data()),
                0x26 => Property::Pair(id, reader.text(), reader.text()),
                _ => Property::Text(id, reader.text()),
            });
        }
        properties
    }
}
