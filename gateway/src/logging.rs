//! Log lines on stderr: text for people, JSON for machines. What is logged can be changed while the gateway runs, also for a
//! while only.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

/// A filter is no longer than this, in bytes.
const MAX_FILTER: usize = 1024;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// What is logged: in the syntax of `RUST_LOG`.
#[derive(Debug)]
pub struct LogFilter {
    handle: reload::Handle<Targets, Registry>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Until somebody changes it, or the gateway starts again.
    lasting: String,
    for_a_while: Option<ForAWhile>,
}

#[derive(Clone, Debug)]
struct ForAWhile {
    filter: String,
    until: Instant,
}

/// The filter of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    pub filter: String,
    /// If it is for a while only: the filter that comes after it, and when.
    pub then: Option<(String, Duration)>,
}

/// Why a filter is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    #[error("the filter is empty: `info` is what there is by default, `off` is silence")]
    Empty,
    #[error("the filter is longer than {MAX_FILTER} bytes")]
    TooLong,
    #[error(
        "{0:?} is no directive: expected a level (error, warn, info, debug, trace, off) or `target=level`"
    )]
    Directive(String),
    #[error("{0}")]
    Other(String),
}

/// Starts logging. `level` is a filter such as `info` or `edge_gateway=debug`; without it `RUST_LOG` counts, else
/// `info`. After a second call in one process everything is logged as before, and the filter it gives changes nothing.
pub fn start(format: LogFormat, level: Option<&str>) -> Result<LogFilter, String> {
    let (filter, text) = match (level, std::env::var_os("RUST_LOG")) {
        (Some(level), _) => (
            parse(level).map_err(|error| error.to_string())?,
            level.into(),
        ),
        (None, Some(text)) if !text.is_empty() => {
            let text = text.to_string_lossy().into_owned();
            let filter = parse(&text).map_err(|error| format!("RUST_LOG: {error}"))?;
            (filter, text)
        }
        _ => (
            Targets::new().with_default(LevelFilter::INFO),
            "info".to_owned(),
        ),
    };
    let (layer, filter) = LogFilter::new(filter, text);
    let registry = tracing_subscriber::registry().with(layer);
    let lines = fmt::layer().with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => {
            let lines = lines.with_target(false);
            registry
                .with(lines.with_ansi(io::stderr().is_terminal()))
                .try_init()
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    drop(started);
    Ok(filter)
}

impl LogFilter {
    fn new(filter: Targets, text: String) -> (reload::Layer<Targets, Registry>, Self) {
        let (layer, handle) = reload::Layer::new(filter);
        let state = State {
            lasting: text,
            for_a_while: None,
        };
        let filter = Self {
            handle,
            state: Mutex::new(state),
            changed: Notify::new(),
        };
        (layer, filter)
    }

    /// What is logged now.
    pub fn current(&self) -> Current {
        let state = self.lock();
        match &state.for_a_while {
            None => Current {
                filter: state.lasting.clone(),
                then: None,
            },
            Some(ForAWhile { filter, until }) => Current {
                filter: filter.clone(),
                then: Some((state.lasting.clone(), *until - Instant::now())),
            },
        }
    }

    /// Logs by another filter, either from now on or for a while, after which the last one comes back that was not for a while.
    pub fn set(&self, text: &str, time: Option<Duration>) -> Result<(), BadFilter> {
        let filter = parse(text)?;
        let mut state = self.lock();
        self.switch(filter, text, time)?;
        match time {
            None => {
                text.clone_into(&mut state.lasting);
                state.for_a_while = None;
            }
            Some(time) => {
                state.for_a_while = Some(ForAWhile {
                    filter: text.to_owned(),
                    until: Instant::now() + time,
                });
            }
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Ends what is for a while when its time is over; until `stop`.
    pub async fn watch(&self, stop: CancellationToken) {
        loop {
            let until = self.lock().for_a_while.as_ref().map(|state| state.until);
            let over = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = over => self.go_back(),
            }
        }
    }

    fn go_back(&self) {
        let mut state = self.lock();
        let is_over = |state: &ForAWhile| state.until <= Instant::now();
        if state.for_a_while.take_if(|state| is_over(state)).is_some() {
            let filter = parse(&state.lasting);
            let switched = filter.and_then(|filter| self.switch(filter, &state.lasting, None));
            if let Err(error) = switched {
                tracing::error!(%error, "the log filter stays as it is");
            }
        }
    }

    /// Says so by that filter of the two that lets it through.
    fn switch(&self, filter: Targets, text: &str, time: Option<Duration>) -> Result<(), BadFilter> {
        let seconds = time.map(|time| time.as_secs_f64());
        let say = || tracing::info!(filter = text, seconds, "the log filter changes");
        let is_heard = tracing::enabled!(tracing::Level::INFO);
        if is_heard {
            say();
        }
        self.handle
            .reload(filter)
            .map_err(|error| BadFilter::other(&error))?;
        if !is_heard {
            say();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for LogFilter {
    /// By which nobody logs.
    fn default() -> Self {
        Self::new(
            Targets::new().with_default(LevelFilter::INFO),
            "info".to_owned(),
        )
        .1
    }
}

impl BadFilter {
    fn other(error: &impl ToString) -> Self {
        Self::Other(error.to_string())
    }
}

fn parse(text: &str) -> Result<Targets, BadFilter> {
    if MAX_FILTER < text.len() {
        return Err(BadFilter::TooLong);
    }
    // A comma too many is no fault.
    let directives = text.split(',').map(str::trim);
    let directives: Vec<&str> = directives.filter(|part| !part.is_empty()).collect();
    if directives.is_empty() {
        return Err(BadFilter::Empty);
    }
    let is_bad = |part: &&&str| part.parse::<Targets>().is_err();
    if let Some(bad) = directives.iter().find(is_bad) {
        return Err(BadFilter::Directive((*bad).to_owned()));
    }
    let parsed = directives.join(",").parse();
    parsed.map_err(|error: ParseError| BadFilter::Directive(error.to_string()))
}

#[cfg(test)]
mod tests;
