//! Alerts at a steady rate: how long each takes from its reading's publish to a subscriber.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use crate::{
    acks::ACK_BYTES,
    client,
    flood::in_turn,
    frames::{Publishes, is_over},
    load::{nanoseconds, new_histogram},
    options::Options,
    subject::{self, Subject},
    subscriber,
    table::{self, median, whole},
};

const ROUNDS: u32 = 3;
const RATES: [u64; 2] = [1_000, 5_000];
const CLIENTS: u64 = 10;
const SECONDS: u64 = 10;
pub(crate) const ALERT_ABOVE: u64 = 75;
const ACK_LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Report {
    servers: Vec<(Subject, Vec<Measured>)>,
}

struct Measured {
    round: u32,
    rate: u64,
    sent_per_second: f64,
    due: usize,
    arrived: usize,
    latency_ns: Histogram<u64>,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    let mut servers: Vec<_> = subject::find_that_store(options)?
        .into_iter()
        .map(|subject| (subject, Vec::new()))
        .collect();
    for rate in RATES {
        let rounds = options.rounds_or(ROUNDS);
        in_turn(&mut servers, rounds, |round, (subject, all)| {
            let measured = subject.fresh(&options.folder, |_, address| {
                publish_steadily(address, round, rate)
            })?;
            eprintln!(
                "round {round}, {rate} readings/s: {} p99 {:.2} ms",
                subject.name(),
                measured.quantile_ms(0.99)
            );
            all.push(measured);
            Ok(())
        })?;
    }
    Ok(Report { servers })
}

fn publish_steadily(address: SocketAddr, round: u32, rate: u64) -> Result<Measured> {
    let readings = rate * SECONDS;
    let due = (0..readings)
        .filter(|&seq| is_over(seq, ALERT_ABOVE))
        .count();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let publishes = Publishes::share(number, CLIENTS, readings)?;
        let socket = client::handshake(address, &format!("bench-{number}"))?;
        clients.push((socket, publishes));
    }
    let started = Instant::now();
    let last_publish = started + Duration::from_secs(SECONDS);
    let subscriber = subscriber::collect(address, due, last_publish)?;

    let mut sent_at = Vec::with_capacity(readings.try_into()?);
    for seq in 0..readings {
        let wait = (started + Duration::from_secs(seq) / u32::try_from(rate)?)
            .saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        let (socket, publishes) = &mut clients[(seq % CLIENTS) as usize];
        sent_at.push(Instant::now());
        socket.write_all(publishes.frame((seq / CLIENTS) as usize))?;
    }
    let took = started.elapsed();
    for (socket, publishes) in clients {
        read_all_acks(socket, publishes.count())?;
    }
    let mut latency_ns = new_histogram()?;
    let arrivals = subscriber::join(subscriber)?;
    for arrival in &arrivals {
        let sent = sent_at
            .get(usize::try_from(arrival.seq)?)
            .context("an alert of a reading that was not sent")?;
        latency_ns.saturating_record(nanoseconds(arrival.at - *sent));
    }
    Ok(Measured {
        round,
        rate,
        sent_per_second: readings as f64 / took.as_secs_f64(),
        due,
        arrived: arrivals.len(),
        latency_ns,
    })
}

/// The acks of one client were left in its socket until now: they are few enough to lie there.
fn read_all_acks(mut socket: TcpStream, count: usize) -> Result<()> {
    socket.set_read_timeout(Some(ACK_LIMIT))?;
    let mut acks = vec![0; count * ACK_BYTES];
    socket.read_exact(&mut acks).context("not all was acked")
}

impl Measured {
    fn quantile_ms(&self, quantile: f64) -> f64 {
        self.latency_ns.value_at_quantile(quantile) as f64 / 1e6
    }
}

impl Report {
    pub(crate) fn render(&self) -> String {
        let mut rows = Vec::new();
        for rate in RATES {
            for (subject, all) in &self.servers {
                for one in all.iter().filter(|one| one.rate == rate) {
                    rows.push(row(one.round.to_string(), subject, &[one]));
                }
            }
            for (subject, all) in &self.servers {
                let all: Vec<_> = all.iter().filter(|one| one.rate == rate).collect();
                rows.push(row("median".to_owned(), subject, &all));
            }
        }
        let titles = [
            "readings/s",
            "sent/s",
            "due",
            "arrived",
            "p50, ms",
            "p99, ms",
            "max, ms",
        ];
        format!(
            "## Alerts\n\n{CLIENTS} clients publish at a steady rate with QoS 1 for {SECONDS} s; a quarter of the \
             readings raises an alert. Latency goes from before the write of the publish to the read at a subscriber \
             of `alerts/#`. The gateway publishes an alert after its commit, the stock gateway before it stores \
             anything.\n\n{}",
            table::lines(&titles, &rows)
        )
    }

    pub(crate) fn versions(&self) -> Result<Vec<String>> {
        let subjects = self.servers.iter().map(|(subject, _)| subject);
        subjects.map(Subject::version).collect()
    }
}

fn row(label: String, subject: &Subject, all: &[&Measured]) -> Vec<String> {
    let middle = |value: &dyn Fn(&Measured) -> f64| {
        median(all.iter().map(|one| value(one)).collect()).unwrap_or(f64::NAN)
    };
    let mut cells = vec![label, subject.name().to_owned()];
    let counts: [&dyn Fn(&Measured) -> f64; 4] = [
        &|one| one.rate as f64,
        &|one| one.sent_per_second,
        &|one| one.due as f64,
        &|one| one.arrived as f64,
    ];
    cells.extend(counts.map(|count| whole(middle(count))));
    cells.extend(
        [0.50, 0.99, 1.0].map(|part| format!("{:.2}", middle(&|one| one.quantile_ms(part)))),
    );
    cells
}
