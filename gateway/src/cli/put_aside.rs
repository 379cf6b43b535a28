//! `edge-gateway dead-letters` and `edge-gateway rejects`: lists what a receiver refused for good, or what could not be read, has
//! it tried again, or gives it up. It asks the running gateway.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use super::ask::{Answer, Door, Token};
use super::usage;
use crate::config::{Config, Faults};

/// Why they were put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    DeadLetters,
    Rejects,
}

impl Kind {
    const fn path(self) -> &'static str {
        match self {
            Self::DeadLetters => "dead-letters",
            Self::Rejects => "rejects",
        }
    }

    /// One of them.
    const fn name(self) -> &'static str {
        match self {
            Self::DeadLetters => "dead letter",
            Self::Rejects => "reject",
        }
    }

    const fn retried(self) -> &'static str {
        match self {
            Self::DeadLetters => "to be sent again",
            Self::Rejects => "read",
        }
    }

    /// What is listed of one, as JSON pointers.
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::DeadLetters => &[
                "/id",
                "/uplink",
                "/status",
                "/tries",
                "/at",
                "/reading/sensor_id",
                "/reading/value",
                "/answer",
            ],
            Self::Rejects => &["/id", "/received_at", "/topic", "/reason", "/payload"],
        }
    }
}

/// So many are asked for at once.
const PAGE: usize = 1000;

/// What is done with which of them.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    token: Token,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// List them, oldest first. Dead letters: id, uplink, status, tries, time, sensor, value, answer. Rejects: id, time, topic,
    /// reason, payload
    List,
    /// Have dead letters sent, and rejects read, once more
    Retry(Which),
    /// Give them up
    Drop(Which),
}

#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Their ids, as `list` shows them
    ids: Vec<i64>,
    /// All there are
    #[arg(long)]
    all: bool,
}

pub(super) fn main(
    kind: Kind,
    options: &Options,
    config: impl FnOnce() -> Result<Config, Faults>,
) -> ExitCode {
    let config = match config() {
        Ok(config) => config,
        Err(faults) => return usage(&faults.to_string()),
    };
    let door = match Door::find(&config, &options.token) {
        Ok(door) => door,
        Err(refusal) => return refusal.told(),
    };
    let done = match &options.command {
        Command::List => list(kind, &door),
        Command::Retry(which) => each(kind, &door, which, ("POST", "/retry"), kind.retried()),
        Command::Drop(which) => each(kind, &door, which, ("DELETE", ""), "given up"),
    };
    match done {
        Ok(answer) => {
            // Whoever closed the output does not want to see it.
            io::stdout().write_all(answer.as_bytes()).ok();
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn list(kind: Kind, door: &Door) -> Result<String, String> {
    let mut text = String::new();
    for item in items(kind, door)? {
        let field = |pointer: &&str| match item.pointer(pointer) {
            Some(Value::String(text)) => text.escape_default().to_string(),
            Some(Value::Null) | None => "-".to_owned(),
            Some(other) => other.to_string(),
        };
        let fields: Vec<String> = kind.columns().iter().map(field).collect();
        writeln!(text, "{}", fields.join("\t")).map_err(|error| error.to_string())?;
    }
    Ok(text)
}

fn each(
    kind: Kind,
    door: &Door,
    which: &Which,
    (method, suffix): (&str, &str),
    done: &str,
) -> Result<String, String> {
    let ids = if which.all {
        let all = items(kind, door)?;
        all.iter().filter_map(|item| item["id"].as_i64()).collect()
    } else {
        which.ids.clone()
    };
    let (asked, mut count) = (ids.len(), 0);
    let (path, name) = (kind.path(), kind.name());
    // What goes wrong, and for which of them; the others are not held up by it.
    let mut faults: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for id in ids {
        let start = format!("{method} /api/v1/{path}/{id}{suffix}");
        let answer = answer(door, &start)?;
        let fault = match answer.status {
            // Somebody else was quicker.
            404 if which.all => continue,
            404 => Err(format!("there is no {name} {id}")),
            _ => expect(door, &answer),
        };
        match fault {
            Ok(()) => count += 1,
            Err(fault) => faults.entry(fault).or_default().push(id),
        }
    }
    if faults.is_empty() {
        return Ok(format!("{count} {done}\n"));
    }
    let mut lines: Vec<String> = faults
        .into_iter()
        .map(|(fault, ids)| line(name, fault, &ids))
        .collect();
    if 1 < asked {
        lines.push(format!("{count} of {asked} {done}"));
    }
    Err(lines.join("\n"))
}

fn line(name: &str, fault: String, ids: &[i64]) -> String {
    match ids {
        [_] => fault,
        [first, more @ ..] => format!("{fault} ({name} {first} and {} more)", more.len()),
        [] => String::new(),
    }
}

fn items(kind: Kind, door: &Door) -> Result<Vec<Value>, String> {
    let path = kind.path();
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let start = format!("GET /api/v1/{path}?limit={PAGE}{after}");
        let answer = answer(door, &start)?;
        expect(door, &answer)?;
        let page: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        all.extend(page["items"].as_array().into_iter().flatten().cloned());
        match page["next"].as_i64() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(all),
        }
    }
}

fn answer(door: &Door, start: &str) -> Result<Answer, String> {
    door.ask(start).map_err(|error| door.silent(&error))
}

fn expect(door: &Door, answer: &Answer) -> Result<(), String> {
    match answer.status {
        200 => Ok(()),
        _ => Err(door.refused(answer)),
    }
}
