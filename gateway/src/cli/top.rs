//! `edge-gateway top`: the gateway at a glance, live, in a terminal. It asks the running gateway.
//!
//! `look` asks, on a thread of its own, so that keys are never waited for; `memory` keeps what two looks tell together;
//! `picture` is what is shown, `keys` what somebody wants to see, `draw` puts both on the screen.

mod draw;
mod keys;
mod look;
mod memory;
mod picture;
mod words;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use self::keys::{View, Wish};
use self::look::{Order, Report};
use self::memory::Memory;
use self::picture::Picture;
use super::ask::{Door, Token};
use super::stoppable::{Stop, stoppable};
use super::{EXIT_INTERNAL, usage};
use crate::config::{self, Config, Faults};

/// So long a key is waited for before what else happens is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// What is shown changes at least so often: how long the gateway is gone.
const REDRAW: Duration = Duration::from_secs(1);

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3600);

/// How it is shown.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// From one look to the next
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = pace)]
    interval: Duration,
    #[command(flatten)]
    token: Token,
}

fn pace(text: &str) -> Result<Duration, String> {
    config::parse_duration(text)
        .filter(|duration| (SHORTEST..=LONGEST).contains(duration))
        .ok_or_else(|| "expected 100ms up to 1h, such as 1s".to_owned())
}

pub(super) fn main(options: &Options, config: impl FnOnce() -> Result<Config, Faults>) -> ExitCode {
    if !io::stdout().is_terminal() {
        return usage("top needs a terminal to draw on: `edge-gateway tail` prints lines");
    }
    let config = match config() {
        Ok(config) => config,
        Err(faults) => return usage(&faults.to_string()),
    };
    let door = match Door::find(&config, &options.token) {
        Ok(door) => door,
        Err(refusal) => return refusal.told(),
    };
    // A gateway that is away may come back; one that does not let in, or is none, is told of before the screen is taken.
    if let Err(lasting) = look::try_out(&door) {
        eprintln!("{lasting}");
        return ExitCode::FAILURE;
    }
    let interval = options.interval;
    stoppable(move |stop| {
        let shown = show(door, interval, stop);
        if let Err(error) = shown {
            eprintln!("top cannot go on: {error}");
            return ExitCode::from(EXIT_INTERNAL);
        }
        ExitCode::SUCCESS
    })
}

/// Takes the screen and gives it back, also after a panic.
fn show(door: Door, interval: Duration, stop: &Stop) -> io::Result<()> {
    let (tell, reports) = sync_channel(1);
    let (order, orders) = sync_channel(1);
    thread::Builder::new()
        .name("look".to_owned())
        .spawn(move || look::go_on(&door, interval, &tell, &orders))?;
    let mut terminal = ratatui::try_init()?;
    let screen = Screen {
        memory: Memory::default(),
        picture: Picture::default(),
        view: View::default(),
        reports,
        order,
    };
    let shown = screen.run(&mut terminal, stop);
    ratatui::restore();
    shown
}

/// What is on it, and who brings the news.
struct Screen {
    memory: Memory,
    picture: Picture,
    view: View,
    reports: Receiver<Report>,
    order: SyncSender<Order>,
}

impl Screen {
    fn run(mut self, terminal: &mut DefaultTerminal, stop: &Stop) -> io::Result<()> {
        let mut drawn: Option<Instant> = None;
        while !stop.within(Duration::ZERO) {
            let mut is_stale = drawn.is_none_or(|drawn| REDRAW <= drawn.elapsed());
            is_stale |= self.take_in()?;
            if is_stale {
                drawn = Some(Instant::now());
                self.picture.gone_for = self.memory.gone_for(Instant::now());
                terminal.draw(|frame| draw::all(frame, &self.picture, &mut self.view))?;
            }
            if !event::poll(PAUSE)? {
                continue;
            }
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    match self.view.press(key, &self.picture) {
                        Wish::Quit => break,
                        Wish::Acknowledge(id) => self.acknowledge(id),
                        Wish::Nothing => {}
                    }
                    drawn = None;
                }
                Event::Resize(..) => drawn = None,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether there was news.
    fn take_in(&mut self) -> io::Result<bool> {
        match self.reports.try_recv() {
            Ok(Report::Look(look)) => {
                self.memory.take(look.map(|look| *look), Instant::now());
                self.picture = self.memory.picture();
                self.view.keep_up(&self.picture);
            }
            Ok(Report::Done(words)) => self.view.note = Some(words),
            Err(TryRecvError::Empty) => return Ok(false),
            Err(TryRecvError::Disconnected) => {
                return Err(io::Error::other("nobody looks any more"));
            }
        }
        Ok(true)
    }

    fn acknowledge(&mut self, id: i64) {
        let sent = self.order.try_send(Order::Acknowledge(id));
        self.view.note = Some(match sent {
            Ok(()) => format!("acknowledging alert {id}"),
            Err(_) => "the gateway is still at the last one: try again in a moment".to_owned(),
        });
    }
}
