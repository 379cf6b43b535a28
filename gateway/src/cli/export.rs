//! `edge-gateway export`: stored readings as CSV or NDJSON, oldest first, beside a gateway that runs or without one.

#[cfg(feature = "export-parquet")]
mod parquet;

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use clap::ValueEnum;

use super::progress::Progress;
use super::{EXIT_INTERNAL, EXIT_STORE, usage};
use crate::clock;
use crate::config::{Config, Faults, parse_duration};
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;
use crate::http;
use crate::ingest::decode::parse_timestamp;
use crate::store::care::CareError;
use crate::store::{Extract, StoreError, care};

/// Which readings, and how they are written.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// Only the readings of this sensor
    #[arg(long, value_parser = |text: &str| SensorId::new(text))]
    sensor: Option<SensorId>,
    /// From this time on: RFC 3339, milliseconds since 1970, or how long ago, such as `2h`
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
    /// Before this time, written in the same way
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Timestamp>,
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
    #[cfg(feature = "export-parquet")]
    Parquet,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let ago = || {
        let ago = i64::try_from(parse_duration(text)?.as_millis()).ok()?;
        Some(Timestamp::from_millis(
            clock::now().millis().saturating_sub(ago),
        ))
    };
    parse_timestamp(text).or_else(ago).ok_or_else(|| {
        "expected RFC 3339 such as 2026-01-31T12:00:00Z, milliseconds since 1970, or how long ago such as 2h".to_owned()
    })
}

/// Why it ended before its end.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Care(#[from] CareError),
    #[error("a reading cannot be written: {0}")]
    Format(#[from] serde_json::Error),
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    #[cfg(feature = "export-parquet")]
    #[error("the output cannot be written: {0}")]
    Parquet(::parquet::errors::ParquetError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Care(error.into())
    }
}

pub(super) fn main(options: Options, config: impl FnOnce() -> Result<Config, Faults>) -> ExitCode {
    let config = match config() {
        Ok(config) => config,
        Err(faults) => return usage(&faults.to_string()),
    };
    let mut progress = Progress::new();
    let ended = run(options, &config, &mut progress);
    progress.end();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever closed the output has seen enough.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(match failure {
                Failure::Care(_) => EXIT_STORE,
                _ => EXIT_INTERNAL,
            })
        }
    }
}

fn run(options: Options, config: &Config, progress: &mut Progress) -> Result<(), Failure> {
    let history = care::open_history(&config.store.path)?;
    let extract = Extract::new(history, options.sensor, options.from, options.to)?;
    match options.format {
        Format::Csv => rows(extract, http::ReadingFormat::Csv, progress),
        Format::Ndjson => rows(extract, http::ReadingFormat::Ndjson, progress),
        #[cfg(feature = "export-parquet")]
        Format::Parquet => parquet::write(extract, io::stdout(), progress),
    }
}

fn rows(
    mut extract: Extract,
    format: http::ReadingFormat,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let mut text = format.head().to_vec();
    while let Some(page) = extract.next_page()? {
        for reading in &page {
            format.write(&mut text, reading)?;
        }
        out.write_all(&text)?;
        text.clear();
        let (done, all) = extract.progress();
        progress.show("", done, all);
    }
    out.write_all(&text)?;
    Ok(out.flush()?)
}
