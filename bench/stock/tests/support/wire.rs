//! MQTT 3.1.1 and 5 frames over a socket, as few as the tests need. Nothing is answered that a test does not answer.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Silence for so long means that nothing more comes.
const QUIET: Duration = Duration::from_secs(1);

pub(crate) struct Connect<'a> {
    pub(crate) id: &'a str,
    pub(crate) keep_alive: u16,
    pub(crate) clean: bool,
    /// MQTT 5, with these properties.
    pub(crate) v5: Option<&'a [u8]>,
}

impl<'a> Connect<'a> {
    pub(crate) fn new(id: &'a str) -> Self {
        Self {
            id,
            keep_alive: 60,
            clean: true,
            v5: None,
        }
    }
}

pub(crate) struct Client {
    socket: TcpStream,
    is_v5: bool,
    next_packet_id: u16,
    pub(crate) session_present: bool,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) qos: u8,
    pub(crate) packet_id: u16,
    pub(crate) alias: Option<u16>,
    pub(crate) payload: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum Packet {
    Publish(Publish),
    /// The first byte and the rest of any other.
    Other(u8, Vec<u8>),
}

impl Client {
    /// An error where the server closes or keeps silent instead of a CONNACK.
    pub(crate) fn connect(address: SocketAddr, connect: &Connect<'_>) -> io::Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(QUIET))?;
        socket.set_nodelay(true)?;
        let mut body = text("MQTT");
        body.push(if connect.v5.is_some() { 5 } else { 4 });
        body.push(if connect.clean { 2 } else { 0 });
        body.extend(connect.keep_alive.to_be_bytes());
        if let Some(properties) = connect.v5 {
            body.push(u8::try_from(properties.len()).unwrap());
            body.extend(properties);
        }
        body.extend(text(connect.id));
        socket.write_all(&frame(0x10, &body))?;
        let mut client = Self {
            socket,
            is_v5: connect.v5.is_some(),
            next_packet_id: 1,
            session_present: false,
        };
        match client.read()? {
            Some(Packet::Other(0x20, answer)) if answer[1] == 0 => {
                client.session_present = answer[0] == 1;
                Ok(client)
            }
            answer => Err(io::Error::other(format!("{answer:?} is no CONNACK"))),
        }
    }

    /// Returns after the SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) {
        let mut body = self.packet_id().to_be_bytes().to_vec();
        body.extend(self.no_properties());
        body.extend(text(filter));
        body.push(qos);
        self.send(&frame(0x82, &body));
        assert!(matches!(self.read(), Ok(Some(Packet::Other(0x90, _)))));
    }

    /// Returns after the UNSUBACK.
    pub(crate) fn unsubscribe(&mut self, filter: &str) {
        let mut body = self.packet_id().to_be_bytes().to_vec();
        body.extend(self.no_properties());
        body.extend(text(filter));
        self.send(&frame(0xA2, &body));
        assert!(matches!(self.read(), Ok(Some(Packet::Other(0xB0, _)))));
    }

    /// Publishes and waits for no answer.
    pub(crate) fn publish(&mut self, topic: &str, qos: u8, retain: bool, payload: &[u8]) {
        let mut body = text(topic);
        if 0 < qos {
            body.extend(self.packet_id().to_be_bytes());
        }
        body.extend(self.no_properties());
        body.extend(payload);
        self.send(&frame(0x30 | qos << 1 | u8::from(retain), &body));
    }

    /// Publishes at QoS 1 and returns after the PUBACK.
    pub(crate) fn publish_acked(&mut self, topic: &str, retain: bool, payload: &[u8]) {
        self.publish(topic, 1, retain, payload);
        assert!(matches!(self.read(), Ok(Some(Packet::Other(0x40, _)))));
    }

    pub(crate) fn ack(&mut self, packet_id: u16) {
        self.send(&frame(0x40, &packet_id.to_be_bytes()));
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.send(&frame(0xC0, &[]));
        matches!(self.read(), Ok(Some(Packet::Other(0xD0, _))))
    }

    /// The next publish, not acked; `None` if none comes.
    pub(crate) fn next_publish(&mut self) -> Option<Publish> {
        match self.read() {
            Ok(Some(Packet::Publish(publish))) => Some(publish),
            Ok(None) => None,
            other => panic!("{other:?} is no PUBLISH"),
        }
    }

    /// Takes and acks what comes until nothing does.
    pub(crate) fn take_all(&mut self) -> Vec<Publish> {
        let mut all = Vec::new();
        while let Some(publish) = self.next_publish() {
            if publish.qos == 1 {
                self.ack(publish.packet_id);
            }
            all.push(publish);
        }
        all
    }

    /// Reads until the connection ends or nothing comes; whether it ended.
    pub(crate) fn read_to_end(&mut self) -> bool {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return !is_silence(&error),
            }
        }
    }

    fn read(&mut self) -> io::Result<Option<Packet>> {
        let mut first = [0];
        match self.socket.read_exact(&mut first) {
            Err(error) if is_silence(&error) => return Ok(None),
            read => read?,
        }
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let mut byte = [0];
            self.socket.read_exact(&mut byte)?;
            length |= usize::from(byte[0] & 0x7F) << shift;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body)?;
        Ok(Some(if first[0] & 0xF0 == 0x30 {
            Packet::Publish(self.parse_publish(first[0], &body))
        } else {
            Packet::Other(first[0], body)
        }))
    }

    fn parse_publish(&self, first: u8, body: &[u8]) -> Publish {
        let qos = first >> 1 & 3;
        let two = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        let mut at = 2 + usize::from(two(0));
        let topic = String::from_utf8(body[2..at].to_vec()).unwrap();
        let mut publish = Publish {
            topic,
            qos,
            ..Publish::default()
        };
        if 0 < qos {
            publish.packet_id = two(at);
            at += 2;
        }
        if self.is_v5 {
            let properties = usize::from(body[at]);
            // The only property that these tests provoke.
            publish.alias = (properties == 3 && body[at + 1] == 0x23).then(|| two(at + 2));
            at += 1 + properties;
        }
        publish.payload = body[at..].to_vec();
        publish
    }

    fn send(&mut self, bytes: &[u8]) {
        // A broken connection is seen by the next read.
        self.socket.write_all(bytes).ok();
    }

    fn no_properties(&self) -> &'static [u8] {
        if self.is_v5 { &[0] } else { &[] }
    }

    fn packet_id(&mut self) -> u16 {
        let packet_id = self.next_packet_id;
        self.next_packet_id += 1;
        packet_id
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7F).unwrap();
        length >>= 7;
        frame.push(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            break;
        }
    }
    frame.extend(body);
    frame
}
