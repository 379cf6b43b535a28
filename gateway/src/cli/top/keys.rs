//! What somebody wants to see, and what keys change of it. Pure.

use std::cmp::Ordering;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::picture::{AlertRow, Picture, SensorRow};
use crate::domain::topic::{TopicFilter, TopicName};

/// What a key asks for beyond the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Quit,
    Acknowledge(i64),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Looking,
    /// A filter is being typed.
    Typing,
    Help,
    /// Whether this alert is to be acknowledged, in words.
    Asking(i64, String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Focus {
    #[default]
    Sensors,
    Alerts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Column {
    #[default]
    Name,
    Value,
    Count,
    Rate,
    Age,
    State,
}

/// The choice of what is seen.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) mode: Mode,
    pub(super) focus: Focus,
    pub(super) filter: String,
    pub(super) by: Column,
    pub(super) is_reversed: bool,
    pub(super) sensor: Place,
    pub(super) alert: Place,
    /// The episode of the alert that is chosen: it stays so wherever its row goes.
    episode: Option<i64>,
    /// What became of the last wish.
    pub(super) note: Option<String>,
}

/// The row that is chosen, and the first that is seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) at: usize,
    first: usize,
    /// As it was drawn.
    height: usize,
}

impl Place {
    /// The rows of so many that are seen in this height. The chosen one is among them.
    pub(super) fn window(&mut self, rows: usize, height: usize) -> std::ops::Range<usize> {
        self.height = height;
        self.at = self.at.min(rows.saturating_sub(1));
        let least = (self.at + 1).saturating_sub(height);
        let most = self.at.min(rows.saturating_sub(height));
        self.first = self.first.clamp(least.min(most), most);
        self.first..(self.first + height).min(rows)
    }

    fn go(&mut self, key: KeyCode) -> bool {
        let page = self.height.max(1);
        self.at = match key {
            KeyCode::Up | KeyCode::Char('k') => self.at.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.at.saturating_add(1),
            KeyCode::PageUp => self.at.saturating_sub(page),
            KeyCode::PageDown => self.at.saturating_add(page),
            KeyCode::Home => 0,
            KeyCode::End => usize::MAX - 1,
            _ => return false,
        };
        true
    }
}

impl View {
    /// Other alerts may be open now, and in other rows.
    pub(super) fn keep_up(&mut self, picture: &Picture) {
        let is_chosen = |alert: &AlertRow| Some(alert.episode) == self.episode;
        if let Some(at) = picture.alerts.iter().position(is_chosen) {
            self.alert.at = at;
        }
        self.choose(picture);
    }

    fn choose(&mut self, picture: &Picture) {
        self.alert.at = self.alert.at.min(picture.alerts.len().saturating_sub(1));
        self.episode = picture.alerts.get(self.alert.at).map(|alert| alert.episode);
    }

    /// Takes a key.
    pub(super) fn press(&mut self, key: KeyEvent, picture: &Picture) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Wish::Quit;
        }
        match &self.mode {
            Mode::Looking => return self.look(key.code, picture),
            Mode::Typing => self.type_in(key),
            Mode::Help => self.mode = Mode::Looking,
            Mode::Asking(id, _) => {
                let id = *id;
                self.mode = Mode::Looking;
                if matches!(key.code, KeyCode::Char('y' | 'Y')) {
                    return Wish::Acknowledge(id);
                }
                self.note = Some("nothing is acknowledged".to_owned());
            }
        }
        Wish::Nothing
    }

    fn look(&mut self, key: KeyCode, picture: &Picture) -> Wish {
        self.note = None;
        let place = match self.focus {
            Focus::Sensors => &mut self.sensor,
            Focus::Alerts => &mut self.alert,
        };
        if place.go(key) {
            self.choose(picture);
            return Wish::Nothing;
        }
        match key {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Typing,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Tab | KeyCode::BackTab => {
                self.focus = match self.focus {
                    Focus::Sensors => Focus::Alerts,
                    Focus::Alerts => Focus::Sensors,
                }
            }
            KeyCode::Char('a') => self.ask(picture),
            KeyCode::Char('n') => self.sort(Column::Name),
            KeyCode::Char('v') => self.sort(Column::Value),
            KeyCode::Char('c') => self.sort(Column::Count),
            KeyCode::Char('r') => self.sort(Column::Rate),
            KeyCode::Char('t') => self.sort(Column::Age),
            KeyCode::Char('s') => self.sort(Column::State),
            _ => {}
        }
        Wish::Nothing
    }

    fn type_in(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Enter => self.mode = Mode::Looking,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Looking;
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.filter.clear();
            }
            KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.filter.push(c);
            }
            _ => {}
        }
        self.sensor = Place::default();
    }

    fn ask(&mut self, picture: &Picture) {
        // What is chosen now is meant, whatever comes before the answer.
        match picture.alerts.get(self.alert.at) {
            None => self.note = Some("no alert is open".to_owned()),
            Some(alert) => {
                let words = format!("alert {} ({}, {})", alert.id, alert.rule, alert.sensor);
                self.mode = Mode::Asking(alert.id, words);
            }
        }
    }

    /// By this column; once more turns it around.
    fn sort(&mut self, by: Column) {
        self.is_reversed = self.by == by && !self.is_reversed;
        self.by = by;
        self.sensor = Place::default();
    }

    /// The sensors that are wanted, in the order that is wanted.
    pub(super) fn sensors<'p>(&self, picture: &'p Picture) -> Vec<&'p SensorRow> {
        let wanted = Wanted::new(&self.filter);
        let rows = picture.sensors.iter();
        let mut rows: Vec<&SensorRow> = rows.filter(|row| wanted.matches(&row.id)).collect();
        rows.sort_by(|one, other| {
            let order = self.compare(one, other);
            let order = if self.is_reversed {
                order.reverse()
            } else {
                order
            };
            order.then_with(|| one.id.cmp(&other.id))
        });
        rows
    }

    /// What people look for first: the greatest, the youngest, the worst.
    fn compare(&self, one: &SensorRow, other: &SensorRow) -> Ordering {
        let numbers = |one: Option<f64>, other: Option<f64>| {
            let number = |it: Option<f64>| it.unwrap_or(f64::NEG_INFINITY);
            number(other).total_cmp(&number(one))
        };
        match self.by {
            Column::Name => one.id.cmp(&other.id),
            Column::Value => numbers(one.value, other.value),
            Column::Count => other.count.cmp(&one.count),
            Column::Rate => numbers(one.rate, other.rate),
            Column::Age => numbers(one.age.map(|age| -age), other.age.map(|age| -age)),
            Column::State => other.state.cmp(&one.state),
        }
    }
}

/// A filter as it is typed: of topics if it has wildcards, else a part of the id.
enum Wanted {
    Pattern(TopicFilter),
    Part(String),
}

impl Wanted {
    fn new(typed: &str) -> Self {
        let is_pattern = typed.contains(['+', '#']);
        match TopicFilter::new(typed) {
            Ok(filter) if is_pattern => Self::Pattern(filter),
            _ => Self::Part(typed.to_lowercase()),
        }
    }

    fn matches(&self, sensor_id: &str) -> bool {
        match self {
            Self::Pattern(filter) => {
                TopicName::new(sensor_id).is_ok_and(|sensor| filter.matches(&sensor))
            }
            Self::Part(part) => sensor_id.to_lowercase().contains(part),
        }
    }
}
