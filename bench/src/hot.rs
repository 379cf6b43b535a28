//! The hot path's parts, each alone and on fixed input, for who counts instructions (`bench/instructions.sh`).

use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use clap::{Args, ValueEnum, value_parser};
use edge_gateway::config::PayloadFormat;
use edge_gateway::domain::reading::{Reading, ReadingId};
use edge_gateway::domain::timestamp::Timestamp;
use edge_gateway::domain::topic::TopicName;
use edge_gateway::domain::uplink::UplinkSet;
use edge_gateway::ingest::decode::{Origin, decode};
use edge_gateway::rules::{Arrival, Engine};
use edge_gateway::store::{Group, Writer};

use crate::evaluations::{apart, compile};
use crate::frames::push_reading;

/// Readings of each time.
const READINGS: u64 = 1_000;
const START: i64 = 1_764_000_000_000;

/// Does a part of the gateway's work so many times, each for 1,000 readings.
#[derive(Debug, Args)]
pub(crate) struct Options {
    part: Part,
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u64).range(1..))]
    times: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    /// From payload to reading
    Decode,
    /// The rules of a new installation
    Rules,
    /// A group of 1,000 readings, a quarter of them with tags and half of them for an uplink
    Store,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let topic = TopicName::new("sensors/s1").map_err(|error| anyhow!("{error}"))?;
    let mut payloads = vec![String::new(); READINGS.try_into()?];
    for (seq, payload) in (0..).zip(&mut payloads) {
        push_reading(seq, payload)?;
    }
    let origin = Origin {
        topic: Some(&topic),
        now: Timestamp::from_millis(START),
    };
    let decoded = || {
        payloads
            .iter()
            .flat_map(|payload| decode(PayloadFormat::Auto, payload.as_bytes(), origin).readings)
    };
    let readings: Vec<Reading> = decoded().collect();
    match options.part {
        Part::Decode => {
            for _ in 1..options.times {
                ensure!(decoded().count() == readings.len(), "not all could be read");
            }
        }
        Part::Rules => apart(|| rules(&readings, options.times))?,
        Part::Store => store(&readings, options.times)?,
    }
    Ok(())
}

fn rules(readings: &[Reading], times: u64) -> Result<()> {
    let mut engine = Engine::new(Arc::new(compile(&[])?));
    let (mut last_alert, mut last_reading) = (0, 0);
    for time in 0..times {
        for reading in readings {
            last_reading += 1;
            let arrival = Arrival {
                reading,
                id: ReadingId(last_reading),
                now: i64::try_from(time)?,
            };
            engine.take_reading(arrival, &mut || {
                last_alert += 1;
                last_alert
            });
        }
    }
    ensure!(
        0 < last_alert,
        "no rule saw anything in {last_reading} readings"
    );
    Ok(())
}

fn store(readings: &[Reading], times: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut writer = Writer::open(&folder.path().join("gateway.db"))?;
    for _ in 0..times {
        let mut group = Group::default();
        for reading in readings {
            let tags = (75.0 < reading.value).then(|| r#"["high"]"#.into());
            let forward = if 50.0 < reading.value {
                UplinkSet::one(0)
            } else {
                UplinkSet::NONE
            };
            let added = writer.add_reading(&mut group, reading.clone(), tags, forward);
            added.map_err(|reading| anyhow!("no room for {}", reading.sensor_id))?;
        }
        writer.commit(&group)?;
    }
    ensure!(
        writer.next_reading_id() == ReadingId(1 + i64::try_from(times * READINGS)?),
        "not all was stored"
    );
    Ok(())
}
