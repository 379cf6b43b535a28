//! `edge-gateway rules test`: what rules would have made of the stored past. It touches nothing, and may run beside the
//! gateway.

mod report;

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;

use serde_json::json;

use super::progress::Progress;
use super::{EXIT_INTERNAL, EXIT_STORE, usage};
use crate::app;
use crate::clock;
use crate::config::{Config, Faults, listed, parse_duration};
use crate::domain::rule::RuleDefinition;
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;
use crate::ingest::replay::{Question, ReplayError, Replayed, replay};
use crate::rules::RuleSet;
use crate::store::{History, StoreError};

/// What is done with rules.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Replay the stored readings and tell what would have been raised; touches nothing
    Test(Test),
}

#[derive(Clone, Debug, clap::Args)]
struct Test {
    /// From how long ago on, such as `1h` or `7d`
    #[arg(long, default_value = "1d", value_parser = since)]
    since: Duration,
    /// A file with `[[rule]]` sections [default: the rules of the configuration]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Only the readings of this sensor
    #[arg(long, value_parser = |text: &str| SensorId::new(text))]
    sensor: Option<SensorId>,
    /// Beside the rules of the file, those of the configuration
    #[arg(long, requires = "rules")]
    diff: bool,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn since(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).filter(|time| !time.is_zero());
    time.ok_or_else(|| "expected a duration, such as 1h or 7d".to_owned())
}

/// Why there is no answer.
enum Failure {
    Usage(String),
    Store(StoreError),
    Internal(String),
}

pub(super) fn main(options: &Options, config: impl FnOnce() -> Result<Config, Faults>) -> ExitCode {
    let config = match config() {
        Ok(config) => config,
        Err(faults) => return usage(&app::explain(&faults)),
    };
    let Command::Test(test) = &options.command;
    match run(test, &config) {
        Ok(answer) => {
            // Whoever closed the output does not want to see it.
            io::stdout().write_all(answer.as_bytes()).ok();
            ExitCode::SUCCESS
        }
        Err(Failure::Usage(message)) => usage(&message),
        Err(Failure::Store(error)) => {
            eprintln!(
                "the store {} cannot be read: {error}",
                config.store.path.display()
            );
            ExitCode::from(EXIT_STORE)
        }
        Err(Failure::Internal(message)) => {
            eprintln!("{message}");
            ExitCode::from(EXIT_INTERNAL)
        }
    }
}

fn run(test: &Test, config: &Config) -> Result<String, Failure> {
    let now = clock::now();
    let since = Timestamp::from_millis(
        now.millis()
            - i64::try_from(test.since.as_millis())
                .unwrap_or(i64::MAX)
                .min(now.millis()),
    );
    let mut sets = Vec::new();
    match &test.rules {
        Some(path) => {
            if test.diff {
                sets.push(("old", compiled(&config.rules)?));
            }
            sets.push((
                if test.diff { "new" } else { "" },
                compiled(&read(path, config)?)?,
            ));
        }
        None => sets.push(("", compiled(&config.rules)?)),
    }
    let history = History::open(&config.store.path).map_err(Failure::Store)?;
    let question = Question {
        since,
        now,
        sensor: test.sensor.as_ref(),
    };
    let (names, sets): (Vec<_>, Vec<_>) = sets.into_iter().unzip();
    let mut progress = Progress::new();
    let replayed = replay(history, sets, &question, &mut |done, all| {
        progress.show("", done, all);
        ControlFlow::Continue(())
    });
    progress.end();
    let replayed = replayed.map_err(|error| match error {
        ReplayError::Store(error) => Failure::Store(error),
        other => Failure::Internal(other.to_string()),
    })?;
    Ok(match test.format {
        Format::Text => report::text(&names, &replayed, &question),
        Format::Json => in_json(&names, &replayed, &question),
    })
}

fn in_json(names: &[&str], replayed: &Replayed, question: &Question<'_>) -> String {
    let sets = names.iter().zip(replayed.answers(question));
    let sets = sets.map(|(name, rules)| json!({ "name": name, "rules": rules }));
    let whole = json!({
        "from": question.since.millis(),
        "to": question.now.millis(),
        "readings": replayed.readings,
        "sets": sets.collect::<Vec<_>>(),
    });
    format!("{whole}\n")
}

fn compiled(rules: &[RuleDefinition]) -> Result<RuleSet, Failure> {
    RuleSet::compile(rules).map_err(|faults| Failure::Usage(listed(&faults)))
}

fn read(path: &Path, config: &Config) -> Result<Vec<RuleDefinition>, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Failure::Usage(format!("{name}: cannot be read: {error}")))?;
    let rules = config.rule_source.parse(&text, &name.into());
    rules.map_err(|faults| Failure::Usage(listed(&RuleSet::faults_of(&faults))))
}
