//! One client's connection: moves bytes between socket and protocol, publishes to the committer, messages from the hub
//! to the client. It stops reading while the committer is behind, so that TCP pushes back.

mod act;
mod admit;
mod close;
mod deliver;
mod rights;

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use self::rights::Rights;
use super::Shared;
use super::acknowledge::Goodbye;
use super::hub::Member;
use super::protocol::{Incoming, RECEIVE_MAXIMUM};
use super::rate::Rate;
use super::scratch;
use super::turn::Owed;
use super::wire::{self, End, MAX_SEND_BYTES, Wire};
use crate::access::Identity;
use crate::domain::message::Will;
use crate::domain::topic::TopicName;
use crate::ingest::{Place, Refused, Stopped, Submission};
use crate::metrics::Limit;
use crate::store::Committed;
use crate::store::sessions::Change;

/// Reads whose answer may be owed at once.
const MAX_TURNS: usize = RECEIVE_MAXIMUM as usize;

/// Who has come, as far as that is known before its CONNECT.
pub(super) struct Caller {
    pub(super) address: IpAddr,
    /// Whom its certificate names. It needs no password then, and whatever name it gives means nothing.
    pub(super) certified: Option<Identity>,
    /// Who it is unless it says who it is.
    pub(super) guest: Option<Identity>,
    /// Its address has as many connections as it may.
    pub(super) is_one_too_many: bool,
}

/// Serves a client until it or the gateway ends the connection.
pub(super) async fn serve<R, W>(
    reader: R,
    writer: W,
    caller: Caller,
    shared: Arc<Shared>,
    stop: CancellationToken,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    // Beginning and end are boxed: the task of a client that stays has no room for them.
    let entered = Box::pin(enter(reader, writer, caller, shared, &stop)).await;
    if let Some((mut connection, incoming)) = entered {
        let Err(end) = connection.run(incoming, &stop).await;
        Box::pin(connection.close(end)).await;
    }
}

/// Up to the CONNACK; also gives what the client sent behind its CONNECT.
async fn enter<R, W>(
    reader: R,
    writer: W,
    caller: Caller,
    shared: Arc<Shared>,
    stop: &CancellationToken,
) -> Option<(Box<Connection<R, W>>, Vec<Incoming>)>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let peer = caller.address;
    let mut wire = Wire::new(reader, writer, shared.max_packet);
    let mut incoming = Vec::new();
    let greeting = time::timeout(shared.limits.connect_timeout, wire.greet(&mut incoming));
    let connect = tokio::select! {
        greeted = greeting => greeted,
        () = stop.cancelled() => return None,
    };
    let connect = match connect {
        Ok(Ok(connect)) => connect,
        Ok(Err(end)) => {
            shared.note_end(&end);
            if let End::Violated(violation) = &end {
                wire.protocol.refuse_violation(*violation);
            }
            tracing::debug!(%peer, %end, "no connection was made");
            wire.flush_and_close().await;
            return None;
        }
        Err(_) => {
            shared.metrics.limited(Limit::ConnectTimeout);
            tracing::debug!(%peer, "no CONNECT in time");
            return None;
        }
    };
    let admitted = tokio::select! {
        admitted = admit::admit(wire, *connect, caller, shared) => admitted,
        () = stop.cancelled() => return None,
    };
    admitted.map(|connection| (connection, incoming))
}

/// A submission that waits for room at the committer, with its place in that line.
struct Unsent {
    submission: Submission,
    /// Whether the last of the answers that are owed is for it.
    is_owed: bool,
    place: Pin<Box<dyn Future<Output = Result<Place, Stopped>> + Send>>,
}

struct Connection<R, W> {
    wire: Wire<R, W>,
    shared: Arc<Shared>,
    member: Member,
    address: IpAddr,
    rights: Rights,
    will: Option<Box<Will>>,
    /// What is to be stored of the session and nobody waits for.
    changes: Vec<Change>,
    /// Turns whose answer is owed, in their order.
    owed: VecDeque<Owed>,
    /// What waits for room at the committer.
    unsent: Option<Unsent>,
    /// How much the client may publish; `None`: as much as it can.
    rate: Option<Rate>,
    /// When the first packet that was read but not acted upon may be. Nothing is read meanwhile.
    held_until: Option<Instant>,
    /// Zero for none.
    keep_alive: Duration,
    last_packet: Instant,
    /// Topics of publishes that were refused, each said once.
    warned_of: HashSet<TopicName>,
    _counted: Counted,
}

/// Counts a connection for as long as it lives, also if its task panics.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.metrics.mqtt_connections.inc();
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.mqtt_connections.dec();
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// `keep_alive`: seconds; zero for none.
    fn new(
        wire: Wire<R, W>,
        shared: Arc<Shared>,
        (member, address): (Member, IpAddr),
        rights: Rights,
        will: Option<Will>,
        keep_alive: u16,
    ) -> Self {
        let rate = shared.limits.publish_rate;
        Self {
            _counted: Counted::new(&shared),
            member,
            address,
            rights,
            will: will.map(Box::new),
            wire,
            changes: Vec::new(),
            owed: VecDeque::new(),
            unsent: None,
            rate: rate.map(|rate| Rate::new(rate, Instant::now())),
            held_until: None,
            // MQTT 5.0, section 3.1.2.10: one and a half times the keep alive.
            keep_alive: Duration::from_millis(u64::from(keep_alive) * 1500),
            last_packet: Instant::now(),
            warned_of: HashSet::new(),
            shared,
        }
    }

    /// Ends for what was wrong behind packets that have all been acted upon.
    fn end_if_due(&mut self) -> Result<(), End> {
        match self.wire.deferred.take() {
            Some(end) if self.held_until.is_none() => Err(end),
            later => {
                self.wire.deferred = later;
                Ok(())
            }
        }
    }

    async fn run(
        &mut self,
        first: Vec<Incoming>,
        stop: &CancellationToken,
    ) -> Result<Infallible, End> {
        let mut incoming = first;
        self.handle(&mut incoming)?;
        self.end_if_due()?;
        let deadline = time::sleep(self.keep_alive);
        tokio::pin!(deadline);
        let queue = Arc::clone(&self.member.queue);
        loop {
            let is_stopping = stop.is_cancelled();
            if is_stopping && self.unsent.is_none() && self.owed.is_empty() {
                return Err(End::Said(Goodbye::ShuttingDown));
            }
            let is_behind = self.unsent.is_some() || MAX_TURNS <= self.owed.len();
            let is_held = self.held_until.is_some();
            if is_behind || is_held {
                // It is the gateway that does not read: the client's silence is not its own.
                self.last_packet = Instant::now();
            }
            let may_act =
                !is_behind && !is_stopping && self.wire.protocol.out.len() < MAX_SEND_BYTES;
            let may_send = !self.wire.protocol.out.is_empty() || self.wire.is_unflushed;
            tokio::select! {
                count = wire::send(&mut self.wire.writer, &self.wire.protocol.out, &mut self.wire.is_unflushed), if may_send => {
                    self.wire.wrote(&count)?;
                    self.deliver();
                }
                committed = next_commit(&mut self.owed) => self.settle(committed)?,
                place = next_place(&mut self.unsent) => {
                    let unsent = self.unsent.take();
                    let place = place.map_err(|_| End::Said(Goodbye::ShuttingDown))?;
                    if let Some(unsent) = unsent {
                        place.submit(unsent.submission);
                    }
                    // The client was not heard meanwhile.
                    self.last_packet = Instant::now();
                    self.deliver();
                }
                read = scratch::read(&mut self.wire.reader), if may_act && !is_held => {
                    self.wire.deferred = self.wire.take(read, &mut incoming).err();
                    self.handle(&mut incoming)?;
                    self.end_if_due()?;
                    self.deliver();
                }
                () = until(self.held_until), if may_act && is_held => {
                    self.handle(&mut incoming)?;
                    self.end_if_due()?;
                    self.deliver();
                }
                () = queue.changed() => {
                    if queue.is_taken_over() {
                        return Err(End::Said(Goodbye::TakenOver));
                    }
                    self.deliver();
                }
                () = &mut deadline, if !self.keep_alive.is_zero() => {
                    let until = self.last_packet + self.keep_alive;
                    if until <= Instant::now() {
                        return Err(End::Said(Goodbye::KeepAliveTimeout));
                    }
                    deadline.as_mut().reset(until);
                }
                () = self.rights.changed() => self.renew_rights()?,
                () = stop.cancelled(), if !is_stopping => {}
            }
        }
    }
}

/// Waits for a moment, if there is one. The timer is made only then.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits for the commit of the first turn that is owed; for ever if there is none.
async fn next_commit(owed: &mut VecDeque<Owed>) -> Result<Committed, Refused> {
    match owed.front_mut() {
        Some(first) => first.committed().await,
        None => std::future::pending().await,
    }
}

async fn next_place(unsent: &mut Option<Unsent>) -> Result<Place, Stopped> {
    match unsent {
        Some(unsent) => (&mut unsent.place).await,
        None => std::future::pending().await,
    }
}
