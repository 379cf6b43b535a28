//! MQTT 3.1.1 written by hand: the test decides what stands in one write, and when nothing is read.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::LIMIT;

/// A client that sends and receives packets as they are told, and does nothing by itself.
pub(crate) struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
}

pub(crate) const PINGREQ: &[u8] = &[0xc0, 0];

/// What the broker sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Connack,
    Puback(u16),
    Pubrec(u16),
    Pubcomp(u16),
    Suback,
    Pingresp,
    Publish {
        topic: String,
        payload: Vec<u8>,
        /// Zero at QoS 0.
        packet_id: u16,
    },
}

impl Peer {
    /// Connects and waits for the CONNACK.
    pub(crate) fn connect(broker: SocketAddr, client_id: &str) -> Self {
        let mut peer = Self::over(TcpStream::connect(broker).unwrap());
        peer.send(&connect(client_id));
        assert_eq!(peer.receive(), Packet::Connack);
        peer
    }

    /// A connection on which nothing was said yet.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// All of it in one write.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Subscribes and waits until it is granted.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) {
        let mut body = vec![0, 1];
        text(&mut body, filter);
        body.push(qos);
        self.send(&packet(0x82, &body));
        assert_eq!(self.receive(), Packet::Suback);
    }

    /// Sends a PINGREQ and waits for its answer: what was sent before has been read.
    pub(crate) fn ping(&mut self) {
        self.send(PINGREQ);
        assert_eq!(self.receive(), Packet::Pingresp);
    }

    /// The next packet.
    pub(crate) fn receive(&mut self) -> Packet {
        self.next().expect("the connection was closed")
    }

    /// The next packet; `None` if the broker has ended the connection.
    pub(crate) fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some((packet, length)) = parse(&self.received) {
                self.received.drain(..length);
                return Some(packet);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("waited in vain for a packet: {error}"),
            }
        }
    }

    /// Whether the connection is open and the broker has said nothing that was not received.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        self.received.is_empty() && peeked.is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
    }
}

/// CONNECT with a clean session and without keep-alive.
pub(crate) fn connect(client_id: &str) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04\x02\0\0".to_vec();
    text(&mut body, client_id);
    packet(0x10, &body)
}

/// PUBLISH; `packet_id` is left out at QoS 0.
pub(crate) fn publish(topic: &str, qos: u8, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    if qos != 0 {
        body.extend(packet_id.to_be_bytes());
    }
    body.extend(payload);
    packet(0x30 | qos << 1, &body)
}

/// A reading as a simulated sensor sends it.
pub(crate) fn reading(sensor_id: &str, value: f64, seq: u64) -> Vec<u8> {
    format!(r#"{{"sensor_id":"{sensor_id}","value":{value},"seq":{seq}}}"#).into_bytes()
}

pub(crate) fn puback(packet_id: u16) -> Vec<u8> {
    packet(0x40, &packet_id.to_be_bytes())
}

pub(crate) fn pubrel(packet_id: u16) -> Vec<u8> {
    packet(0x62, &packet_id.to_be_bytes())
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    while 0x7f < rest {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend(body);
    bytes
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend(text.as_bytes());
}

/// The first packet and how many bytes it takes; `None` if it is not whole yet.
fn parse(bytes: &[u8]) -> Option<(Packet, usize)> {
    let (mut length, mut at) = (0, 1);
    loop {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let body = bytes.get(at..at + length)?;
    let number = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let packet = match bytes[0] >> 4 {
        2 => {
            assert_eq!(body[1], 0, "CONNACK refuses");
            Packet::Connack
        }
        3 => {
            let topic_end = 2 + usize::from(number(0));
            let has_id = bytes[0] & 0x06 != 0;
            Packet::Publish {
                topic: String::from_utf8(body[2..topic_end].to_vec()).unwrap(),
                packet_id: if has_id { number(topic_end) } else { 0 },
                payload: body[topic_end + if has_id { 2 } else { 0 }..].to_vec(),
            }
        }
        4 => Packet::Puback(number(0)),
        5 => Packet::Pubrec(number(0)),
        7 => Packet::Pubcomp(number(0)),
        9 => {
            assert!(body[2..].iter().all(|code| *code <= 2), "SUBACK refuses");
            Packet::Suback
        }
        13 => Packet::Pingresp,
        other => panic!("unexpected packet of type {other}"),
    };
    Some((packet, at + length))
}
