//! Bytes that the gateway has written for each reading, by rate and `group_commit`: what a card wears by.

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    gateway,
    options::{Only, Options},
    process,
    sink::Sink,
    steady::Steady,
    table::{row_of, whole},
};

const RATES: [u64; 4] = [10, 100, 1_000, 10_000];
const WAITS: [&str; 3] = ["0ms", "100ms", "1s"];
const SECONDS: u64 = 20;

/// What is done with the readings beside storing them, and what the configuration says to that.
const LOADS: [(&str, &str); 2] = [
    ("nothing", "rule = []\n"),
    ("half forwarded, a quarter alerts", ""),
];

/// Goals at 1,000 a second, by `group_commit`, with nothing beside.
const GOALS: [(&str, f64); 2] = [("100ms", 300.0), ("1s", 120.0)];

/// A card of this size that stands so many full writes, and writes so much more than it is told to.
const CARD_GB: f64 = 32.0;
const FULL_WRITES: f64 = 1_000.0;
const AMPLIFICATION: f64 = 4.0;
const SECONDS_OF_A_YEAR: f64 = 365.25 * 86_400.0;

pub(crate) struct Report {
    version: String,
    measured: Vec<Measured>,
}

struct Measured {
    load: &'static str,
    wait: &'static str,
    rate: u64,
    readings: usize,
    /// As the kernel counts what the process sent to the disk, from its start to its end.
    bytes: u64,
    /// The same as the disk counts it, with all else that was written to it meanwhile.
    device_bytes: Option<u64>,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    ensure!(
        options.only.is_none_or(|only| only == Only::Gateway),
        "only the gateway is measured"
    );
    let sink = Sink::start()?;
    let mut measured = Vec::new();
    let cases = LOADS.iter().flat_map(|load| WAITS.map(|wait| (load, wait)));
    for (load, wait) in cases {
        let idle = written(options, &sink, load, wait, 0)?.bytes;
        for rate in RATES {
            let mut one = written(options, &sink, load, wait, rate)?;
            one.bytes = one.bytes.saturating_sub(idle);
            eprintln!("{}", one.row().trim());
            measured.push(one);
        }
    }
    let subjects = crate::subject::find_that_store(options)?;
    Ok(Report {
        version: subjects.first().context("no gateway")?.version()?,
        measured,
    })
}

/// From start to end, with the last copy of the log into the database.
fn written(
    options: &Options,
    sink: &Sink,
    (load, head): &(&'static str, &str),
    wait: &'static str,
    rate: u64,
) -> Result<Measured> {
    let program = gateway::find()?;
    let folder = TempDir::with_prefix_in("bench-", &options.folder)
        .context("cannot make a temporary folder")?;
    let before = (own_bytes()?, device_bytes(&options.folder));
    let (server, mqtt) = gateway::start_waiting(&program, folder.path(), &sink.url(), wait, head)?;
    let mut readings = 0;
    if 0 < rate {
        let load = Steady::start(mqtt, rate, SECONDS + 1)?;
        thread::sleep(Duration::from_secs(SECONDS));
        (readings, _) = load.stop()?;
    }
    server.stop()?;
    // What a child wrote is its parent's once it has been waited for.
    let device = device_bytes(&options.folder).zip(before.1);
    Ok(Measured {
        load,
        wait,
        rate,
        readings,
        bytes: own_bytes()? - before.0,
        device_bytes: device.map(|(after, before)| after - before),
    })
}

fn own_bytes() -> Result<u64> {
    process::written_bytes(std::process::id())
}

/// Sectors of 512 bytes that were written to the disk of a folder (the kernel's Documentation/admin-guide/iostats.rst).
fn device_bytes(folder: &std::path::Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let device = fs::metadata(folder).ok()?.dev();
    // As glibc's gnu_dev_major and gnu_dev_minor take it apart.
    let major = (device >> 8 & 0xfff) | (device >> 32 & !0xfff);
    let minor = (device & 0xff) | (device >> 12 & !0xff);
    let found = fs::read_to_string("/proc/diskstats").ok()?;
    found.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let is_it = fields.next()?.parse() == Ok(major) && fields.next()?.parse() == Ok(minor);
        let sectors: u64 = fields.nth(7)?.parse().ok()?;
        is_it.then_some(sectors * 512)
    })
}

impl Measured {
    fn each(&self, bytes: u64) -> f64 {
        bytes as f64 / self.readings as f64
    }

    fn years(&self) -> f64 {
        let a_second = self.each(self.bytes) * self.rate as f64 * AMPLIFICATION;
        CARD_GB * 1e9 * FULL_WRITES / a_second / SECONDS_OF_A_YEAR
    }

    fn row(&self) -> String {
        let device = self.device_bytes.map(|bytes| self.each(bytes));
        row_of([
            self.load.to_owned(),
            self.wait.to_owned(),
            whole(self.rate as f64),
            whole(self.each(self.bytes)),
            device.map_or("–".to_owned(), whole),
            match self.years() {
                years if years < 10.0 => crate::table::decimals::<1>(years),
                years => whole(years),
            },
        ])
    }
}

impl Report {
    pub(crate) fn render(&self) -> String {
        let rows: String = self.measured.iter().map(Measured::row).collect();
        let goals = GOALS.map(|(wait, goal)| {
            let found = self
                .measured
                .iter()
                .find(|one| one.load == LOADS[0].0 && one.wait == wait && one.rate == 1_000)
                .map_or(f64::NAN, |one| one.each(one.bytes));
            format!(
                "{} bytes at {wait} (goal {goal:.0}{})",
                whole(found),
                crate::table::missed(found <= goal)
            )
        });
        let about = format!(
            "Ten clients publish for {SECONDS} s at QoS 1, readings with an attribute each. Bytes are what the kernel counts for the gateway \
             (`write_bytes` of /proc/PID/io), from its start to its end with the last checkpoint, less those of a run without \
             readings. The disk's own counter has the file system's journal in it, and whatever else ran. Years: of a card of \
             {CARD_GB:.0} GB that stands {FULL_WRITES:.0} full writes and writes {AMPLIFICATION:.0} times what it is told to; \
             both figures are guesses that the card's maker may better."
        );
        format!(
            "## Wear\n\n{about}\n\n| beside storing | `group_commit` | readings/s | bytes written a reading | the same, all that went to the disk | years of a card |\n\
             |---|---|---:|---:|---:|---:|\n{rows}\n**At 1,000 a second with nothing beside storing: {}.**\n",
            goals.join(", ")
        )
    }

    pub(crate) fn versions(&self) -> Vec<String> {
        vec![self.version.clone()]
    }
}
