//! A WebSocket client: frames by hand where a test wants them, else MQTT over them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocket};
use tokio_tungstenite::tungstenite::{self, Bytes, Error, Message};

use super::raw::{Raw, Stream};
use super::{Gateway, LIMIT};

/// What a client of MQTT asks for.
pub(crate) fn request(address: SocketAddr) -> Request {
    let mut request = format!("ws://{address}/mqtt")
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
    request
}

/// A TCP connection that does not wait for ever.
pub(crate) fn connect_tcp(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// A WebSocket on which nothing has been said.
#[track_caller]
pub(crate) fn open<S: Read + Write>(request: Request, stream: S) -> WebSocket<S> {
    let (socket, answer) = tungstenite::client(request, stream).ok().unwrap();
    assert_eq!(answer.headers()["Sec-WebSocket-Protocol"], "mqtt");
    socket
}

/// As [`open`], without TLS.
#[track_caller]
pub(crate) fn open_plain(gateway: &Gateway<'_>) -> WebSocket<TcpStream> {
    let address = gateway.address("ws");
    open(request(address), connect_tcp(address))
}

/// MQTT over a WebSocket without TLS.
#[track_caller]
pub(crate) fn mqtt(gateway: &Gateway<'_>, version: u8) -> Raw {
    mqtt_over(gateway.address("ws"), version, |socket| Box::new(socket))
}

/// MQTT over a WebSocket over what `wrap` puts upon a socket.
#[track_caller]
pub(crate) fn mqtt_over(
    address: SocketAddr,
    version: u8,
    wrap: impl FnOnce(TcpStream) -> Box<dyn Stream>,
) -> Raw {
    mqtt_asking(request(address), address, version, wrap)
}

/// As [`mqtt_over`], with a request of its own.
#[track_caller]
pub(crate) fn mqtt_asking(
    request: Request,
    address: SocketAddr,
    version: u8,
    wrap: impl FnOnce(TcpStream) -> Box<dyn Stream>,
) -> Raw {
    Raw::over(connect_tcp(address), version, |socket| {
        let socket = open(request, wrap(socket));
        let unread = Bytes::new();
        Box::new(Binary { socket, unread })
    })
}

/// Every write is a frame; reads do not see where one ends.
struct Binary<S> {
    socket: WebSocket<S>,
    unread: Bytes,
}

impl<S: Read + Write> Read for Binary<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.unread = bytes,
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed) => return Ok(0),
                Ok(other) => panic!("{other:?}"),
                Err(Error::Io(error)) => return Err(error),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        let count = buffer.len().min(self.unread.len());
        buffer[..count].copy_from_slice(&self.unread.split_to(count));
        Ok(count)
    }
}

impl<S: Read + Write> Write for Binary<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        self.socket.send(message).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io::Error::other)
    }
}

/// Sends a binary message.
pub(crate) fn send<S: Read + Write>(socket: &mut WebSocket<S>, bytes: &[u8]) {
    let message = Message::Binary(Bytes::copy_from_slice(bytes));
    socket.send(message).unwrap();
}

/// The next binary message.
#[track_caller]
pub(crate) fn receive<S: Read + Write>(socket: &mut WebSocket<S>) -> Bytes {
    match socket.read() {
        Ok(Message::Binary(bytes)) => bytes,
        other => panic!("{other:?} instead of a binary message"),
    }
}

/// The close frame that comes, with nothing but MQTT before it; the gateway ends the connection behind it.
#[track_caller]
pub(crate) fn closed<S: Read + Write>(socket: &mut WebSocket<S>) -> Option<CloseFrame> {
    let mut said = None;
    loop {
        match socket.read() {
            Ok(Message::Binary(_)) => {}
            Ok(Message::Close(frame)) => said = Some(frame),
            Err(Error::ConnectionClosed) => return said.expect("a close frame"),
            other => panic!("{other:?} instead of a close frame"),
        }
    }
}
