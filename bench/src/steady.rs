//! Readings at a steady rate for as long as they are wanted, and how long each PUBACK takes, phase by phase.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;

use crate::{
    acks::AckParser,
    client,
    frames::Publishes,
    load::{nanoseconds, new_histogram},
};

const CLIENTS: u64 = 10;
pub(crate) const PHASES: usize = 2;
/// A reader looks so often whether it is over.
const LOOK: Duration = Duration::from_millis(100);
const LAST_ACKS: Duration = Duration::from_secs(30);

/// A load that runs.
pub(crate) struct Steady {
    shared: Arc<Shared>,
    writer: JoinHandle<Result<()>>,
    readers: Vec<JoinHandle<Result<[Histogram<u64>; PHASES]>>>,
}

struct Shared {
    started: Instant,
    phase: AtomicUsize,
    is_over: AtomicBool,
    /// Of each client: how many it has sent, and when, in nanoseconds since `started`.
    sent: Vec<(AtomicUsize, Vec<AtomicU64>)>,
}

impl Steady {
    /// Publishes `rate` readings a second, for `most` seconds at the longest.
    pub(crate) fn start(address: SocketAddr, rate: u64, most: u64) -> Result<Self> {
        let each = rate / CLIENTS * most;
        let mut writers = Vec::new();
        let mut readers = Vec::new();
        let mut sent = Vec::new();
        for number in 0..CLIENTS {
            let publishes = Publishes::share(number, CLIENTS, each * CLIENTS)?;
            let socket = client::handshake(address, &format!("steady-{number}"))?;
            readers.push(socket.try_clone()?);
            let times = (0..publishes.count()).map(|_| AtomicU64::new(0)).collect();
            sent.push((AtomicUsize::new(0), times));
            writers.push((socket, publishes));
        }
        let shared = Arc::new(Shared {
            started: Instant::now(),
            phase: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            sent,
        });
        let writing = Arc::clone(&shared);
        let writer = thread::spawn(move || write(&writing, writers, rate));
        let readers = readers.into_iter().enumerate().map(|(number, socket)| {
            let reading = Arc::clone(&shared);
            thread::spawn(move || read(&reading, number, socket))
        });
        Ok(Self {
            readers: readers.collect(),
            shared,
            writer,
        })
    }

    /// Acks count for phase `phase` from now on.
    pub(crate) fn begin(&self, phase: usize) {
        self.shared.phase.store(phase, Ordering::Relaxed);
    }

    /// Ends the load and gives how many readings were published and the latencies of each phase.
    pub(crate) fn stop(self) -> Result<(usize, [Histogram<u64>; PHASES])> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.writer.join().ok().context("the writer panicked")??;
        let mut all = [new_histogram()?, new_histogram()?];
        for reader in self.readers {
            let one = reader.join().ok().context("a reader panicked")??;
            for (sum, part) in all.iter_mut().zip(one) {
                sum.add(part)?;
            }
        }
        let sent = self.shared.sent.iter();
        Ok((
            sent.map(|(count, _)| count.load(Ordering::Relaxed)).sum(),
            all,
        ))
    }
}

fn write(shared: &Shared, mut clients: Vec<(TcpStream, Publishes)>, rate: u64) -> Result<()> {
    for seq in 0.. {
        let due = shared.started + Duration::from_nanos(seq * 1_000_000_000 / rate);
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        let number = (seq % CLIENTS) as usize;
        let index = (seq / CLIENTS) as usize;
        let (socket, publishes) = &mut clients[number];
        if shared.is_over.load(Ordering::Relaxed) || publishes.count() <= index {
            return Ok(());
        }
        let (count, times) = &shared.sent[number];
        times[index].store(nanoseconds(shared.started.elapsed()), Ordering::Relaxed);
        count.store(index + 1, Ordering::Release);
        socket.write_all(publishes.frame(index))?;
    }
    Ok(())
}

fn read(shared: &Shared, number: usize, mut socket: TcpStream) -> Result<[Histogram<u64>; PHASES]> {
    socket.set_read_timeout(Some(LOOK))?;
    let mut latencies = [new_histogram()?, new_histogram()?];
    let (count, times) = &shared.sent[number];
    let (mut acks, mut acked, mut buffer) = (AckParser::default(), 0, [0; 4096]);
    let mut over_since = None;
    loop {
        if shared.is_over.load(Ordering::Relaxed) {
            if acked == count.load(Ordering::Acquire) {
                return Ok(latencies);
            }
            let since = *over_since.get_or_insert_with(Instant::now);
            ensure!(since.elapsed() < LAST_ACKS, "not all was acked");
        }
        let length = match socket.read(&mut buffer) {
            Ok(0) => anyhow::bail!("the server closed the connection"),
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let now = nanoseconds(shared.started.elapsed());
        let phase = shared.phase.load(Ordering::Relaxed);
        acks.push(&buffer[..length], |_| {
            // A server acks in the order of the publishes.
            let sent = times.get(acked).context("an ack too many")?;
            latencies[phase].saturating_record(now.saturating_sub(sent.load(Ordering::Relaxed)));
            acked += 1;
            Ok(())
        })?;
    }
}
