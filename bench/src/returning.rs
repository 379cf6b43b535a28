//! Publishers that come back: when the server goes they connect again, and publish again what it had not acked.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{acks::AckParser, client, frames::Publishes};

const CLIENTS: u64 = 10;
/// Publishes of each client that may wait for their PUBACK.
const WINDOW: usize = 100;
/// A client waits so long for acks before it looks whether a publish is due, and between two tries to connect.
const LOOK: Duration = Duration::from_millis(5);
/// How long a client that has sent everything insists on its last acks.
const LAST_ACKS: Duration = Duration::from_secs(30);

pub(crate) struct Publishers {
    threads: Vec<JoinHandle<Result<Vec<u64>>>>,
}

impl Publishers {
    /// Publishes `rate` readings a second with QoS 1, for `seconds`.
    pub(crate) fn start(address: SocketAddr, rate: u64, seconds: u64) -> Result<Self> {
        let started = Instant::now();
        let mut threads = Vec::new();
        for number in 0..CLIENTS {
            let mut client = Returning {
                address,
                name: format!("returning-{number}"),
                publishes: Publishes::share(number, CLIENTS, rate * seconds)?,
                started,
                rate,
                sent: 0,
                acked: Vec::new(),
                in_flight: 0,
            };
            let give_up = started + Duration::from_secs(seconds) + LAST_ACKS;
            threads.push(thread::spawn(move || client.run(give_up)));
        }
        Ok(Self { threads })
    }

    pub(crate) fn are_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// The `seq` of each reading that was acked.
    pub(crate) fn join(self) -> Result<Vec<u64>> {
        let mut acked = Vec::new();
        for thread in self.threads {
            acked.extend(thread.join().ok().context("a publisher panicked")??);
        }
        Ok(acked)
    }
}

struct Returning {
    address: SocketAddr,
    name: String,
    publishes: Publishes,
    started: Instant,
    rate: u64,
    /// Publishes that were written at least once.
    sent: usize,
    /// Of those sent; packet ids do not come round within one outage, so each tells its publish.
    acked: Vec<bool>,
    in_flight: usize,
}

impl Returning {
    fn run(&mut self, give_up: Instant) -> Result<Vec<u64>> {
        while !self.is_done() && Instant::now() < give_up {
            // A connection that breaks is what this client is for.
            let Ok(socket) = client::handshake(self.address, &self.name) else {
                thread::sleep(LOOK);
                continue;
            };
            self.talk(socket, give_up)?;
        }
        let acked = (0..self.sent).filter(|&index| self.acked[index]);
        Ok(acked.map(|index| self.publishes.seq(index)).collect())
    }

    fn is_done(&self) -> bool {
        self.sent == self.publishes.count() && self.in_flight == 0
    }

    /// Returns when all is acked or the connection is gone.
    fn talk(&mut self, mut socket: TcpStream, give_up: Instant) -> Result<()> {
        socket.set_read_timeout(Some(LOOK))?;
        let (mut parser, mut buffer) = (AckParser::default(), [0; 4096]);
        let mut out = Vec::new();
        for index in (0..self.sent).filter(|&index| !self.acked[index]) {
            out.extend_from_slice(self.publishes.frame(index));
        }
        while !self.is_done() && Instant::now() < give_up {
            self.push_due(&mut out);
            if socket.write_all(&out).is_err() {
                return Ok(());
            }
            out.clear();
            match socket.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => parser.push(&buffer[..length], |packet_id| self.ack(packet_id))?,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    fn push_due(&mut self, out: &mut Vec<u8>) {
        while self.in_flight < WINDOW && self.sent < self.publishes.count() {
            let due =
                Duration::from_nanos(self.publishes.seq(self.sent) * 1_000_000_000 / self.rate);
            if self.started.elapsed() < due {
                return;
            }
            out.extend_from_slice(self.publishes.frame(self.sent));
            self.sent += 1;
            self.acked.push(false);
            self.in_flight += 1;
        }
    }

    fn ack(&mut self, packet_id: u16) -> Result<()> {
        let index = usize::from(packet_id).checked_sub(1);
        let acked = index.and_then(|index| self.acked.get_mut(index));
        let acked = acked.context("an ack of what was not sent")?;
        if !std::mem::replace(acked, true) {
            self.in_flight -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::frames::CONNACK_ACCEPTED;

    #[test]
    fn what_was_not_acked_comes_again_on_the_next_connection() -> Result<()> {
        const PUBLISH_BYTES: usize = 56;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut client = Returning {
            address: listener.local_addr()?,
            name: "r".to_owned(),
            publishes: Publishes::share(1, 2, 5)?,
            started: Instant::now(),
            rate: 1_000_000,
            sent: 0,
            acked: Vec::new(),
            in_flight: 0,
        };
        let give_up = Instant::now() + LAST_ACKS;
        let running = thread::spawn(move || client.run(give_up));
        // Reads so many publishes and acks `packet_id` alone.
        let serve = |publishes: usize, packet_id: u8| -> Result<TcpStream> {
            let (mut socket, _) = listener.accept()?;
            let connect_bytes = crate::frames::connect("r")?.len();
            socket.read_exact(&mut vec![0; connect_bytes])?;
            socket.write_all(&CONNACK_ACCEPTED)?;
            socket.read_exact(&mut vec![0; publishes * PUBLISH_BYTES])?;
            socket.write_all(&[0x40, 2, 0, packet_id])?;
            Ok(socket)
        };
        let first = serve(2, 2)?;
        first.shutdown(std::net::Shutdown::Write)?;
        let _second = serve(1, 1)?;
        let acked = running.join().ok().context("the client panicked")??;
        assert_eq!(acked, [1, 3]);
        Ok(())
    }
}
