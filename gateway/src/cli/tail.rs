//! `edge-gateway tail`: readings and alerts as they come, a line each. It asks the running gateway, again and again, and goes
//! on when that was away. It never leaves one out without saying so.

mod follow;
mod line;
mod source;
mod wanted;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;

use self::follow::{Item, Tail};
use self::line::{Lines, Look};
use self::source::Api;
use self::wanted::Wanted;
use super::ask::{Door, Token, Trouble};
use super::stoppable::{Stop, stoppable};
use super::{EXIT_INTERNAL, usage};
use crate::config::{Config, Faults};

/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(250);

/// What is shown, and how.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// Sensors, as a topic filter over their ids: `boiler/+`, `hall/#`, `s1` [default: all]
    filter: Option<String>,
    /// Show so many of the past first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=10_000))]
    lines: u32,
    /// One JSON object a line, {"reading":{…}} or {"alert":{…}}, as the API has them
    #[arg(long)]
    json: bool,
    /// Alerts only
    #[arg(long, conflicts_with = "readings")]
    alerts: bool,
    /// Readings only
    #[arg(long)]
    readings: bool,
    /// Colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value = "auto")]
    color: Color,
    #[command(flatten)]
    token: Token,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    fn is_on(self) -> bool {
        let is_refused = || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        match self {
            Self::Auto => io::stdout().is_terminal() && !is_refused(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

pub(super) fn main(options: Options, config: impl FnOnce() -> Result<Config, Faults>) -> ExitCode {
    let wanted = Wanted::new(
        options.filter.as_deref(),
        !options.alerts,
        !options.readings,
    );
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(fault) => return usage(&fault),
    };
    let config = match config() {
        Ok(config) => config,
        Err(faults) => return usage(&faults.to_string()),
    };
    let door = match Door::find(&config, &options.token) {
        Ok(door) => door,
        Err(refusal) => return refusal.told(),
    };
    stoppable(move |stop| {
        let ended = follow(&options, wanted, door, stop);
        ended.unwrap_or_else(|end| end.code())
    })
}

/// Why it goes on no more.
#[derive(Debug)]
enum End {
    Trouble(Trouble),
    Output(io::Error),
}

impl End {
    /// Says it, and with which exit code. Who closed the output has seen enough.
    fn code(self) -> ExitCode {
        match self {
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Output(error) => {
                say(&format!("cannot write: {error}"));
                ExitCode::from(EXIT_INTERNAL)
            }
            Self::Trouble(trouble) => {
                say(trouble.words());
                ExitCode::FAILURE
            }
        }
    }
}

fn follow(options: &Options, wanted: Wanted, door: Door, stop: &Stop) -> Result<ExitCode, End> {
    let look = match options.json {
        true => Look::Json,
        false => Look::Text {
            is_colored: options.color.is_on(),
        },
    };
    let lines = Lines::new(look);
    let mut source = Api::new(door);
    let count = options.lines as usize;
    let begun = Tail::begin(&mut source, wanted, count);
    let (mut tail, past) = begun.map_err(End::Trouble)?;
    if past.is_cut {
        say("the readings looked through have no more of these: older ones are not shown");
    }
    print(&lines, &past.items)?;
    let mut is_away = false;
    while !stop.within(PAUSE) {
        match tail.look(&mut source) {
            Ok(news) => {
                if is_away {
                    is_away = false;
                    say("the gateway answers again");
                }
                news.remarks.iter().for_each(|remark| say(remark));
                print(&lines, &news.items)?;
            }
            Err(Trouble::Passing(why)) if !is_away => {
                is_away = true;
                say(&format!("{why}; waiting for it"));
            }
            Err(Trouble::Passing(_)) => {}
            Err(lasting) => return Err(End::Trouble(lasting)),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(lines: &Lines, items: &[Item]) -> Result<(), End> {
    let mut text = String::new();
    for item in items {
        lines.write(&mut text, item);
    }
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(End::Output)
}

/// Tells somebody who may have closed the error output as well.
fn say(words: &str) {
    writeln!(io::stderr(), "{words}").ok();
}
