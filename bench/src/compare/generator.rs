//! The load of a workload: one thread and one epoll for all clients and subscribers, so that it costs far less than the server.
//! Latency goes from the moment at which a publish was due, so that a server that makes its clients wait does not look better for it.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use super::workloads::{Pace, Workload};
use crate::alerts::ALERT_ABOVE;
use crate::client::{connect, handshake, subscribe};
use crate::frames::{Publishes, is_over};
use crate::http;
use crate::listening::Transport;
use crate::load::{nanoseconds, new_histogram};
use crate::numbered::{self, Arrival};
use crate::peer::{Peer, READ_BYTES};
use crate::process;
use crate::split::{body, first_answer};
use crate::subscriber::{is_cleared, seq_in};

const EVENTS: usize = 1024;
/// A server that does nothing for so long is taken for stuck.
const STALL_LIMIT: Duration = Duration::from_secs(60);
/// What a subscriber is to get may come so long after the last acknowledgement.
const LAST_WORD: Duration = Duration::from_secs(5);
const PINGREQ: [u8; 2] = [0xC0, 0];
const PINGRESP: [u8; 2] = [0xD0, 0];
/// Of the first byte of a publish.
const RETAIN: u8 = 1;
/// QoS 0 is not acknowledged: so many publishes are given to a socket at once.
const QOS_0_STRIDE: usize = 100;

/// What was seen.
pub(crate) struct Outcome {
    pub(crate) publishes: u64,
    /// From the first write to the last acknowledgement, or to the answer of a ping behind the last publish of QoS 0.
    pub(crate) took: Duration,
    pub(crate) ack_ns: Histogram<u64>,
    pub(crate) alerts_due: u64,
    pub(crate) alerts: u64,
    pub(crate) alert_ns: Histogram<u64>,
    /// Of all dashboards together.
    pub(crate) delivered: u64,
    pub(crate) generator_cpu: Duration,
}

/// A publisher.
struct Publisher {
    peer: Peer,
    publishes: Publishes,
    sent: usize,
    /// Of those that are not acknowledged, in their order.
    waiting: VecDeque<(u16, Instant)>,
    has_pinged: bool,
    is_finished: bool,
}

/// Everybody, connected.
pub(crate) struct Generator<'w> {
    workload: &'w Workload,
    poll: Poll,
    publishers: Vec<Publisher>,
    alerts: Option<Peer>,
    dashboards: Vec<Peer>,
    _idle: Vec<TcpStream>,
    /// When each publish was due, for alerts.
    due: Vec<Instant>,
    outcome: Outcome,
    last: Instant,
    buffer: Vec<u8>,
}

impl<'w> Generator<'w> {
    /// Makes all frames and connects all, the publishers first.
    pub(crate) fn prepare(
        address: SocketAddr,
        workload: &'w Workload,
        alerts: bool,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        let mut tokens = (0..).map(Token);
        let mut token = || tokens.next().context("no token");
        let mut publishers = Vec::new();
        let idle = (0..workload.idle).map(|number| handshake(address, &format!("idle-{number}")));
        let idle = idle.collect::<Result<_>>()?;
        for number in 0..workload.clients {
            let peer = match workload.transport {
                Transport::Mqtt => {
                    let socket = handshake(address, &format!("bench-{number}"))?;
                    Peer::new(socket, poll.registry(), token()?)?
                }
                Transport::Http => {
                    Peer::new(connect(address)?, poll.registry(), token()?)?.split_by(first_answer)
                }
            };
            publishers.push(Publisher {
                peer,
                publishes: workload.publishes_of(number)?,
                sent: 0,
                waiting: VecDeque::new(),
                has_pinged: false,
                is_finished: false,
            });
        }
        let mut listener = |client_id: &str, filter: &str| {
            let mut socket = handshake(address, client_id)?;
            subscribe(&mut socket, &[filter], 0)?;
            Peer::new(socket, poll.registry(), token()?)
        };
        let alerts = alerts.then(|| listener("alerts", "alerts/#")).transpose()?;
        let dashboards = (0..workload.dashboards)
            .map(|number| listener(&format!("dashboard-{number}"), "#"))
            .collect::<Result<_>>()?;
        let now = Instant::now();
        let publishes = workload.pace.publishes();
        let alerts_due = if alerts.is_some() && workload.payload.has_seq() {
            let readings = 0..publishes * workload.payload.readings();
            readings.filter(|&seq| is_over(seq, ALERT_ABOVE)).count() as u64
        } else {
            0
        };
        Ok(Self {
            workload,
            poll,
            publishers,
            alerts,
            dashboards,
            _idle: idle,
            due: vec![now; publishes.try_into()?],
            outcome: Outcome {
                publishes,
                took: Duration::ZERO,
                ack_ns: new_histogram()?,
                alerts_due,
                alerts: 0,
                alert_ns: new_histogram()?,
                delivered: 0,
                generator_cpu: Duration::ZERO,
            },
            last: now,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Publishes all of it, calls `at_last_ack` at that moment, and waits a while for what subscribers have still to get.
    pub(crate) fn run<T>(
        mut self,
        at_last_ack: impl FnOnce() -> Result<T>,
    ) -> Result<(Outcome, T)> {
        let cpu_before = process::own_thread_cpu_time()?;
        let started = Instant::now();
        let mut events = Events::with_capacity(EVENTS);
        let mut unfinished = self.publishers.len();
        let mut next = 0;
        if matches!(self.workload.pace, Pace::Flood { .. }) {
            for number in 0..self.publishers.len() {
                self.fill(number)?;
            }
        }
        while 0 < unfinished {
            let wait = self.publish_due(started, &mut next)?;
            unfinished -= self.step(&mut events, wait.unwrap_or(STALL_LIMIT))?;
            ensure!(
                wait.is_some() || self.last.elapsed() < STALL_LIMIT,
                "nothing was acknowledged for a minute"
            );
        }
        self.outcome.took = self.last - started;
        let seen = at_last_ack()?;
        self.outcome.generator_cpu = process::own_thread_cpu_time()? - cpu_before;
        let acked = Instant::now();
        let delivered_due = self.outcome.publishes * self.dashboards.len() as u64;
        while (self.outcome.alerts < self.outcome.alerts_due
            || self.outcome.delivered < delivered_due)
            && acked.elapsed() < LAST_WORD
        {
            self.step(&mut events, Duration::from_millis(100))?;
        }
        Ok((self.outcome, seen))
    }

    /// Publishes what is due by now; gives how long to wait for the next, if there is one.
    fn publish_due(&mut self, started: Instant, next: &mut u64) -> Result<Option<Duration>> {
        let Pace::Steady { per_second, .. } = self.workload.pace else {
            return Ok(None);
        };
        let clients = self.workload.clients;
        while *next < self.outcome.publishes {
            let due = started + Duration::from_nanos(*next * 1_000_000_000 / per_second);
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                return Ok(Some(wait));
            }
            let publisher = &mut self.publishers[usize::try_from(*next % clients)?];
            publisher.publish(1, due, self.workload.qos);
            publisher.peer.flush()?;
            self.due[usize::try_from(*next)?] = due;
            *next += 1;
        }
        Ok(None)
    }

    /// Fills the window of a client; of QoS 0 gives it as much as its socket takes.
    fn fill(&mut self, number: usize) -> Result<()> {
        let Pace::Flood { in_flight, .. } = self.workload.pace else {
            return Ok(());
        };
        let (qos, clients) = (self.workload.qos, self.publishers.len());
        let publisher = &mut self.publishers[number];
        loop {
            let unsent = publisher.publishes.count() - publisher.sent;
            let room = match qos {
                0 if publisher.peer.is_flushed() => QOS_0_STRIDE,
                0 => 0,
                _ => in_flight - publisher.waiting.len(),
            };
            let count = room.min(unsent);
            if count == 0 {
                return Ok(());
            }
            let now = Instant::now();
            for index in publisher.sent..publisher.sent + count {
                self.due[number + index * clients] = now;
            }
            publisher.publish(count, now, qos);
            publisher.peer.flush()?;
        }
    }

    /// Waits for packets and answers them; gives how many clients this finished.
    fn step(&mut self, events: &mut Events, wait: Duration) -> Result<usize> {
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(0),
            polled => polled.context("waiting for packets")?,
        }
        let mut finished = 0;
        for event in &*events {
            let number = event.token().0;
            if number < self.publishers.len() {
                finished += usize::from(self.advance(number)?);
            } else {
                self.listen(number - self.publishers.len())?;
            }
        }
        Ok(finished)
    }

    fn advance(&mut self, number: usize) -> Result<bool> {
        let is_flood = matches!(self.workload.pace, Pace::Flood { .. });
        let transport = self.workload.transport;
        let publisher = &mut self.publishers[number];
        if publisher.is_finished {
            return Ok(false);
        }
        let (waiting, ack_ns, last) = (
            &mut publisher.waiting,
            &mut self.outcome.ack_ns,
            &mut self.last,
        );
        let mut has_pong = false;
        publisher
            .peer
            .read(&mut self.buffer, |packet, out| {
                let acked = match transport {
                    Transport::Http => {
                        http::check(packet)?;
                        // They come in the order of the requests.
                        waiting.front().map(|(id, _)| *id)
                    }
                    Transport::Mqtt if packet == PINGRESP => {
                        has_pong = true;
                        *last = Instant::now();
                        None
                    }
                    Transport::Mqtt => match numbered::answer(packet, out)? {
                        Arrival::Acked(id) => Some(id),
                        Arrival::Step => None,
                        Arrival::Publish(_) => bail!("it was sent a publish"),
                    },
                };
                if let Some(id) = acked {
                    let at = Instant::now();
                    let found = waiting.iter().position(|(waits, _)| *waits == id);
                    let found = found.and_then(|found| waiting.remove(found));
                    let (_, due) = found.context("an ack of nothing")?;
                    ack_ns.saturating_record(nanoseconds(at - due));
                    *last = at;
                }
                Ok(())
            })
            .and_then(|()| publisher.peer.flush())
            .with_context(|| format!("client bench-{number}"))?;
        if is_flood {
            self.fill(number)?;
        }
        let publisher = &mut self.publishers[number];
        let is_sent = publisher.sent == publisher.publishes.count();
        if is_sent && self.workload.qos == 0 && !publisher.has_pinged {
            publisher.has_pinged = true;
            publisher.peer.out().extend(PINGREQ);
            publisher.peer.flush()?;
        }
        publisher.is_finished =
            is_sent && publisher.waiting.is_empty() && (has_pong || self.workload.qos != 0);
        Ok(publisher.is_finished)
    }

    fn listen(&mut self, number: usize) -> Result<()> {
        let (outcome, due) = (&mut self.outcome, &self.due);
        let at = Instant::now();
        let has_alerts = usize::from(self.alerts.is_some());
        if let Some(alerts) = self.alerts.as_mut().filter(|_| number == 0) {
            let readings = self.workload.payload.readings();
            return alerts.read(&mut self.buffer, |packet, _| {
                // What says that an alert is over has the number of another reading.
                // Nor is one that was retained before: a store that has grown has those.
                let is_new = packet[0] & RETAIN == 0 && !is_cleared(packet);
                if let Some(seq) = seq_in(packet).filter(|_| is_new) {
                    let due = due.get(usize::try_from(seq / readings)?);
                    let due = due.context("an alert of a reading that was not sent")?;
                    outcome.alert_ns.saturating_record(nanoseconds(at - *due));
                    outcome.alerts += 1;
                }
                Ok(())
            });
        }
        self.dashboards[number - has_alerts].read(&mut self.buffer, |packet, _| {
            outcome.delivered += u64::from(topic_of(packet).starts_with(b"sensors/"));
            Ok(())
        })
    }
}

impl Publisher {
    /// Gives the peer so many further publishes.
    fn publish(&mut self, count: usize, due: Instant, qos: u8) {
        let (from, to) = (self.sent, self.sent + count);
        self.peer
            .out()
            .extend_from_slice(self.publishes.frames(from, to));
        if qos != 0 {
            self.waiting
                .extend((from..to).map(|index| (Publishes::packet_id(index), due)));
        }
        self.sent = to;
    }
}

/// The topic of a publish.
fn topic_of(packet: &[u8]) -> &[u8] {
    let body = body(packet);
    let Some(([high, low], rest)) = body.split_first_chunk() else {
        return &[];
    };
    rest.get(..usize::from(u16::from_be_bytes([*high, *low])))
        .unwrap_or_default()
}
