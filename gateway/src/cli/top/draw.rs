//! Puts the picture on the screen, whatever its size.

mod tables;

use std::mem;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::keys::{Mode, View};
use super::picture::{Picture, Words};
use super::words::span;
use crate::cli::visible::visible;

/// More uplinks than these are counted only.
const MAX_UPLINKS: usize = 4;

const HELP: &str = "\
up down, j k, PgUp PgDn, Home End   move
Tab      to the alerts and back
/        filter sensors: a part of the id, or hall/+
Esc      no filter
n v c r  sort by name, value, count, rate
t s      sort by age (last seen), by state
         the same key again turns it around
a        acknowledge the chosen alert; asks
?        this help
q        quit";

const KEYS: &str = "?:help  q:quit  /:filter  n v c r t s:sort  Tab:alerts  a:acknowledge";

pub(super) fn all(frame: &mut Frame<'_>, picture: &Picture, view: &mut View) {
    let area = frame.area();
    let mut head = head(picture, usize::from(area.width));
    head.truncate(usize::from(area.height / 2).max(1));
    // A third for the alerts, at most.
    let alerts = (picture.alerts.len().max(1) + 1).min(usize::from(area.height / 3).max(2));
    let [top, sensors, bottom, foot] = Layout::vertical([
        Constraint::Length(head.len() as u16),
        Constraint::Min(0),
        Constraint::Length(alerts as u16),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(head), top);
    tables::sensors(frame, sensors, picture, view);
    tables::alerts(frame, bottom, picture, view);
    frame.render_widget(footer(view), foot);
    if view.mode == Mode::Help {
        help(frame, area);
    }
}

fn head(picture: &Picture, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(trouble) = &picture.trouble {
        let gone = span(picture.gone_for.unwrap_or_default().floor());
        lines.push(Line::from(format!("GONE for {gone}: {trouble}")).style(bad()));
    } else if picture.head.is_empty() {
        lines.push(Line::from("looking at the gateway"));
    }
    for (at, parts) in picture.head.iter().enumerate() {
        let parts = parts.iter().map(|part| Span::raw(part.clone()));
        let flowing = flow(parts, width);
        lines.extend(flowing.map(|line| if at == 0 { line.bold() } else { line }));
    }
    let (first, more) = picture
        .uplinks
        .split_at(picture.uplinks.len().min(MAX_UPLINKS));
    lines.extend(
        first
            .iter()
            .map(|words| Line::from(said(words, Style::new()))),
    );
    if !more.is_empty() {
        lines.push(Line::from(format!("and {} more uplinks", more.len())));
    }
    if !picture.checks.is_empty() {
        // What is wrong stands first, where it is not cut off.
        let (bad, good): (Vec<&Words>, Vec<&Words>) =
            picture.checks.iter().partition(|check| check.is_trouble);
        let checks = bad.into_iter().chain(good);
        let good = Style::new().fg(Color::Green);
        let spans = checks.map(|check| said(check, good));
        lines.extend(flow([Span::raw("checks")].into_iter().chain(spans), width));
    }
    if picture.trouble.is_some() {
        let stale = lines.iter_mut().skip(1);
        stale.for_each(|line| line.style = Style::new().dim());
    }
    lines
}

/// As many parts on a line as fit.
fn flow(
    parts: impl Iterator<Item = Span<'static>>,
    width: usize,
) -> impl Iterator<Item = Line<'static>> {
    const BETWEEN: &str = "  ";
    let mut lines = Vec::new();
    let mut line = Line::default();
    for part in parts {
        if !line.spans.is_empty() {
            if width < line.width() + BETWEEN.len() + part.width() {
                lines.push(mem::take(&mut line));
            } else {
                line.push_span(BETWEEN);
            }
        }
        line.push_span(part);
    }
    lines.push(line);
    lines.into_iter()
}

fn said(words: &Words, style: Style) -> Span<'static> {
    let style = if words.is_trouble { bad() } else { style };
    Span::styled(words.text.clone(), style)
}

fn footer(view: &View) -> Line<'static> {
    match (&view.mode, &view.note) {
        (Mode::Asking(_, words), _) => {
            Line::from(format!("acknowledge {words}? y/n")).style(noted())
        }
        (Mode::Typing, _) => Line::from(format!("/{}_", visible(&view.filter))).style(noted()),
        (_, Some(note)) => Line::from(note.clone()).style(noted()),
        _ => Line::from(KEYS).dim(),
    }
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let height = HELP.lines().count() as u16 + 2;
    let width = HELP.lines().map(str::len).max().unwrap_or_default() as u16 + 2;
    let (width, height) = (width.min(area.width), height.min(area.height));
    let middle = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, middle);
    let text = Paragraph::new(HELP).wrap(Wrap { trim: false });
    frame.render_widget(text.block(Block::bordered().title("keys")), middle);
}

fn bad() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

fn noted() -> Style {
    Style::new().fg(Color::Yellow)
}

#[cfg(test)]
mod tests;
