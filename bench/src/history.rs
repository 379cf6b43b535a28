//! Ten million stored readings: what is asked of them as rows and packed, the start, the file, and all of them as a stream.

mod stream;

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use self::stream::{Pace, Streamed};
use crate::{
    gateway,
    http::get,
    load::{Load, Outcome, Shape},
    options::{Only, Options},
    server::Server,
    sink::Sink,
    stored::Stored,
    table::{decimals, median, row_of, whole},
};

/// Published in parts, so that not all of them are in this process's memory at once.
const PART: u64 = 1_000_000;
const SENSOR: &str = "s500";
const ASKED: usize = 15;
/// For packing a hundred million.
const PATIENCE: Duration = Duration::from_secs(1800);
/// What looks through the whole table is asked less often.
const ASKED_OF_SQL: usize = 3;
const STARTS: usize = 5;
/// Published before a SIGKILL: what a start has to make up for is not much more.
const BEFORE_KILL: u64 = 45_000;

const GOAL_NEWEST_MS: f64 = 20.0;
const GOAL_START_MS: f64 = 150.0;

pub(crate) struct Report {
    version: String,
    readings: u64,
    /// Of each part while it was published.
    rates: Vec<f64>,
    questions: Vec<Answered>,
    packed: Packed,
    /// In milliseconds: after SIGKILL, after SIGTERM.
    starts: [Vec<f64>; 2],
    file_bytes: u64,
    index_bytes: u64,
    streams: Vec<Streamed>,
}

/// The same once they are packed.
struct Packed {
    /// Until they were.
    seconds: f64,
    bytes: u64,
    questions: Vec<Answered>,
}

/// A question to the API, and in milliseconds what it took; beside it the same in SQL on the view, where that makes sense.
struct Answered {
    what: &'static str,
    items: usize,
    api_ms: Vec<f64>,
    sql_ms: Vec<f64>,
}

struct Question {
    what: &'static str,
    path: String,
    sql: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    ensure!(
        options.only.is_none_or(|only| only == Only::Gateway),
        "only the gateway is measured"
    );
    let program = gateway::find()?;
    let folder = TempDir::with_prefix_in("bench-", &options.folder)
        .context("cannot make a temporary folder")?;
    let sink = Sink::start()?;
    let start = || gateway::start_without_rules(&program, folder.path(), &sink.url());
    let rates = fill(start()?, options.millions)?;
    let stored = Stored {
        file: folder.path().join(gateway::STORE),
        seqs: "",
        after: 0,
    };
    let file_bytes = stored.file.metadata()?.len();
    let store = stored.open()?.into_connection();
    let index = "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN ('reading_block', 'reading_pack')";
    let index_bytes: i64 = store.query_row(index, [], |row| row.get(0))?;
    let (server, _, http) = start()?;
    let asked = questions(&store)?;
    let ask_all = |http| -> Result<Vec<Answered>> {
        let answers = asked.iter().map(|question| ask(&store, http, question));
        answers.collect()
    };
    let questions = ask_all(http)?;
    server.stop()?;
    age(&stored.file)?;
    let (server, _, http) = start()?;
    let seconds = wait_until_packed(&store)?;
    let packed = Packed {
        seconds,
        bytes: used_bytes(&store)?,
        questions: ask_all(http)?,
    };
    server.stop()?;
    let mut streams = Vec::new();
    for format in ["csv", "ndjson"] {
        for pace in [Pace::Fast, Pace::Slow] {
            let (server, _, http) = start()?;
            let streamed = stream::measure(&server, http, format, pace, options.millions * PART)?;
            eprintln!("{}", streamed.line());
            streams.push(streamed);
            server.stop()?;
        }
    }
    let starts = starts(&program, folder.path(), &sink.url())?;
    let subjects = crate::subject::find_that_store(options)?;
    Ok(Report {
        version: subjects.first().context("no gateway")?.version()?,
        readings: options.millions * PART,
        rates,
        questions,
        packed,
        starts,
        file_bytes,
        index_bytes: index_bytes.unsigned_abs(),
        streams,
    })
}

fn fill((server, mqtt, _): (Server, SocketAddr, SocketAddr), parts: u64) -> Result<Vec<f64>> {
    let mut rates = Vec::new();
    for part in 1..=parts {
        let rate = publish(mqtt, PART)?.readings_per_second();
        eprintln!("part {part}: {rate:.0} readings/s");
        rates.push(rate);
    }
    server.stop()?;
    Ok(rates)
}

/// Has them come two days earlier, so that they are packed. Of the sum only the arrival changes, which no question is about.
#[expect(
    clippy::disallowed_methods,
    reason = "the gateway is stopped, and nothing is acknowledged"
)]
fn age(file: &Path) -> Result<()> {
    let store = Connection::open(file)?;
    store.execute_batch(
        "UPDATE reading SET delay = delay - 172800000; PRAGMA wal_checkpoint(TRUNCATE);",
    )?;
    Ok(())
}

/// Gives the seconds until no full block has rows any more, but for the newest ones.
fn wait_until_packed(store: &Connection) -> Result<f64> {
    let started = Instant::now();
    let left = "SELECT count(*) FROM reading_block WHERE packed < 2 AND number < (SELECT max(number) - 2 FROM reading_block)";
    loop {
        let left: i64 = store.query_row(left, [], |row| row.get(0))?;
        if left == 0 {
            return Ok(started.elapsed().as_secs_f64());
        }
        ensure!(started.elapsed() < PATIENCE, "{left} blocks are not packed");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Of the database, without pages that are free.
fn used_bytes(store: &Connection) -> Result<u64> {
    let bytes = "SELECT ((SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)) \
                 * (SELECT page_size FROM pragma_page_size)";
    let bytes: i64 = store.query_row(bytes, [], |row| row.get(0))?;
    Ok(bytes.unsigned_abs())
}

fn publish(mqtt: SocketAddr, readings: u64) -> Result<Outcome> {
    let shape = Shape {
        clients: 50,
        in_flight: 20,
        readings,
    };
    let (outcome, ()) = Load::prepare(mqtt, shape)?.run(|| Ok(()))?;
    ensure!(outcome.acked == readings, "not all were acked");
    Ok(outcome)
}

fn questions(store: &Connection) -> Result<Vec<Question>> {
    let ends = "SELECT min(ts), max(ts) + 1 FROM readings";
    let (from, to): (i64, i64) = store.query_row(ends, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (middle, late) = (from.midpoint(to), to - (to - from) / 24);
    let early = from + (to - from) / 10;
    let readings = |filter: &str| {
        format!(
            "SELECT count(value) FROM (SELECT * FROM readings WHERE {filter} ORDER BY id DESC LIMIT 1000)"
        )
    };
    let series = |from: i64, points: i64| Question {
        what: "",
        path: format!("/api/v1/series?sensor={SENSOR}&from={from}&to={to}&points={points}"),
        sql: Some(format!(
            "SELECT count(*) FROM (SELECT min(value), avg(value), max(value), count(*) FROM readings \
             WHERE sensor_id = '{SENSOR}' AND {from} <= ts AND ts < {to} \
             GROUP BY (ts - {from}) / {})",
            ((to - from) as u64).div_ceil(points as u64)
        )),
    };
    Ok(vec![
        Question {
            what: "newest 1,000 of a sensor",
            path: format!("/api/v1/readings?sensor={SENSOR}&limit=1000"),
            sql: Some(readings(&format!("sensor_id = '{SENSOR}'"))),
        },
        Question {
            what: "1,000 of a sensor, of the first tenth of the time",
            path: format!("/api/v1/readings?sensor={SENSOR}&to={early}&limit=1000"),
            sql: Some(readings(&format!(
                "sensor_id = '{SENSOR}' AND ts < {early}"
            ))),
        },
        Question {
            what: "1,000 of all sensors, up to the middle of the time",
            path: format!("/api/v1/readings?to={middle}&limit=1000"),
            sql: Some(readings(&format!("ts < {middle}"))),
        },
        Question {
            what: "of a sensor that has none in that time",
            path: format!("/api/v1/readings?sensor={SENSOR}&to={from}"),
            sql: Some(readings(&format!("sensor_id = '{SENSOR}' AND ts < {from}"))),
        },
        Question {
            what: "series of a sensor, all the time, 500 points",
            ..series(from, 500)
        },
        Question {
            what: "the same, 50 points",
            ..series(from, 50)
        },
        Question {
            what: "series of the last 24th of the time, 500 points",
            ..series(late, 500)
        },
    ])
}

fn ask(store: &Connection, http: SocketAddr, question: &Question) -> Result<Answered> {
    let mut answered = Answered {
        what: question.what,
        items: 0,
        api_ms: Vec::new(),
        sql_ms: Vec::new(),
    };
    for _ in 0..ASKED {
        let started = Instant::now();
        // A version without this call has no figures.
        let Ok(body) = get(http, &question.path) else {
            break;
        };
        answered.api_ms.push(milliseconds(started.elapsed()));
        let page: Value = serde_json::from_str(&body)?;
        answered.items = page["items"].as_array().context("no items")?.len();
    }
    if let Some(sql) = &question.sql {
        for _ in 0..ASKED_OF_SQL {
            let started = Instant::now();
            let rows: i64 = store.query_row(sql, [], |row| row.get(0))?;
            answered.sql_ms.push(milliseconds(started.elapsed()));
            let is_same = answered.api_ms.is_empty() || rows == answered.items as i64;
            // A page may end early where much has to be looked through.
            if !is_same {
                eprintln!("{}: {rows} in SQL", question.what);
            }
        }
    }
    eprintln!("{}", answered.row().trim());
    Ok(answered)
}

fn starts(program: &Path, folder: &Path, cloud: &str) -> Result<[Vec<f64>; 2]> {
    let mut starts = [Vec::new(), Vec::new()];
    // In the end it was stopped in order.
    let mut after = 1;
    for _ in 0..2 * STARTS {
        let started = Instant::now();
        let (mut server, mqtt, _) = gateway::start_without_rules(program, folder, cloud)?;
        starts[after].push(milliseconds(started.elapsed()));
        after = 1 - after;
        if after == 0 {
            publish(mqtt, BEFORE_KILL)?;
            server.kill()?;
        } else {
            server.stop()?;
        }
    }
    Ok(starts)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn middle(values: &[f64]) -> f64 {
    median(values.to_vec()).unwrap_or(f64::NAN)
}

impl Answered {
    fn row(&self) -> String {
        let figure = |values: &[f64]| {
            if values.is_empty() {
                "–".to_owned()
            } else {
                decimals::<2>(middle(values))
            }
        };
        let most = self.api_ms.iter().copied().reduce(f64::max);
        row_of([
            self.what.to_owned(),
            whole(self.items as f64),
            figure(&self.api_ms),
            most.map_or("–".to_owned(), decimals::<2>),
            figure(&self.sql_ms),
            figure(&[middle(&self.sql_ms) / middle(&self.api_ms)]),
        ])
    }
}

impl Report {
    pub(crate) fn render(&self) -> String {
        let questions: String = self.questions.iter().map(Answered::row).collect();
        let streams: String = self.streams.iter().map(Streamed::row).collect();
        let each = |bytes: u64| bytes as f64 / self.readings as f64;
        let packed: String = self.packed.questions.iter().map(Answered::row).collect();
        let (early, late) = self.rates.split_at(self.rates.len().div_ceil(10));
        let late = &late[late.len().saturating_sub(early.len())..];
        let [killed, stopped] = self.starts.each_ref().map(|starts| middle(starts));
        let newest = self.questions.first().map(|first| middle(&first.api_ms));
        let newest = newest.unwrap_or(f64::NAN);
        format!(
            "## History\n\n{} readings of 1,000 sensors, each with one attribute, are published with QoS 1 to a gateway without \
             rules, as fast as it takes them. Then it is asked by HTTP, each question {ASKED} times on a connection of its own, and \
             SQLite is asked for the same of the view, in this process ({ASKED_OF_SQL} times). The file is in the page \
             cache.\n\n\
             | question | items | API median, ms | max, ms | SQL on the view, ms | SQL / API |\n|---|---:|---:|---:|---:|---:|\n{questions}\n\
             Then they are made two days older and packed in the background, which takes {:.0} s ({} readings/s); SQL on the view \
             finds hardly any of them any more. **Packed: {:.1} bytes a reading.**\n\n\
             | question | items | API median, ms | max, ms | SQL on the view, ms | SQL / API |\n|---|---:|---:|---:|---:|---:|\n{packed}\n\
             Published at {} readings/s in the first tenth and {} in the last (medians of parts of a million).\n\n\
             All readings as a stream, each from a gateway that was just started; the slow reader takes {} MiB a \
             second and leaves after {} s.\n\n\
             | format | reader | readings/s | MiB | seconds | memory before, MiB | peak memory, MiB |\n|---|---|---:|---:|---:|---:|---:|\n{streams}\n\
             **Newest 1,000 of a sensor: {newest:.1} ms** (goal {GOAL_NEWEST_MS:.0}{}). **Start to listening: {stopped:.0} ms after \
             SIGTERM, {killed:.0} ms after SIGKILL** (goal {GOAL_START_MS:.0}{}; median of {STARTS} each; before a SIGKILL {} readings come). **File: {:.1} bytes a reading, of which the index is \
             {:.1}.**\n",
            whole(self.readings as f64),
            self.packed.seconds,
            whole(self.readings as f64 / self.packed.seconds),
            each(self.packed.bytes),
            whole(middle(early)),
            whole(middle(late)),
            stream::SLOW_MIB,
            stream::SLOW_FOR.as_secs(),
            crate::table::missed(newest <= GOAL_NEWEST_MS),
            crate::table::missed(stopped.max(killed) <= GOAL_START_MS),
            whole(BEFORE_KILL as f64),
            each(self.file_bytes),
            each(self.index_bytes),
        )
    }

    pub(crate) fn versions(&self) -> Vec<String> {
        vec![self.version.clone()]
    }
}
