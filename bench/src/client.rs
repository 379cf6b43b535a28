//! One publishing client: it keeps its window full, and knows when each publish that is not acked was written.
//! It never waits.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use mio::{Interest, Registry, Token};

use crate::{
    acks::AckParser,
    frames::{self, Publishes},
};

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    socket: mio::net::TcpStream,
    publishes: Publishes,
    parser: AckParser,
    in_flight: VecDeque<Waiting>,
    window: usize,
    /// Publishes given to the socket, the last of them perhaps in part. `in_flight.len() <= sent`.
    sent: usize,
    written_bytes: usize,
}

struct Waiting {
    packet_id: u16,
    seq: u64,
    since: Instant,
}

/// One reading was acked.
pub(crate) struct Ack {
    pub(crate) seq: u64,
    pub(crate) at: Instant,
    pub(crate) latency: Duration,
    pub(crate) in_order: bool,
}

/// What one client's acks add to the outcome.
pub(crate) trait AckRecorder {
    fn record(&mut self, ack: &Ack);
}

impl Client {
    /// Connects and waits for the CONNACK, so that no load runs into a handshake.
    pub(crate) fn connect(
        address: SocketAddr,
        client_id: &str,
        publishes: Publishes,
        window: usize,
    ) -> Result<Self> {
        let socket = handshake(address, client_id)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: mio::net::TcpStream::from_std(socket),
            publishes,
            parser: AckParser::default(),
            in_flight: VecDeque::with_capacity(window),
            window,
            sent: 0,
            written_bytes: 0,
        })
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> Result<()> {
        Ok(registry.register(
            &mut self.socket,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )?)
    }

    /// Gives the socket as many further publishes as the window has room for, in one write.
    pub(crate) fn fill_window(&mut self) -> Result<()> {
        let room = self.window - self.in_flight.len();
        let further = room.min(self.publishes.count() - self.sent);
        // A write that the socket takes only in part counts from its first try: a server that does not read
        // makes its client wait.
        let since = Instant::now();
        for index in self.sent..self.sent + further {
            let packet_id = Publishes::packet_id(index);
            let seq = self.publishes.seq(index);
            self.in_flight.push_back(Waiting {
                packet_id,
                seq,
                since,
            });
        }
        self.sent += further;
        self.flush()
    }

    /// Writes on what an earlier write had to leave.
    pub(crate) fn flush(&mut self) -> Result<()> {
        loop {
            let rest = self.publishes.unwritten(self.written_bytes, self.sent);
            if rest.is_empty() {
                return Ok(());
            }
            match self.socket.write(rest) {
                Ok(0) => bail!("the server takes no more bytes"),
                Ok(written) => self.written_bytes += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("writing publishes"),
            }
        }
    }

    /// Reads all acks that have come; returns how many bytes that were.
    pub(crate) fn read_acks(&mut self, recorder: &mut impl AckRecorder) -> Result<usize> {
        let mut buffer = [0; 4096];
        let mut read_bytes = 0;
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => bail!(
                    "the server closed the connection with {} publishes not acked",
                    self.in_flight.len()
                ),
                Ok(length) => {
                    read_bytes += length;
                    let at = Instant::now();
                    let in_flight = &mut self.in_flight;
                    self.parser.push(&buffer[..length], |packet_id| {
                        let (waiting, in_order) = take(in_flight, packet_id)?;
                        recorder.record(&Ack {
                            seq: waiting.seq,
                            at,
                            latency: at - waiting.since,
                            in_order,
                        });
                        Ok(())
                    })?;
                    // epoll speaks up again after a read that did not fill its buffer.
                    if length < buffer.len() {
                        return Ok(read_bytes);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(read_bytes),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("reading acks"),
            }
        }
    }

    /// Whether every publish is acked.
    pub(crate) fn is_finished(&self) -> bool {
        self.sent == self.publishes.count() && self.in_flight.is_empty()
    }

    /// Takes leave of the server.
    pub(crate) fn disconnect(mut self) -> Result<()> {
        self.socket
            .write_all(&frames::DISCONNECT)
            .context("writing DISCONNECT")
    }
}

/// Opens a connection that waits for nothing before it sends.
pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, HANDSHAKE_LIMIT)
        .with_context(|| format!("cannot connect to {address}"))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Connects and returns once the server has accepted.
pub(crate) fn handshake(address: SocketAddr, client_id: &str) -> Result<TcpStream> {
    let mut socket = connect(address).with_context(|| client_id.to_owned())?;
    socket.set_read_timeout(Some(HANDSHAKE_LIMIT))?;
    socket.write_all(&frames::connect(client_id)?)?;
    let mut answer = [0; frames::CONNACK_ACCEPTED.len()];
    socket
        .read_exact(&mut answer)
        .with_context(|| format!("{client_id} got no CONNACK"))?;
    ensure!(
        answer == frames::CONNACK_ACCEPTED,
        "{client_id} was refused: {answer:02x?}"
    );
    Ok(socket)
}

/// Subscribes and returns once the server has granted every filter.
pub(crate) fn subscribe(
    socket: &mut TcpStream,
    filters: &[impl AsRef<str>],
    qos: u8,
) -> Result<()> {
    const PACKET_ID: u16 = 1;
    socket.write_all(&frames::subscribe(filters, qos, PACKET_ID)?)?;
    let expected = frames::suback(filters.len(), qos, PACKET_ID)?;
    let mut answer = vec![0; expected.len()];
    socket.read_exact(&mut answer).context("no SUBACK")?;
    ensure!(
        answer == expected,
        "the subscription was answered by {answer:02x?}"
    );
    Ok(())
}

/// Removes the acked publish; `true` if it was the oldest.
fn take(in_flight: &mut VecDeque<Waiting>, packet_id: u16) -> Result<(Waiting, bool)> {
    let position = in_flight
        .iter()
        .position(|waiting| waiting.packet_id == packet_id)
        .with_context(|| format!("the server acked packet {packet_id}, which is not in flight"))?;
    let waiting = in_flight
        .remove(position)
        .context("the place was just found")?;
    Ok((waiting, position == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_out_of_order_is_told_apart_and_an_unknown_one_is_a_fault() -> Result<()> {
        let since = Instant::now();
        let mut in_flight: VecDeque<_> = [7, 8, 9]
            .map(|packet_id| Waiting {
                packet_id,
                seq: 0,
                since,
            })
            .into();
        assert!(!take(&mut in_flight, 8)?.1);
        assert!(take(&mut in_flight, 7)?.1);
        assert!(take(&mut in_flight, 8).is_err());
        assert!(take(&mut in_flight, 9)?.1);
        Ok(())
    }
}
