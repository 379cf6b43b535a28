//! A receiver that answers over a plain socket whatever it is told to, byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::CertificateDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::LIMIT;

/// Listens for as long as the test runs.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    requests: Channel<Request>,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A header's text, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.trim())
    }
}

impl Receiver {
    /// Each request has a connection of its own, on which `answer` gets its number, from 0, and writes.
    pub(crate) fn start(answer: impl Fn(usize, &mut TcpStream) + Send + Sync + 'static) -> Self {
        Self::judging(move |number, _, stream| answer(number, stream))
    }

    /// As `start`, with the request.
    pub(crate) fn judging(
        answer: impl Fn(usize, &Request, &mut TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = sync_channel(1000);
        thread::spawn(move || {
            for number in 0.. {
                let Ok((mut stream, _)) = listener.accept() else {
                    return;
                };
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                let Some(request) = read(&mut stream) else {
                    continue;
                };
                if sender.send(request.clone()).is_err() {
                    return;
                }
                answer(number, &request, &mut stream);
            }
        });
        Self { address, requests }
    }

    /// The section of a gateway that delivers there.
    pub(crate) fn section(&self, keys: &str) -> String {
        format!(
            "[cloud]\nurl = \"http://{}/x\"\ncompression = \"none\"\nconcurrency = 1\nbatch_linger = \"0ms\"\n\
             retry_initial = \"50ms\"\nretry_max = \"200ms\"\n{keys}",
            self.address
        )
    }

    /// Lets go of the requests that were not asked for.
    pub(crate) fn forget(&self) {
        while self.requests.try_recv().is_ok() {}
    }

    /// The next request.
    #[track_caller]
    pub(crate) fn next(&self) -> Request {
        self.requests.recv_timeout(LIMIT).expect("a request")
    }
}

/// Answers with a status and a body, and says that the connection ends.
pub(crate) fn write_answer(stream: &mut impl Write, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    );
    // The gateway may have gone.
    stream.write_all(answer.as_bytes()).ok();
}

/// As [`Receiver`], over TLS: it answers 200 to everything.
#[derive(Debug)]
pub(crate) struct SecureReceiver {
    pub(crate) address: SocketAddr,
    server: Arc<Mutex<Arc<ServerConfig>>>,
    clients: Channel<Option<CertificateDer<'static>>>,
}

impl SecureReceiver {
    pub(crate) fn start(server: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Mutex::new(server));
        let (sender, clients) = sync_channel(1000);
        let current = Arc::clone(&server);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                let server = Arc::clone(&current.lock().unwrap());
                let connection = ServerConnection::new(server).unwrap();
                let mut stream = StreamOwned::new(connection, stream);
                if read(&mut stream).is_none() {
                    continue;
                }
                let shown = stream.conn.peer_certificates();
                if sender.send(shown.map(|chain| chain[0].clone())).is_err() {
                    return;
                }
                write_answer(&mut stream, "200 OK", "", "");
                stream.conn.send_close_notify();
                stream.flush().ok();
            }
        });
        Self {
            address,
            server,
            clients,
        }
    }

    /// Shows another certificate from the next connection on, or asks for others.
    pub(crate) fn become_another(&self, server: Arc<ServerConfig>) {
        *self.server.lock().unwrap() = server;
    }

    /// The certificate that the next request came with.
    #[track_caller]
    pub(crate) fn next(&self) -> Option<CertificateDer<'static>> {
        self.clients.recv_timeout(LIMIT).expect("a request")
    }

    /// The section of a gateway that delivers there.
    pub(crate) fn section(&self, host: &str, keys: &str) -> String {
        format!(
            "[cloud]\nurl = \"https://{host}:{}/x\"\nconcurrency = 1\nbatch_linger = \"0ms\"\nretry_initial = \"50ms\"\n\
             retry_max = \"200ms\"\n{keys}",
            self.address.port()
        )
    }
}

/// `None` if the connection ended before the request was whole.
fn read(stream: &mut impl Read) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..at].to_vec()).ok()?;
            let mut request = Request {
                head,
                body: bytes[at + 4..].to_vec(),
            };
            let length: usize = request.header("content-length").parse().ok()?;
            while request.body.len() < length {
                let count = stream.read(&mut buffer).ok().filter(|count| 0 < *count)?;
                request.body.extend_from_slice(&buffer[..count]);
            }
            return Some(request);
        }
        let count = stream.read(&mut buffer).ok().filter(|count| 0 < *count)?;
        bytes.extend_from_slice(&buffer[..count]);
    }
}
