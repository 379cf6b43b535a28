//! The load: one thread and one epoll for all clients, so that it costs far less than the server it measures.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use crate::{
    client::{Ack, AckRecorder, Client},
    frames::Publishes,
};

/// A server that acks nothing for so long is taken for stuck.
const STALL_LIMIT: Duration = Duration::from_secs(60);
const EVENTS: usize = 1024;
const SHORTEST_LATENCY_NS: u64 = 1_000;
const LONGEST_LATENCY_NS: u64 = 3_600_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) clients: u64,
    /// Publishes of one client that wait for their ack.
    pub(crate) in_flight: u16,
    /// Of all clients together.
    pub(crate) readings: u64,
}

/// Clients that are connected and stand ready.
pub(crate) struct Load {
    poll: Poll,
    clients: Vec<Option<Client>>,
}

pub(crate) struct Outcome {
    pub(crate) acked: u64,
    pub(crate) out_of_order: u64,
    /// From the first write to the last ack.
    pub(crate) took: Duration,
    pub(crate) latency_ns: Histogram<u64>,
}

impl Outcome {
    pub(crate) fn readings_per_second(&self) -> f64 {
        self.acked as f64 / self.took.as_secs_f64()
    }
}

struct Tally {
    acked: u64,
    out_of_order: u64,
    last_ack: Instant,
    latency_ns: Histogram<u64>,
}

impl AckRecorder for Tally {
    fn record(&mut self, ack: &Ack) {
        self.acked += 1;
        self.out_of_order += u64::from(!ack.in_order);
        self.last_ack = ack.at;
        self.latency_ns.saturating_record(nanoseconds(ack.latency));
    }
}

/// The readings that were acked.
impl AckRecorder for Vec<u64> {
    fn record(&mut self, ack: &Ack) {
        self.push(ack.seq);
    }
}

pub(crate) fn new_histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(
        SHORTEST_LATENCY_NS,
        LONGEST_LATENCY_NS,
        SIGNIFICANT_DIGITS,
    )?)
}

pub(crate) fn nanoseconds(latency: Duration) -> u64 {
    u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)
}

impl Load {
    /// Makes every frame and connects every client.
    pub(crate) fn prepare(address: SocketAddr, shape: Shape) -> Result<Self> {
        let poll = Poll::new()?;
        let mut clients = Vec::new();
        for number in 0..shape.clients {
            let publishes = Publishes::share(number, shape.clients, shape.readings)?;
            let client_id = format!("bench-{number}");
            let mut client =
                Client::connect(address, &client_id, publishes, shape.in_flight.into())?;
            client.register(poll.registry(), Token(clients.len()))?;
            clients.push(Some(client));
        }
        Ok(Self { poll, clients })
    }

    /// Publishes everything, calls `at_last_ack` at that moment, and returns what both gave.
    pub(crate) fn run<T>(
        mut self,
        at_last_ack: impl FnOnce() -> Result<T>,
    ) -> Result<(Outcome, T)> {
        let started = Instant::now();
        let mut tally = Tally {
            acked: 0,
            out_of_order: 0,
            last_ack: started,
            latency_ns: new_histogram()?,
        };
        self.begin()?;
        let mut unfinished = self.clients.len();
        let mut events = Events::with_capacity(EVENTS);
        while 0 < unfinished {
            unfinished -= self
                .step(&mut events, &mut tally)
                .with_context(|| format!("{} readings acked so far", tally.acked))?;
        }
        let seen = at_last_ack()?;
        let outcome = Outcome {
            acked: tally.acked,
            out_of_order: tally.out_of_order,
            took: tally.last_ack - started,
            latency_ns: tally.latency_ns,
        };
        Ok((outcome, seen))
    }

    /// Publishes until `kill_after` readings are acked, kills the server, and returns which readings it had acked.
    pub(crate) fn run_and_kill(
        mut self,
        kill_after: usize,
        kill: impl FnOnce() -> Result<()>,
    ) -> Result<Vec<u64>> {
        let mut acked = Vec::new();
        self.begin()?;
        let mut events = Events::with_capacity(EVENTS);
        while acked.len() < kill_after {
            self.step(&mut events, &mut acked)?;
        }
        kill()?;
        // Acks that it sent before it died lie in the sockets; behind them each connection is broken.
        for client in self.clients.iter_mut().flatten() {
            while client.read_acks(&mut acked).is_ok_and(|read| 0 < read) {}
        }
        Ok(acked)
    }

    fn begin(&mut self) -> Result<()> {
        self.clients
            .iter_mut()
            .flatten()
            .try_for_each(Client::fill_window)
    }

    /// Waits for acks, answers them with further publishes, and says how many clients this finished.
    fn step(&mut self, events: &mut Events, recorder: &mut impl AckRecorder) -> Result<usize> {
        match self.poll.poll(events, Some(STALL_LIMIT)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(0),
            polled => polled.context("waiting for acks")?,
        }
        if events.is_empty() {
            bail!("no ack for {} s", STALL_LIMIT.as_secs());
        }
        let mut finished = 0;
        for event in &*events {
            let Token(number) = event.token();
            let slot = &mut self.clients[number];
            if advance(slot, recorder).with_context(|| format!("client bench-{number}"))? {
                finished += 1;
            }
        }
        Ok(finished)
    }
}

/// Takes one client as far as its socket allows; `true` when this finished it.
fn advance(slot: &mut Option<Client>, recorder: &mut impl AckRecorder) -> Result<bool> {
    let Some(client) = slot else {
        return Ok(false);
    };
    client.read_acks(recorder)?;
    client.fill_window()?;
    if !client.is_finished() {
        return Ok(false);
    }
    // Gone at once, so that no keep-alive runs out while others still publish.
    slot.take().map_or(Ok(()), Client::disconnect)?;
    Ok(true)
}
