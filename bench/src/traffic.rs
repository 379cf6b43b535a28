//! Ordinary messages from publishers to subscribers: one thread and one epoll for all of them, so that they cost far
//! less than the server between them. Each publisher stays within its window, so that no server has a reason to drop.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use mio::{Events, Poll, Token};

use crate::{
    client,
    numbered::{self, Arrival, Number, Template},
    peer::{Peer, READ_BYTES},
    window::Window,
};

/// Nothing for so long means that nothing more will come: what was sent with QoS 0 is then lost, and with any other the
/// run ends.
const QUIET: Duration = Duration::from_secs(5);
const EVENTS: usize = 1024;

/// Who sends what to whom.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) qos: u8,
    /// A publisher each.
    pub(crate) topics: Vec<String>,
    /// A subscriber each.
    pub(crate) filters: Vec<String>,
    /// How many of the subscribers each publish goes to.
    pub(crate) receivers: u32,
    /// Clients that are there, with filters that match nothing.
    pub(crate) idle: Vec<Vec<String>>,
    /// Of each publisher.
    pub(crate) publishes: u64,
    /// Publishes of each publisher that may be on their way.
    pub(crate) window: usize,
}

impl Plan {
    /// How many messages all subscribers together are to get.
    pub(crate) fn due(&self) -> u64 {
        self.topics.len() as u64 * self.publishes * u64::from(self.receivers)
    }
}

/// Everybody, connected and subscribed.
pub(crate) struct Traffic {
    poll: Poll,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    /// By publisher.
    windows: Vec<Window>,
    qos: u8,
    due: u64,
    delivered: u64,
    last_delivery: Option<Instant>,
    buffer: Vec<u8>,
    /// Held open.
    _idle: Vec<TcpStream>,
}

struct Publisher {
    peer: Peer,
    template: Template,
    unsent: u64,
}

struct Subscriber {
    peer: Peer,
    /// The number that no publish of a publisher may be under, by publisher.
    next: Vec<u64>,
}

pub(crate) struct Outcome {
    pub(crate) due: u64,
    pub(crate) delivered: u64,
    /// From the first write to the last delivery.
    pub(crate) took: Duration,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.delivered as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.due - self.delivered
    }
}

impl Traffic {
    /// Connects all, the publishers last.
    pub(crate) fn prepare(address: SocketAddr, plan: &Plan) -> Result<Self> {
        let poll = Poll::new()?;
        let idle = (0..)
            .zip(&plan.idle)
            .map(|(number, filters)| connect(address, "idle", number, filters, 0));
        let idle = idle.collect::<Result<_>>()?;
        let (mut publishers, mut subscribers) = (Vec::new(), Vec::new());
        for (number, filter) in plan.filters.iter().enumerate() {
            let socket = connect(address, "subscriber", number, &[filter], plan.qos)?;
            let token = Token(plan.topics.len() + number);
            subscribers.push(Subscriber {
                peer: Peer::new(socket, poll.registry(), token)?,
                next: vec![0; plan.topics.len()],
            });
        }
        for (number, topic) in plan.topics.iter().enumerate() {
            let socket = client::handshake(address, &format!("bench-publisher-{number}"))?;
            publishers.push(Publisher {
                peer: Peer::new(socket, poll.registry(), Token(number))?,
                template: Template::new(number.try_into()?, topic, plan.qos)?,
                unsent: plan.publishes,
            });
        }
        let window = || Window::new(plan.window, plan.receivers, plan.qos != 0);
        Ok(Self {
            poll,
            windows: publishers.iter().map(|_| window()).collect(),
            publishers,
            subscribers,
            qos: plan.qos,
            due: plan.due(),
            delivered: 0,
            last_delivery: None,
            buffer: vec![0; READ_BYTES],
            _idle: idle,
        })
    }

    /// Publishes everything, and calls `at_end` when all of it has arrived or nothing more comes.
    pub(crate) fn run<T>(mut self, at_end: impl FnOnce() -> Result<T>) -> Result<(Outcome, T)> {
        let started = Instant::now();
        let mut events = Events::with_capacity(EVENTS);
        self.fill_windows()?;
        while !self.is_finished() {
            match self.poll.poll(&mut events, Some(QUIET)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled.context("waiting for deliveries")?,
            }
            if events.is_empty() && self.qos != 0 {
                break;
            }
            if events.is_empty() {
                self.windows.iter_mut().for_each(Window::give_up);
            }
            for event in &events {
                self.advance(event.token().0)?;
            }
            self.fill_windows()?;
        }
        let seen = at_end()?;
        ensure!(
            self.delivered <= self.due,
            "{} of {} came",
            self.delivered,
            self.due
        );
        let last_delivery = self.last_delivery.context("nothing was delivered")?;
        let outcome = Outcome {
            due: self.due,
            delivered: self.delivered,
            took: last_delivery - started,
        };
        Ok((outcome, seen))
    }

    fn is_finished(&self) -> bool {
        self.publishers.iter().all(|one| one.unsent == 0)
            && self.windows.iter().all(Window::is_empty)
    }

    fn fill_windows(&mut self) -> Result<()> {
        for (publisher, window) in self.publishers.iter_mut().zip(&mut self.windows) {
            let further = publisher.unsent.min(window.room() as u64);
            if further == 0 {
                continue;
            }
            for _ in 0..further {
                publisher.template.push(window.send(), publisher.peer.out());
            }
            publisher.unsent -= further;
            publisher.peer.flush()?;
        }
        Ok(())
    }

    /// Takes one peer as far as its socket allows.
    fn advance(&mut self, number: usize) -> Result<()> {
        let publishers = self.publishers.len();
        if let Some(publisher) = self.publishers.get_mut(number) {
            let window = &mut self.windows[number];
            publisher
                .peer
                .read(&mut self.buffer, |packet, out| {
                    match numbered::answer(packet, out)? {
                        Arrival::Acked(packet_id) => window.acked(packet_id),
                        Arrival::Step => Ok(()),
                        Arrival::Publish(_) => Err(anyhow::anyhow!("it was sent a publish")),
                    }
                })
                .and_then(|()| publisher.peer.flush())
                .with_context(|| format!("publisher {number}"))?;
            return Ok(());
        }
        let number = number - publishers;
        let (subscriber, windows) = (&mut self.subscribers[number], &mut self.windows);
        let (next, delivered) = (&mut subscriber.next, &mut self.delivered);
        let before = *delivered;
        subscriber
            .peer
            .read(&mut self.buffer, |packet, out| {
                if let Arrival::Publish(publish) = numbered::answer(packet, out)? {
                    take(publish, next, windows)?;
                    *delivered += 1;
                }
                Ok(())
            })
            .and_then(|()| subscriber.peer.flush())
            .with_context(|| format!("subscriber {number}"))?;
        if before < self.delivered {
            self.last_delivery = Some(Instant::now());
        }
        Ok(())
    }
}

fn connect(
    address: SocketAddr,
    role: &str,
    number: usize,
    filters: &[impl AsRef<str>],
    qos: u8,
) -> Result<TcpStream> {
    let mut socket = client::handshake(address, &format!("bench-{role}-{number}"))?;
    client::subscribe(&mut socket, filters, qos).with_context(|| format!("{role} {number}"))?;
    Ok(socket)
}

/// A subscriber got `publish`: never one twice, nor one before its predecessor.
fn take(publish: Number, next: &mut [u64], windows: &mut [Window]) -> Result<()> {
    let Number { sender, seq } = publish;
    let sender = usize::try_from(sender)?;
    let (next, window) = next
        .get_mut(sender)
        .zip(windows.get_mut(sender))
        .with_context(|| format!("a publish of publisher {sender}, who is not"))?;
    ensure!(
        *next <= seq,
        "publish {seq} of publisher {sender} came when {next} was due"
    );
    *next = seq + 1;
    window.arrived(seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishes_come_to_a_subscriber_in_order_and_once() -> Result<()> {
        let mut windows = [Window::new(8, 1, false), Window::new(8, 1, false)];
        for window in &mut windows {
            for _ in 0..4 {
                window.send();
            }
        }
        let mut next = [0; 2];
        let mut came = |sender, seq| take(Number { sender, seq }, &mut next, &mut windows);
        came(0, 0)?;
        came(1, 0)?;
        came(0, 2)?;
        assert!(came(0, 2).is_err(), "twice");
        assert!(came(0, 1).is_err(), "too late");
        assert!(came(2, 0).is_err(), "nobody's");
        came(1, 1)
    }
}
