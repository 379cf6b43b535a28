//! A strict reader of what the gateway sends, written from the specification: whatever it does not allow is an error.

/// A packet of the gateway.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Connack {
        is_v5: bool,
        is_present: bool,
        is_refusal: bool,
    },
    Publish(Publish),
    Puback(u16),
    Pubrec {
        packet_id: u16,
        is_refusal: bool,
    },
    Pubrel {
        packet_id: u16,
        is_known: bool,
    },
    Pubcomp(u16),
    Suback {
        packet_id: u16,
        codes: Vec<u8>,
    },
    Unsuback {
        packet_id: u16,
        codes: Vec<u8>,
    },
    Pingresp,
    Disconnect,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publish {
    pub(super) topic: String,
    pub(super) alias: Option<u16>,
    pub(super) qos: u8,
    pub(super) is_again: bool,
    /// Zero for QoS 0.
    pub(super) packet_id: u16,
    pub(super) payload: Vec<u8>,
}

type Read<T> = Result<T, String>;

/// Takes the first whole packet out of `bytes`, with its length; `None`: there is none yet. `is_v5`: known after CONNACK.
pub(super) fn take(bytes: &mut Vec<u8>, is_v5: Option<bool>) -> Read<Option<(Packet, usize)>> {
    let mut length = 0;
    for at in 1..=4 {
        let Some(byte) = bytes.get(at) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7F) << (7 * (at - 1));
        if byte & 0x80 != 0 {
            continue;
        }
        if 1 < at && *byte == 0 {
            return Err("a length that is longer than it must be".into());
        }
        let end = at + 1 + length;
        if bytes.len() < end {
            return Ok(None);
        }
        let mut fields = Fields(&bytes[at + 1..end]);
        let packet = fields.packet(bytes[0], is_v5)?;
        if !fields.0.is_empty() {
            return Err(format!("{} bytes behind {packet:?}", fields.0.len()));
        }
        bytes.drain(..end);
        return Ok(Some((packet, end)));
    }
    Err("a length of more than four bytes".into())
}

/// What is left of a packet's body.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn packet(&mut self, first: u8, is_v5: Option<bool>) -> Read<Packet> {
        let kind = first >> 4;
        let flags = match kind {
            3 => first & 15,
            6 => 2,
            _ => 0,
        };
        if first & 15 != flags {
            return Err(format!("flags of {first:#x}"));
        }
        if kind == 2 {
            return self.connack();
        }
        let is_v5 = is_v5.ok_or("the first packet is no CONNACK")?;
        Ok(match kind {
            3 => Packet::Publish(self.publish(flags, is_v5)?),
            4 => Packet::Puback(self.acknowledgement(is_v5, PUBACK)?.0),
            5 => {
                let (packet_id, reason) = self.acknowledgement(is_v5, PUBACK)?;
                Packet::Pubrec {
                    packet_id,
                    is_refusal: 0x80 <= reason,
                }
            }
            6 => {
                let (packet_id, reason) = self.acknowledgement(is_v5, PUBREL)?;
                Packet::Pubrel {
                    packet_id,
                    is_known: reason == 0,
                }
            }
            7 => Packet::Pubcomp(self.acknowledgement(is_v5, PUBREL)?.0),
            9 => {
                let packet_id = self.packet_id()?;
                if is_v5 {
                    self.properties(&[0x1F, 0x26])?;
                }
                let codes = self.rest();
                let is_known =
                    |code: &u8| matches!(code, 0..=2 | 0x80) || is_v5 && SUBACK.contains(code);
                check(
                    !codes.is_empty() && codes.iter().all(is_known),
                    "codes of SUBACK",
                )?;
                Packet::Suback {
                    packet_id,
                    codes: codes.to_vec(),
                }
            }
            11 => {
                let packet_id = self.packet_id()?;
                let mut codes = Vec::new();
                if is_v5 {
                    self.properties(&[0x1F, 0x26])?;
                    codes.extend_from_slice(self.rest());
                    let is_known = codes.iter().all(|code| UNSUBACK.contains(code));
                    check(!codes.is_empty() && is_known, "codes of UNSUBACK")?;
                }
                Packet::Unsuback { packet_id, codes }
            }
            13 => Packet::Pingresp,
            14 if is_v5 => {
                if !self.0.is_empty() {
                    check(DISCONNECT.contains(&self.byte()?), "reason of DISCONNECT")?;
                }
                if !self.0.is_empty() {
                    self.properties(&[0x1F, 0x26, 0x1C])?;
                }
                Packet::Disconnect
            }
            _ => return Err(format!("a packet of kind {kind} from a server")),
        })
    }

    /// In 3.1.1 it has two bytes, in 5 more.
    fn connack(&mut self) -> Read<Packet> {
        let is_v5 = 2 < self.0.len();
        let flags = self.byte()?;
        let code = self.byte()?;
        if is_v5 {
            let allowed = [
                0x11, 0x21, 0x24, 0x25, 0x27, 0x12, 0x22, 0x1F, 0x26, 0x28, 0x29, 0x2A, 0x13, 0x1A,
                0x1C, 0x15, 0x16,
            ];
            self.properties(&allowed)?;
        }
        let is_known = if is_v5 {
            CONNACK.contains(&code)
        } else {
            code <= 5
        };
        check(is_known, "code of CONNACK")?;
        check(flags == 0 || flags == 1 && code == 0, "flags of CONNACK")?;
        Ok(Packet::Connack {
            is_v5,
            is_present: flags == 1,
            is_refusal: code != 0,
        })
    }

    fn publish(&mut self, flags: u8, is_v5: bool) -> Read<Publish> {
        let qos = flags >> 1 & 3;
        let is_again = flags & 8 != 0;
        check(qos < 3 && (qos != 0 || !is_again), "flags of PUBLISH")?;
        let topic = self.text()?;
        let packet_id = if qos == 0 { 0 } else { self.packet_id()? };
        let mut alias = None;
        if is_v5 {
            alias = self.properties(&[0x01, 0x02, 0x23, 0x08, 0x09, 0x26, 0x0B, 0x03])?;
        }
        check(
            !topic.is_empty() || alias.is_some(),
            "neither topic nor alias",
        )?;
        check(!topic.contains(['+', '#']), "a wildcard in a topic")?;
        let payload = self.rest().to_vec();
        Ok(Publish {
            topic,
            alias,
            qos,
            is_again,
            packet_id,
            payload,
        })
    }

    fn acknowledgement(&mut self, is_v5: bool, reasons: &[u8]) -> Read<(u16, u8)> {
        let packet_id = self.packet_id()?;
        let mut reason = 0;
        if is_v5 && !self.0.is_empty() {
            reason = self.byte()?;
            check(reasons.contains(&reason), "reason of an acknowledgement")?;
            if !self.0.is_empty() {
                self.properties(&[0x1F, 0x26])?;
            }
        }
        Ok((packet_id, reason))
    }

    /// Properties, each of those `allowed`; gives the topic alias. Only user properties and, in a PUBLISH,
    /// subscription identifiers come more than once.
    fn properties(&mut self, allowed: &[u8]) -> Read<Option<u16>> {
        let length = self.varying()?;
        let mut fields = Fields(self.bytes(length)?);
        let (mut seen, mut alias) = (Vec::new(), None);
        while !fields.0.is_empty() {
            let id = fields.byte()?;
            check(allowed.contains(&id), &format!("property {id:#x}"))?;
            check(
                !seen.contains(&id),
                &format!("property {id:#x} comes twice"),
            )?;
            match id {
                0x01 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => check(fields.byte()? < 2, "a flag")?,
                0x13 => drop(fields.two()?),
                0x21 | 0x22 => check(fields.two()? != 0, "a maximum")?,
                0x23 => alias = Some(fields.two()?),
                0x02 | 0x11 => drop(fields.bytes(4)?),
                0x27 => check(fields.bytes(4)? != [0; 4], "a maximum")?,
                0x0B => check(fields.varying()? != 0, "a subscription identifier")?,
                0x09 | 0x16 => drop(fields.data()?),
                0x26 => drop((fields.text()?, fields.text()?)),
                _ => drop(fields.text()?),
            }
            if id != 0x26 && id != 0x0B {
                seen.push(id);
            }
        }
        check(alias != Some(0), "topic alias 0")?;
        Ok(alias)
    }

    fn packet_id(&mut self) -> Read<u16> {
        let id = self.two()?;
        check(id != 0, "packet identifier 0")?;
        Ok(id)
    }

    fn text(&mut self) -> Read<String> {
        let text = std::str::from_utf8(self.data()?).map_err(|error| error.to_string())?;
        check(!text.contains('\0'), "U+0000")?;
        Ok(text.to_owned())
    }

    fn data(&mut self) -> Read<&'b [u8]> {
        let length = self.two()?;
        self.bytes(length.into())
    }

    fn varying(&mut self) -> Read<usize> {
        let mut value = 0;
        for at in 0..4 {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7F) << (7 * at);
            if byte & 0x80 == 0 {
                check(
                    at == 0 || byte != 0,
                    "an integer that is longer than it must be",
                )?;
                return Ok(value);
            }
        }
        Err("an integer of more than four bytes".into())
    }

    fn two(&mut self) -> Read<u16> {
        let bytes = self.bytes(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn byte(&mut self) -> Read<u8> {
        Ok(self.bytes(1)?[0])
    }

    fn bytes(&mut self, count: usize) -> Read<&'b [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or("a packet that is too short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn rest(&mut self) -> &'b [u8] {
        std::mem::take(&mut self.0)
    }
}

fn check(is_sound: bool, what: &str) -> Read<()> {
    if is_sound {
        Ok(())
    } else {
        Err(what.to_owned())
    }
}

const CONNACK: &[u8] = &[
    0, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
    0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
];
const PUBACK: &[u8] = &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const PUBREL: &[u8] = &[0, 0x92];
const SUBACK: &[u8] = &[0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
const UNSUBACK: &[u8] = &[0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
const DISCONNECT: &[u8] = &[
    0, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
];
