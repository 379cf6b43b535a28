//! Clients that ask and wait for the answer, many of them at once: one thread and one epoll.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use mio::{Events, Poll, Token};

use crate::{
    client,
    frames::{self, CONNACK_ACCEPTED, DISCONNECT},
    peer::{Peer, READ_BYTES},
};

/// A server that answers nothing for so long is taken for stuck.
const STALL_LIMIT: Duration = Duration::from_secs(60);
const EVENTS: usize = 1024;

/// A packet and what has to come back.
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

/// Clients that stay connected between their exchanges.
pub(crate) struct Talkers {
    poll: Poll,
    peers: Vec<Peer>,
    buffer: Vec<u8>,
}

impl Talkers {
    pub(crate) fn connect(address: SocketAddr, count: usize) -> Result<Self> {
        let poll = Poll::new()?;
        let peers = (0..count).map(|number| {
            let socket = client::handshake(address, &client_id(number))?;
            Peer::new(socket, poll.registry(), Token(number))
        });
        Ok(Self {
            peers: peers.collect::<Result<_>>()?,
            poll,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Begins all connections at once; the first exchange of each is to be its CONNECT.
    pub(crate) fn begin(address: SocketAddr, count: usize) -> Result<Self> {
        let poll = Poll::new()?;
        let peers = (0..count).map(|number| Peer::connect(address, poll.registry(), Token(number)));
        Ok(Self {
            peers: peers.collect::<Result<_>>()?,
            poll,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Lets each client have its exchanges, one after the other and all clients at once.
    pub(crate) fn hold(&mut self, exchanges: Vec<Vec<Exchange>>) -> Result<Took> {
        let started = Instant::now();
        let mut slowest = Duration::ZERO;
        let mut left: Vec<_> = exchanges.into_iter().map(Vec::into_iter).collect();
        let (mut awaited, mut asked) = (Vec::new(), Vec::new());
        for (peer, exchanges) in self.peers.iter_mut().zip(&mut left) {
            asked.push(Instant::now());
            awaited.push(ask(peer, exchanges.next())?);
        }
        let mut busy = awaited.iter().flatten().count();
        let mut events = Events::with_capacity(EVENTS);
        while 0 < busy {
            wait(&mut self.poll, &mut events)?;
            for event in &events {
                let Token(number) = event.token();
                let peer = &mut self.peers[number];
                let is_answered = read_answer(peer, awaited[number].as_deref(), &mut self.buffer)
                    .with_context(|| client_id(number))?;
                peer.flush()?;
                if is_answered {
                    slowest = slowest.max(asked[number].elapsed());
                    asked[number] = Instant::now();
                    awaited[number] = ask(peer, left[number].next())?;
                    busy -= usize::from(awaited[number].is_none());
                }
            }
        }
        Ok(Took {
            all: started.elapsed(),
            slowest,
        })
    }

    pub(crate) fn leave(mut self) -> Result<()> {
        for peer in &mut self.peers {
            peer.out().extend(DISCONNECT);
            peer.flush()?;
        }
        Ok(())
    }
}

/// How long all took together, and the slowest by itself.
pub(crate) struct Took {
    pub(crate) all: Duration,
    pub(crate) slowest: Duration,
}

/// Connects `total` clients, `at_once` at a time: each leaves when it is accepted, and the next takes its place.
pub(crate) fn connect_storm(address: SocketAddr, total: usize, at_once: usize) -> Result<Took> {
    let started = Instant::now();
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(EVENTS));
    let mut buffer = vec![0; READ_BYTES];
    let begin = |number: usize, slot: usize, poll: &Poll| {
        let since = Instant::now();
        let mut peer = Peer::connect(address, poll.registry(), Token(slot))?;
        peer.out().extend(frames::connect(&client_id(number))?);
        peer.flush()?;
        anyhow::Ok((peer, since))
    };
    let mut begun = at_once.min(total);
    let slots = (0..begun).map(|number| begin(number, number, &poll).map(Some));
    let mut slots: Vec<_> = slots.collect::<Result<_>>()?;
    let (mut accepted, mut slowest) = (0, Duration::ZERO);
    while accepted < total {
        wait(&mut poll, &mut events)?;
        for event in &events {
            let Token(slot) = event.token();
            let Some((peer, since)) = &mut slots[slot] else {
                continue;
            };
            peer.flush()?;
            if !read_answer(peer, Some(&CONNACK_ACCEPTED), &mut buffer)? {
                continue;
            }
            slowest = slowest.max(since.elapsed());
            peer.out().extend(DISCONNECT);
            peer.flush()?;
            accepted += 1;
            slots[slot] = None;
            if begun < total {
                slots[slot] = Some(begin(begun, slot, &poll)?);
                begun += 1;
            }
        }
    }
    Ok(Took {
        all: started.elapsed(),
        slowest,
    })
}

pub(crate) fn client_id(number: usize) -> String {
    format!("bench-storm-{number}")
}

/// Sends the request, if there is one, and gives the answer to wait for.
fn ask(peer: &mut Peer, exchange: Option<Exchange>) -> Result<Option<Vec<u8>>> {
    let Some(Exchange { request, answer }) = exchange else {
        return Ok(None);
    };
    peer.out().extend(request);
    peer.flush()?;
    Ok(Some(answer))
}

/// Whether the awaited answer has come; any other is a fault.
fn read_answer(peer: &mut Peer, awaited: Option<&[u8]>, buffer: &mut [u8]) -> Result<bool> {
    let mut is_answered = false;
    peer.read(buffer, |packet, _| {
        ensure!(
            awaited == Some(packet) && !is_answered,
            "the server sent {packet:02x?} instead of {awaited:02x?}"
        );
        is_answered = true;
        Ok(())
    })?;
    Ok(is_answered)
}

fn wait(poll: &mut Poll, events: &mut Events) -> Result<()> {
    match poll.poll(events, Some(STALL_LIMIT)) {
        Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
        polled => polled.context("waiting for answers")?,
    }
    ensure!(
        !events.is_empty(),
        "no answer for {} s",
        STALL_LIMIT.as_secs()
    );
    Ok(())
}
