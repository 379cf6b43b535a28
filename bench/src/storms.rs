//! Storms: clients that come and go, clients that only stay, and subscriptions that come and go.

use std::{net::SocketAddr, thread, time::Duration};

use anyhow::{Context, Result};

use crate::{
    cases::{Cases, Column, Compare, Figures},
    descriptors,
    exchange::{Exchange, Talkers, Took, connect_storm},
    frames,
    options::Options,
    process,
    server::Server,
    subject::Subject,
    table::{decimals, whole},
};

const ROUNDS: u32 = 3;
const CONNECTS: usize = 10_000;
const IDLE_CLIENTS: usize = 5_000;
const SUBSCRIBERS: usize = 100;
const SUBSCRIPTIONS: usize = 1_000;
const FILTERS_IN_PACKET: usize = 10;
/// Beside the clients' sockets.
const OTHER_DESCRIPTORS: u64 = 500;
/// A server is left alone so long before its memory is read.
const SETTLE: Duration = Duration::from_secs(1);

const COLUMNS: &[Column] = &[
    column("done/s", whole, Compare::Ratio),
    column("slowest, ms", decimals::<1>, Compare::Ratio),
    column("undone/s", whole, Compare::Ratio),
    column("idle memory, MiB", decimals::<1>, Compare::Not),
    column("with all, MiB", decimals::<1>, Compare::Ratio),
    column("each, KiB", decimals::<2>, Compare::Ratio),
    column("undone, MiB", decimals::<1>, Compare::Ratio),
    column("all left, MiB", decimals::<1>, Compare::Ratio),
    column("peak memory, MiB", decimals::<1>, Compare::Ratio),
    column("broker CPU, s", decimals::<2>, Compare::Ratio),
    column("generator CPU, s", decimals::<2>, Compare::Not),
];

const fn column(title: &'static str, show: fn(f64) -> String, compare: Compare) -> Column {
    Column {
        title,
        show,
        compare,
    }
}

enum Storm {
    Connects { at_once: usize },
    IdleClients,
    Subscriptions,
}

/// What a storm itself tells; `None` where it has no such thing.
#[derive(Default)]
struct Seen {
    done_per_second: Option<f64>,
    slowest: Option<Duration>,
    undone_per_second: Option<f64>,
    with_all_kib: Option<u64>,
    /// How many `with_all_kib` has more than there were before.
    count: usize,
    undone_kib: Option<u64>,
}

pub(crate) struct Report {
    cases: Cases,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    descriptors::allow(IDLE_CLIENTS as u64 + OTHER_DESCRIPTORS)?;
    let cases = [
        (
            "connects, one after the other",
            Storm::Connects { at_once: 1 },
        ),
        ("connects, 200 at a time", Storm::Connects { at_once: 200 }),
        ("idle clients", Storm::IdleClients),
        ("subscriptions", Storm::Subscriptions),
    ];
    let cases = cases.map(|(name, storm)| {
        let count = whole(storm.count() as f64);
        (format!("{count} {name}"), storm)
    });
    let rounds = options.rounds_or(ROUNDS);
    let cases = Cases::run(options, rounds, COLUMNS, cases, |subject, storm| {
        measure(subject, storm, options)
    })?;
    Ok(Report { cases })
}

fn measure(subject: &Subject, storm: &Storm, options: &Options) -> Result<Figures> {
    subject.fresh(&options.folder, |server, address| {
        let pid = server.pid();
        let idle_kib = settled_kib(server)?;
        let before = (process::cpu_time(pid)?, process::own_thread_cpu_time()?);
        let seen = match *storm {
            Storm::Connects { at_once } => connects(address, at_once)?,
            Storm::IdleClients => idle_clients(server, address)?,
            Storm::Subscriptions => subscriptions(server, address)?,
        };
        let left_kib = settled_kib(server)?;
        let after = (process::cpu_time(pid)?, process::own_thread_cpu_time()?);
        let mib = |kib: u64| kib as f64 / 1024.0;
        let each_kib = seen
            .with_all_kib
            .map(|with_all| (with_all as f64 - idle_kib as f64) / seen.count as f64);
        Ok(vec![
            seen.done_per_second.unwrap_or(f64::NAN),
            seen.slowest
                .map_or(f64::NAN, |slowest| slowest.as_secs_f64() * 1e3),
            seen.undone_per_second.unwrap_or(f64::NAN),
            mib(idle_kib),
            seen.with_all_kib.map_or(f64::NAN, mib),
            each_kib.unwrap_or(f64::NAN),
            seen.undone_kib.map_or(f64::NAN, mib),
            mib(left_kib),
            mib(process::peak_resident_kib(pid)?),
            (after.0 - before.0).as_secs_f64(),
            (after.1 - before.1).as_secs_f64(),
        ])
    })
}

fn connects(address: SocketAddr, at_once: usize) -> Result<Seen> {
    let Took { all, slowest } = connect_storm(address, CONNECTS, at_once)?;
    Ok(Seen {
        done_per_second: Some(CONNECTS as f64 / all.as_secs_f64()),
        slowest: Some(slowest),
        ..Seen::default()
    })
}

fn idle_clients(server: &Server, address: SocketAddr) -> Result<Seen> {
    let clients = Talkers::connect(address, IDLE_CLIENTS)?;
    let with_all_kib = settled_kib(server)?;
    clients.leave()?;
    Ok(Seen {
        with_all_kib: Some(with_all_kib),
        count: IDLE_CLIENTS,
        ..Seen::default()
    })
}

fn subscriptions(server: &Server, address: SocketAddr) -> Result<Seen> {
    let per_second = |took: Duration| (SUBSCRIBERS * SUBSCRIPTIONS) as f64 / took.as_secs_f64();
    let mut clients = Talkers::connect(address, SUBSCRIBERS)?;
    let subscribed = clients.hold(all(subscribe)?).context("subscribing")?.all;
    let with_all_kib = settled_kib(server)?;
    let unsubscribed = clients
        .hold(all(unsubscribe)?)
        .context("unsubscribing")?
        .all;
    let undone_kib = settled_kib(server)?;
    // Who leaves with subscriptions leaves more behind.
    clients.hold(all(subscribe)?).context("subscribing again")?;
    clients.leave()?;
    Ok(Seen {
        done_per_second: Some(per_second(subscribed)),
        undone_per_second: Some(per_second(unsubscribed)),
        with_all_kib: Some(with_all_kib),
        count: SUBSCRIBERS * SUBSCRIPTIONS,
        undone_kib: Some(undone_kib),
        ..Seen::default()
    })
}

fn settled_kib(server: &Server) -> Result<u64> {
    thread::sleep(SETTLE);
    process::resident_kib(server.pid())
}

/// The exchanges of each client.
fn all(exchange: impl Fn(&[String], u16) -> Result<Exchange> + Copy) -> Result<Vec<Vec<Exchange>>> {
    let of_client = |client| {
        let filters: Vec<_> = (0..SUBSCRIPTIONS).map(|n| filter(client, n)).collect();
        let packets = filters.chunks(FILTERS_IN_PACKET);
        (1..)
            .zip(packets)
            .map(|(packet_id, filters)| exchange(filters, packet_id))
            .collect()
    };
    (0..SUBSCRIBERS).map(of_client).collect()
}

fn filter(client: usize, number: usize) -> String {
    match number % 3 {
        0 => format!("storm/{client}/{number}/temperature"),
        1 => format!("storm/+/{client}/{number}"),
        _ => format!("storm/{client}/{number}/#"),
    }
}

fn subscribe(filters: &[String], packet_id: u16) -> Result<Exchange> {
    Ok(Exchange {
        request: frames::subscribe(filters, 0, packet_id)?,
        answer: frames::suback(filters.len(), 0, packet_id)?,
    })
}

fn unsubscribe(filters: &[String], packet_id: u16) -> Result<Exchange> {
    Ok(Exchange {
        request: frames::unsubscribe(filters, packet_id)?,
        answer: frames::unsuback(packet_id).to_vec(),
    })
}

impl Storm {
    fn count(&self) -> usize {
        match self {
            Self::Connects { .. } => CONNECTS,
            Self::IdleClients => IDLE_CLIENTS,
            Self::Subscriptions => SUBSCRIBERS * SUBSCRIPTIONS,
        }
    }
}

impl Report {
    pub(crate) fn render(&self) -> String {
        format!(
            "## Storms\n\nA connect goes from the TCP connection to the CONNACK; then the client leaves. One that finds the \
             listener's queue full is tried again by TCP a second later. The idle clients \
             do nothing but stay. {SUBSCRIBERS} clients take {} subscriptions each, {FILTERS_IN_PACKET} \
             to a packet and each packet after the answer to the one before, give them up again (undone), take them \
             once more and leave. Memory is read a second after; each is what one client or subscription adds to the \
             idle memory. The generator runs on the same machine. A broker is fresh in each case and round; \
             medians:\n\n{}",
            whole(SUBSCRIPTIONS as f64),
            self.cases.render()
        )
    }

    pub(crate) fn versions(&self) -> Result<Vec<String>> {
        self.cases.versions()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subscription_is_asked_for_once() -> Result<()> {
        let mut filters: Vec<_> = (0..SUBSCRIBERS)
            .flat_map(|client| (0..SUBSCRIPTIONS).map(move |number| filter(client, number)))
            .collect();
        filters.sort();
        filters.dedup();
        assert_eq!(filters.len(), SUBSCRIBERS * SUBSCRIPTIONS);
        let exchanges = all(subscribe)?;
        assert_eq!((exchanges.len(), exchanges[0].len()), (100, 100));
        let second = &exchanges[0][1];
        assert_eq!(second.answer, b"\x90\x0c\x00\x02\0\0\0\0\0\0\0\0\0\0");
        assert!(second.request.ends_with(b"\x00\x0cstorm/+/0/19\x00"));
        Ok(())
    }
}
