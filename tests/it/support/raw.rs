//! A raw MQTT client: frames over a TCP stream or what lies upon it, nothing done that a test did not ask for.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::frames::{
    self, CONNACK, Connect, Frame, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Publish,
    SUBACK, UNSUBACK,
};
use super::properties::Property;
use super::{Gateway, LIMIT};

/// What frames are sent over.
pub(crate) trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// One connection.
pub(crate) struct Raw {
    stream: Box<dyn Stream>,
    /// What the stream ends in.
    socket: TcpStream,
    pub(crate) version: u8,
    /// Messages that came while something else was waited for.
    inbox: VecDeque<Publish>,
    /// The properties of the CONNACK.
    pub(crate) granted: Vec<Property>,
    last_packet_id: u16,
}

impl Raw {
    /// A connection on which nothing has been said.
    pub(crate) fn open(gateway: &Gateway<'_>, version: u8) -> Self {
        let socket = TcpStream::connect(gateway.mqtt).unwrap();
        Self::over(socket, version, |socket| Box::new(socket))
    }

    /// As [`open`](Self::open), over what `wrap` puts upon a socket.
    pub(crate) fn over(
        socket: TcpStream,
        version: u8,
        wrap: impl FnOnce(TcpStream) -> Box<dyn Stream>,
    ) -> Self {
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.set_write_timeout(Some(LIMIT)).unwrap();
        Self {
            stream: wrap(socket.try_clone().unwrap()),
            socket,
            version,
            inbox: VecDeque::new(),
            granted: Vec::new(),
            last_packet_id: 0,
        }
    }

    /// A client that is let in with a fresh session and no keep alive.
    #[track_caller]
    pub(crate) fn connect(gateway: &Gateway<'_>, version: u8, client_id: &str) -> Self {
        Self::connect_with(gateway, &Connect::new(version, client_id))
    }

    /// A client that is let in.
    #[track_caller]
    pub(crate) fn connect_with(gateway: &Gateway<'_>, connect: &Connect<'_>) -> Self {
        Self::open(gateway, connect.version).let_in(connect)
    }

    /// Says CONNECT and is let in.
    #[track_caller]
    pub(crate) fn let_in(mut self, connect: &Connect<'_>) -> Self {
        self.send(&connect.bytes());
        let (is_present, reason, granted) = self.connack_with_session();
        assert_eq!((is_present, reason), (false, 0), "{connect:?}");
        self.granted = granted;
        self
    }

    /// A client that is let in and finds its session.
    #[track_caller]
    pub(crate) fn resume(gateway: &Gateway<'_>, connect: &Connect<'_>) -> Self {
        let mut client = Self::open(gateway, connect.version);
        client.send(&connect.bytes());
        let (is_present, reason, granted) = client.connack_with_session();
        assert_eq!((is_present, reason), (true, 0), "{connect:?}");
        client.granted = granted;
        client
    }

    /// Waits for the CONNACK: its reason and properties.
    #[track_caller]
    pub(crate) fn connack(&mut self) -> (u8, Vec<Property>) {
        let (is_present, reason, granted) = self.connack_with_session();
        assert!(!is_present);
        (reason, granted)
    }

    #[track_caller]
    fn connack_with_session(&mut self) -> (bool, u8, Vec<Property>) {
        let frame = self.receive().expect("closed without a CONNACK");
        frames::read_connack(self.version, &frame)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // A broken connection shows when the answer is read.
        self.stream.write_all(bytes).ok();
    }

    /// Ends the sending side, as a client that is gone does.
    pub(crate) fn shut_down(&mut self) {
        self.socket.shutdown(Shutdown::Write).ok();
    }

    /// The next packet; `None` if the gateway has closed the connection.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Option<Frame> {
        let mut byte = [0];
        self.read_exact(&mut byte)?;
        let first = byte[0];
        let (mut length, mut shift) = (0, 0);
        loop {
            self.read_exact(&mut byte)?;
            length |= usize::from(byte[0] & 0x7F) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                let is_minimal = byte[0] != 0 || shift == 7;
                assert!(is_minimal, "a length in more bytes than it needs");
                break;
            }
        }
        let mut body = vec![0; length];
        self.read_exact(&mut body)?;
        Some(Frame { first, body })
    }

    #[track_caller]
    fn read_exact(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the gateway neither answers nor closes the connection")
            }
            Err(_) => None,
        }
    }

    /// Waits for a packet of one type; messages that come before it are kept.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, kind: u8) -> Frame {
        loop {
            let Some(frame) = self.receive() else {
                panic!("closed instead of a packet of type {kind}");
            };
            if frame.kind() == kind {
                return frame;
            }
            assert_eq!(frame.kind(), PUBLISH, "waited for type {kind}: {frame:?}");
            self.inbox.push_back(Publish::read(self.version, &frame));
        }
    }

    /// The packet id and the reason of the next acknowledgement of a type.
    #[track_caller]
    pub(crate) fn acknowledged(&mut self, kind: u8) -> (u16, u8) {
        let version = self.version;
        self.wait_for(kind).acknowledged(version)
    }

    /// What still comes before the gateway closes the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.receive() {
            frames.push(frame);
        }
        frames
    }

    /// Checks that the gateway closes the connection: with this reason in MQTT 5, silently in 3.1.1.
    #[track_caller]
    pub(crate) fn is_dismissed(&mut self, reason: u8) {
        let said: Vec<(u8, u8)> = self
            .rest()
            .iter()
            .map(|frame| (frame.kind(), frame.acknowledged(self.version).1))
            .collect();
        let expected: &[(u8, u8)] = match self.version {
            frames::V5 => &[(frames::DISCONNECT, reason)],
            _ => &[],
        };
        assert_eq!(said, expected, "version {}", self.version);
    }

    /// Whether the gateway closes the connection within `limit`; nothing else may come.
    pub(crate) fn is_closed_within(&mut self, limit: Duration) -> bool {
        self.socket.set_read_timeout(Some(limit)).unwrap();
        let outcome = self.socket.peek(&mut [0]);
        self.socket.set_read_timeout(Some(LIMIT)).unwrap();
        !matches!(outcome, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Whether the connection is open and the gateway has said nothing that was not received.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let peeked = self.socket.peek(&mut [0]);
        self.socket.set_nonblocking(false).unwrap();
        self.inbox.is_empty() && peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Asks and is answered: what was sent before has been handled.
    #[track_caller]
    pub(crate) fn ping(&mut self) {
        self.send(&frames::ping());
        self.wait_for(PINGRESP);
    }

    /// As [`ping`](Self::ping); gives how many acknowledgements of this type came before the answer.
    #[track_caller]
    pub(crate) fn ping_past(&mut self, kind: u8) -> u16 {
        self.send(&frames::ping());
        let mut count = 0;
        loop {
            let frame = self.receive().expect("closed instead of an answer");
            if frame.kind() == PINGRESP {
                return count;
            }
            assert_eq!(frame.kind(), kind);
            count += 1;
        }
    }

    pub(crate) fn next_packet_id(&mut self) -> u16 {
        self.last_packet_id += 1;
        self.last_packet_id
    }

    /// Subscribes; gives what was granted.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, filter: &str, options: u8) -> u8 {
        self.subscribe_with(filter, options, &[])
    }

    #[track_caller]
    pub(crate) fn subscribe_with(
        &mut self,
        filter: &str,
        options: u8,
        properties: &[Property],
    ) -> u8 {
        let packet_id = self.next_packet_id();
        let packet = frames::subscribe(self.version, packet_id, &[(filter, options)], properties);
        self.send(&packet);
        let (answered, granted) = self.acknowledged(SUBACK);
        assert_eq!(answered, packet_id);
        granted
    }

    /// Unsubscribes; gives the reason, which is 0 in 3.1.1.
    #[track_caller]
    pub(crate) fn unsubscribe(&mut self, filter: &str) -> u8 {
        let packet_id = self.next_packet_id();
        self.send(&frames::unsubscribe(self.version, packet_id, filter));
        let (answered, reason) = self.acknowledged(UNSUBACK);
        assert_eq!(answered, packet_id);
        reason
    }

    /// Publishes with the next packet id and waits until that is settled; gives the reason.
    #[track_caller]
    pub(crate) fn publish(&mut self, publish: Publish) -> u8 {
        let packet_id = if 0 < publish.qos {
            self.next_packet_id()
        } else {
            0
        };
        let publish = Publish {
            packet_id,
            ..publish
        };
        self.send(&publish.bytes(self.version));
        let kind = match publish.qos {
            0 => return 0,
            1 => PUBACK,
            _ => PUBREC,
        };
        let (answered, reason) = self.acknowledged(kind);
        assert_eq!(answered, packet_id);
        if kind == PUBREC && reason < 0x80 {
            self.send(&frames::ack(PUBREL, packet_id));
            assert_eq!(self.acknowledged(PUBCOMP), (packet_id, 0));
        }
        reason
    }

    /// The next message, unacknowledged.
    #[track_caller]
    pub(crate) fn unacknowledged(&mut self) -> Publish {
        match self.inbox.pop_front() {
            Some(publish) => publish,
            None => {
                let frame = self.receive().expect("closed instead of a message");
                Publish::read(self.version, &frame)
            }
        }
    }

    /// Whether a message has come while something else was waited for.
    pub(crate) fn has_message(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// The next message, acknowledged as its QoS demands.
    #[track_caller]
    pub(crate) fn message(&mut self) -> Publish {
        let message = self.unacknowledged();
        match message.qos {
            1 => self.send(&frames::ack(PUBACK, message.packet_id)),
            2 => {
                self.send(&frames::ack(PUBREC, message.packet_id));
                assert_eq!(self.acknowledged(PUBREL), (message.packet_id, 0));
                self.send(&frames::ack(PUBCOMP, message.packet_id));
            }
            _ => {}
        }
        message
    }

    /// All messages that came before the answer to a ping, acknowledged; when it returns the gateway has read that.
    #[track_caller]
    pub(crate) fn messages(&mut self) -> Vec<Publish> {
        self.ping();
        let mut found = Vec::new();
        while !self.inbox.is_empty() {
            found.push(self.message());
        }
        self.ping();
        found
    }

    /// The payload of the next message, as text.
    #[track_caller]
    pub(crate) fn text(&mut self) -> String {
        self.message().text().to_owned()
    }
}

/// A CONNACK that refuses: no session, this reason.
pub(crate) fn refusal(version: u8, reason: u8) -> Frame {
    let body = if version == frames::V5 {
        vec![0, reason, 0]
    } else {
        vec![0, reason]
    };
    Frame {
        first: CONNACK << 4,
        body,
    }
}
