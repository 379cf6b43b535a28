//! Publishes that tell who sent them and which of his they are, and the acks of all three QoS.

use anyhow::{Context, Result, ensure};

use crate::{
    frames::{push_remaining_length, push_text},
    split::body,
    window::packet_id,
};

const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;
const KIND: u8 = 0xF0;
/// As much as a small reading.
const PAYLOAD_BYTES: usize = 64;
const SENDER_BYTES: usize = 4;
const SEQ_BYTES: usize = 8;

/// What all publishes of one publisher have in common.
pub(crate) struct Template {
    sender: u32,
    qos: u8,
    /// Up to the packet id.
    head: Vec<u8>,
}

/// Whom a publish came from, and the how many-th of his it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) sender: u32,
    pub(crate) seq: u64,
}

/// What came of interest to a publisher or a subscriber.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Publish(Number),
    /// The server is done with the publish of this packet id.
    Acked(u16),
    /// Only the exchange went on.
    Step,
}

impl Template {
    pub(crate) fn new(sender: u32, topic: &str, qos: u8) -> Result<Self> {
        let mut head = vec![PUBLISH | qos << 1];
        let id_bytes = if qos == 0 { 0 } else { 2 };
        push_remaining_length(&mut head, 2 + topic.len() + id_bytes + PAYLOAD_BYTES)?;
        push_text(&mut head, topic)?;
        Ok(Self { sender, qos, head })
    }

    /// Puts publish `seq` behind what is in `out`.
    pub(crate) fn push(&self, seq: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        if self.qos != 0 {
            out.extend(packet_id(seq).to_be_bytes());
        }
        out.extend(self.sender.to_be_bytes());
        out.extend(seq.to_be_bytes());
        out.resize(out.len() + PAYLOAD_BYTES - SENDER_BYTES - SEQ_BYTES, b'.');
    }
}

/// Reads a packet of the server, and puts the answer that it is owed behind what is in `out`.
pub(crate) fn answer(packet: &[u8], out: &mut Vec<u8>) -> Result<Arrival> {
    let kind = packet[0] & KIND;
    if kind == PUBLISH {
        let (number, ack) = read_publish(packet)?;
        out.extend(ack.into_iter().flatten());
        return Ok(Arrival::Publish(number));
    }
    let &[high, low] = body(packet) else {
        anyhow::bail!("the server sent {packet:02x?}, which is no ack");
    };
    match kind {
        PUBACK | PUBCOMP => return Ok(Arrival::Acked(u16::from_be_bytes([high, low]))),
        PUBREC => out.extend([PUBREL, 2, high, low]),
        _ if packet[0] == PUBREL => out.extend([PUBCOMP, 2, high, low]),
        _ => anyhow::bail!("the server sent packet {:#04x}", packet[0]),
    }
    Ok(Arrival::Step)
}

/// The number of a publish and the ack that it wants.
fn read_publish(packet: &[u8]) -> Result<(Number, Option<[u8; 4]>)> {
    let whole = "a publish that none of our publishers made";
    let (topic_bytes, rest) = body(packet).split_first_chunk().context(whole)?;
    let rest = rest
        .get(usize::from(u16::from_be_bytes(*topic_bytes))..)
        .context(whole)?;
    let (ack, payload) = match packet[0] >> 1 & 3 {
        0 => (None, rest),
        qos => {
            let (&[high, low], payload) = rest.split_first_chunk().context(whole)?;
            let kind = if qos == 1 { PUBACK } else { PUBREC };
            (Some([kind, 2, high, low]), payload)
        }
    };
    ensure!(payload.len() == PAYLOAD_BYTES, whole);
    let (sender, rest) = payload.split_first_chunk().context(whole)?;
    let (seq, _) = rest.split_first_chunk().context(whole)?;
    let number = Number {
        sender: u32::from_be_bytes(*sender),
        seq: u64::from_be_bytes(*seq),
    };
    Ok((number, ack))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_tells_its_number_and_wants_the_ack_of_its_qos() -> Result<()> {
        let acks: [&[u8]; 3] = [&[], &[0x40, 2, 0, 8], &[0x50, 2, 0, 8]];
        for (qos, expected) in (0..).zip(acks) {
            let (mut publish, mut out) = (Vec::new(), b"before".to_vec());
            Template::new(3, "fan/3", qos)?.push(7, &mut publish);
            let number = Number { sender: 3, seq: 7 };
            assert_eq!(answer(&publish, &mut out)?, Arrival::Publish(number));
            assert_eq!(out, [b"before", expected].concat(), "{qos}");
        }
        Ok(())
    }

    #[test]
    fn a_publish_is_what_mqtt_says() -> Result<()> {
        let mut publish = Vec::new();
        Template::new(1, "a/b", 1)?.push(2, &mut publish);
        let payload = [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2], [b'.'; 52].as_slice()].concat();
        assert_eq!(
            publish,
            [b"\x32\x47\x00\x03a/b\x00\x03", &*payload].concat()
        );
        Ok(())
    }

    #[test]
    fn exchanges_go_on_in_both_directions() -> Result<()> {
        let check = |packet: &[u8], expected, answered: &[u8]| -> Result<()> {
            let mut out = Vec::new();
            assert_eq!(answer(packet, &mut out)?, expected);
            assert_eq!(out, answered);
            Ok(())
        };
        check(&[0x40, 2, 1, 2], Arrival::Acked(258), &[])?;
        check(&[0x50, 2, 1, 2], Arrival::Step, &[0x62, 2, 1, 2])?;
        check(&[0x62, 2, 1, 2], Arrival::Step, &[0x70, 2, 1, 2])?;
        check(&[0x70, 2, 1, 2], Arrival::Acked(258), &[])
    }

    #[test]
    fn what_no_publisher_sent_is_a_fault() {
        for packet in [
            &b"\x30\x05\x00\x01axy"[..],
            b"\x30\x00",
            b"\x90\x03\x00\x01\x00",
            b"\xd0\x00",
        ] {
            assert!(answer(packet, &mut Vec::new()).is_err(), "{packet:02x?}");
        }
    }
}
