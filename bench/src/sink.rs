//! A cloud that takes everything: 200 to every request, counted and thrown away. It is there so that the gateway
//! forwards while it is measured; what arrives is not looked at.

use std::{
    io::{BufRead, BufReader, Read, Write, copy, sink},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

pub(crate) struct Sink {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    body_bytes: AtomicU64,
    /// Connections are closed as they come.
    is_away: AtomicBool,
    /// From a request to its answer, in milliseconds.
    latency_ms: AtomicU64,
    keeps_bodies: AtomicBool,
    bodies: Mutex<Vec<Vec<u8>>>,
}

/// What the sink has taken since it began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) requests: u64,
    pub(crate) body_bytes: u64,
}

impl Taken {
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests - earlier.requests,
            body_bytes: self.body_bytes - earlier.body_bytes,
        }
    }
}

impl Sink {
    /// Serves on threads that end with the benchmark.
    pub(crate) fn start() -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot bind the sink")?;
        let address = listener.local_addr()?;
        let counts = Arc::<Counts>::default();
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if shared.is_away.load(Ordering::Relaxed) {
                    continue;
                }
                let counts = Arc::clone(&shared);
                thread::spawn(move || {
                    if let Err(error) = serve(connection, &counts) {
                        eprintln!("sink: {error:#}");
                    }
                });
            }
        });
        Ok(Self { address, counts })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it is to close connections as they come. Those that are there stay.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.counts.is_away.store(is_away, Ordering::Relaxed);
    }

    /// Answers each request after so long.
    pub(crate) fn set_latency(&self, latency: Duration) {
        let millis = latency.as_millis() as u64;
        self.counts.latency_ms.store(millis, Ordering::Relaxed);
    }

    /// Keeps what comes from now on.
    pub(crate) fn keep_bodies(&self) {
        self.counts.keeps_bodies.store(true, Ordering::Relaxed);
    }

    /// What was kept.
    pub(crate) fn take_bodies(&self) -> Vec<Vec<u8>> {
        let mut bodies = self
            .counts
            .bodies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut bodies)
    }

    pub(crate) fn taken(&self) -> Taken {
        Taken {
            requests: self.counts.requests.load(Ordering::Relaxed),
            body_bytes: self.counts.body_bytes.load(Ordering::Relaxed),
        }
    }
}

/// Answers request after request until the peer closes.
fn serve(connection: TcpStream, counts: &Counts) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut answers = connection.try_clone()?;
    let mut requests = BufReader::new(connection);
    while let Some(body_bytes) = read_head(&mut requests)? {
        let mut body = requests.by_ref().take(body_bytes);
        let read_bytes = if counts.keeps_bodies.load(Ordering::Relaxed) {
            let mut kept = Vec::new();
            body.read_to_end(&mut kept)?;
            let length = kept.len() as u64;
            let mut bodies = counts.bodies.lock().unwrap_or_else(PoisonError::into_inner);
            bodies.push(kept);
            length
        } else {
            copy(&mut body, &mut sink())?
        };
        ensure!(read_bytes == body_bytes, "a request broke off in its body");
        let latency = counts.latency_ms.load(Ordering::Relaxed);
        if 0 < latency {
            thread::sleep(Duration::from_millis(latency));
        }
        counts.requests.fetch_add(1, Ordering::Relaxed);
        counts.body_bytes.fetch_add(body_bytes, Ordering::Relaxed);
        answers.write_all(ANSWER)?;
    }
    Ok(())
}

/// Reads past a request's head and returns its `Content-Length`; `None` at the end of the connection.
fn read_head(requests: &mut impl BufRead) -> Result<Option<u64>> {
    let mut body_bytes = 0;
    let mut line = String::new();
    for number in 0.. {
        line.clear();
        if requests.read_line(&mut line)? == 0 {
            ensure!(number == 0, "a request broke off in its head");
            break;
        }
        let Some((name, value)) = line.split_once(':') else {
            if line.trim().is_empty() {
                return Ok(Some(body_bytes));
            }
            continue;
        };
        ensure!(
            !name.eq_ignore_ascii_case("transfer-encoding"),
            "the sink takes only bodies of known length"
        );
        if name.eq_ignore_ascii_case("content-length") {
            body_bytes = value.trim().parse().context("Content-Length")?;
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_body_is_read_from_the_head_and_the_body_is_left() -> Result<()> {
        let mut bytes: &[u8] =
            b"POST http://h:1/ HTTP/1.1\r\nHost: h:1\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(read_head(&mut bytes)?, Some(2));
        assert_eq!(bytes, b"{}");
        assert_eq!(read_head(&mut &b""[..])?, None);
        assert!(read_head(&mut &b"POST / HTTP/1.1\r\n"[..]).is_err());
        Ok(())
    }

    #[test]
    fn requests_over_one_connection_are_all_answered_and_counted() -> Result<()> {
        let sink = Sink::start()?;
        let mut connection = TcpStream::connect(sink.address)?;
        for _ in 0..2 {
            connection.write_all(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")?;
            let mut answer = vec![0; ANSWER.len()];
            connection.read_exact(&mut answer)?;
            assert_eq!(answer, ANSWER);
        }
        let taken = sink.taken();
        assert_eq!((taken.requests, taken.body_bytes), (2, 10));
        Ok(())
    }
}
