//! The literal gateway: a link into the broker, rules on what it gives, one thread for SQLite and one for the cloud.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use flume::RecvTimeoutError;
use rumqttd::{
    Notification,
    local::{LinkError, LinkRx, LinkTx},
};
use serde::Serialize;

use crate::{
    broker, forward,
    reading::{self, Arrived, Reading},
    store::{self, Work},
};

/// Pieces of work that may wait for SQLite, at a slow rate of a reading each: a commit that takes long must not hold
/// up the alerts. When it is full the link is not read, and the broker's log keeps the rest.
const WORK_CAPACITY: usize = 4_096;
const PIECE_READINGS: usize = 1_000;
const STOP_POLL: Duration = Duration::from_millis(100);
/// A broker that gives nothing for so long after the stop has given everything.
const QUIET: Duration = Duration::from_millis(300);
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize)]
pub(crate) struct Totals {
    stored: u64,
    alerts: u64,
    delivered: u64,
}

pub(crate) fn run(
    listen: SocketAddr,
    path: &Path,
    cloud: String,
    stop: &AtomicBool,
) -> Result<Totals> {
    let address = broker::settle(listen)?;
    let (work, arriving) = mpsc::sync_channel(WORK_CAPACITY);
    let (wake, awake) = mpsc::sync_channel(1);
    let mut connection = store::open(path)?;
    let storing = spawn("store", move || {
        store::run(&mut connection, &arriving, &wake)
    })?;

    let forwarding_ends = Arc::new(AtomicBool::new(false));
    let (ends, confirm, path) = (Arc::clone(&forwarding_ends), work.clone(), path.to_owned());
    let forwarding = spawn("forward", move || {
        forward::run(&path, &cloud, &confirm, &awake, &ends)
    })?;

    let broker = broker::new_generous(address);
    let (mut sender, mut receiver) = broker.link("gateway")?;
    for filter in ["sensors/#", "status/#"] {
        sender.subscribe(filter)?;
    }
    broker::start(broker, &[address])?;
    broker::announce("mqtt", address);

    follow(&mut sender, &mut receiver, &work, stop)?;
    let (done, committed) = mpsc::sync_channel(1);
    work.send(Work::Barrier(done))?;
    committed.recv()?;
    drop(work);
    forwarding_ends.store(true, Ordering::Relaxed);
    let delivered = join(forwarding)??;
    let stored = join(storing)?;
    Ok(Totals {
        stored: stored.readings,
        alerts: stored.alerts,
        delivered,
    })
}

/// Reads the link until `stop`, and then what the broker still has.
fn follow(
    sender: &mut LinkTx,
    receiver: &mut LinkRx,
    work: &SyncSender<Work>,
    stop: &AtomicBool,
) -> Result<()> {
    let mut drain_end = None;
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        if stopping
            && *drain_end.get_or_insert_with(|| Instant::now() + DRAIN_LIMIT) < Instant::now()
        {
            return Ok(());
        }
        let patience = if stopping { QUIET } else { STOP_POLL };
        let mut piece = Vec::new();
        if take(sender, receiver, Instant::now() + patience, &mut piece)? == Taken::Nothing {
            if stopping {
                return Ok(());
            }
            continue;
        }
        // Whatever else is there already goes into the same piece.
        while piece.len() < PIECE_READINGS
            && take(sender, receiver, Instant::now(), &mut piece)? == Taken::Something
        {}
        if !piece.is_empty() {
            work.send(Work::Arrived(piece))
                .context("the store is gone")?;
        }
    }
}

#[derive(PartialEq)]
enum Taken {
    Something,
    Nothing,
}

/// One notification, if it comes by `deadline`.
fn take(
    sender: &mut LinkTx,
    receiver: &mut LinkRx,
    deadline: Instant,
    piece: &mut Vec<Arrived>,
) -> Result<Taken> {
    match receiver.recv_deadline(deadline) {
        Ok(Some(Notification::Forward(forward))) => {
            if let Some(arrived) = reading::decode(&forward.publish) {
                if let Arrived::Reading(reading) = &arrived
                    && reading.raises_alert()
                {
                    publish_alert(sender, reading)?;
                }
                piece.push(arrived);
            }
        }
        // The router waits for this before it gives more.
        Ok(Some(Notification::Unschedule)) => receiver.ready()?,
        Ok(_) => {}
        Err(LinkError::RecvTimeout(RecvTimeoutError::Timeout)) => return Ok(Taken::Nothing),
        Err(error) => return Err(error).context("the broker is gone"),
    }
    Ok(Taken::Something)
}

fn publish_alert(sender: &mut LinkTx, reading: &Reading) -> Result<()> {
    let topic = format!("alerts/{}", reading.sensor_id);
    sender.publish(topic, serde_json::to_vec(reading)?)?;
    Ok(())
}

fn spawn<T: Send + 'static>(
    name: &str,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    Ok(thread::Builder::new().name(name.to_owned()).spawn(job)?)
}

fn join<T>(thread: JoinHandle<T>) -> Result<T> {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    thread.join().map_err(|_| anyhow!("{name} panicked"))
}
