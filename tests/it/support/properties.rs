//! The properties of MQTT 5, and the fields that packets are made of.

use super::frames::V5;

/// Property identifiers (MQTT 5.0, section 2.2.2.2).
pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
pub(crate) const CONTENT_TYPE: u8 = 0x03;
pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
pub(crate) const CORRELATION_DATA: u8 = 0x09;
pub(crate) const SUBSCRIPTION_ID: u8 = 0x0B;
pub(crate) const SESSION_EXPIRY: u8 = 0x11;
pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
pub(crate) const WILL_DELAY: u8 = 0x18;
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

pub(super) fn write_properties(version: u8, properties: &[Property], out: &mut Vec<u8>) {
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

pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend(bytes);
    out
}

pub(super) fn varying(mut value: usize) -> Vec<u8> {
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
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken.to_vec()
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    pub(super) fn two(&mut self) -> u16 {
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

    pub(super) fn text(&mut self) -> String {
        String::from_utf8(self.data()).unwrap()
    }

    pub(super) fn properties(&mut self) -> Vec<Property> {
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
