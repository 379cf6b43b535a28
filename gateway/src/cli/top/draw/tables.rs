//! The tables of sensors and of open alerts. What does not fit is left out, least important first.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Row, Table};

use crate::cli::top::keys::{Column, Focus, View};
use crate::cli::top::picture::{AlertRow, Picture, SensorRow, SensorState};
use crate::cli::top::words::{age, bars, count, rate, value};
use crate::cli::visible::visible;

const VALUES_WIDTH: usize = 16;

/// A column: its title, its width, the least width of the screen that has it, and by what it sorts.
struct Shown {
    title: &'static str,
    width: Constraint,
    from: u16,
    by: Option<Column>,
    cell: fn(&SensorRow) -> Cell<'static>,
}

const COLUMNS: [Shown; 7] = [
    Shown {
        title: "STATE",
        width: Constraint::Length(6),
        from: 50,
        by: Some(Column::State),
        cell: |row| Cell::from(row.state.word()),
    },
    Shown {
        title: "SENSOR",
        width: Constraint::Fill(1),
        from: 0,
        by: Some(Column::Name),
        cell: |row| Cell::from(row.shown.clone()),
    },
    Shown {
        title: "VALUE",
        width: Constraint::Length(10),
        from: 20,
        by: Some(Column::Value),
        cell: |row| right(row.value.map_or("-".to_owned(), value)),
    },
    Shown {
        title: "RECENT",
        width: Constraint::Length(VALUES_WIDTH as u16),
        from: 68,
        by: None,
        cell: |row| Cell::from(bars(row.recent.iter().copied(), VALUES_WIDTH)),
    },
    Shown {
        title: "COUNT",
        width: Constraint::Length(10),
        from: 58,
        by: Some(Column::Count),
        cell: |row| right(count(row.count)),
    },
    Shown {
        title: "RATE/s",
        width: Constraint::Length(7),
        from: 40,
        by: Some(Column::Rate),
        cell: |row| right(rate(row.rate)),
    },
    Shown {
        title: "AGE",
        width: Constraint::Length(5),
        from: 30,
        by: Some(Column::Age),
        cell: |row| right(row.age.map_or("-".to_owned(), age)),
    },
];

pub(super) fn sensors(frame: &mut Frame<'_>, area: Rect, picture: &Picture, view: &mut View) {
    let rows = view.sensors(picture);
    let [title, table] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let mut words = match rows.len() == picture.sensors.len() {
        true => format!("{} sensors", count(rows.len() as u64)),
        false => format!(
            "{} of {} sensors",
            count(rows.len() as u64),
            count(picture.sensors.len() as u64)
        ),
    };
    if picture.has_more_sensors {
        words += ", the first of more";
    }
    if !view.filter.is_empty() {
        words += &format!(", filter {}", visible(&view.filter));
    }
    frame.render_widget(heading(words, view.focus == Focus::Sensors), title);
    let shown: Vec<&Shown> = COLUMNS
        .iter()
        .filter(|column| column.from <= area.width)
        .collect();
    let height = usize::from(table.height.saturating_sub(1));
    let window = view.sensor.window(rows.len(), height);
    let chosen = (view.focus == Focus::Sensors).then_some(view.sensor.at);
    let first = window.start;
    let body = rows[window].iter().enumerate().map(|(at, row)| {
        let cells = shown.iter().map(|column| (column.cell)(row));
        Row::new(cells).style(style(row.state, chosen == Some(first + at)))
    });
    let titles = shown.iter().map(|column| {
        let is_order = column.by == Some(view.by);
        let mark = match (is_order, view.is_reversed) {
            (false, _) => "",
            (true, false) => "*",
            (true, true) => "^",
        };
        let title = format!("{}{mark}", column.title);
        match column.title {
            "STATE" | "SENSOR" | "RECENT" => Cell::from(title),
            _ => right(title),
        }
    });
    let titles = Row::new(titles).dim();
    let widths = shown.iter().map(|column| column.width);
    frame.render_widget(Table::new(body, widths).header(titles), table);
}

pub(super) fn alerts(frame: &mut Frame<'_>, area: Rect, picture: &Picture, view: &mut View) {
    let rows = &picture.alerts;
    let [title, table] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let words = match (rows.len(), picture.has_more_alerts) {
        (0, _) => "no open alerts".to_owned(),
        (1, _) => "1 open alert".to_owned(),
        (some, false) => format!("{some} open alerts"),
        (some, true) => format!("{some} open alerts, the newest of more"),
    };
    frame.render_widget(heading(words, view.focus == Focus::Alerts), title);
    let window = view.alert.window(rows.len(), usize::from(table.height));
    let chosen = (view.focus == Focus::Alerts).then_some(view.alert.at);
    let first = window.start;
    let body = rows[window]
        .iter()
        .enumerate()
        .map(|(at, row)| Row::new(cells(row)).style(style(row.state, chosen == Some(first + at))));
    let widths = [
        Constraint::Length(6),
        Constraint::Fill(2),
        Constraint::Fill(2),
        Constraint::Length(10),
        Constraint::Length(5),
        Constraint::Fill(if rows.iter().any(|row| !row.more.is_empty()) {
            3
        } else {
            0
        }),
    ];
    frame.render_widget(Table::new(body, widths), table);
}

fn cells(row: &AlertRow) -> [Cell<'static>; 6] {
    [
        Cell::from(row.state.word()),
        Cell::from(row.sensor.clone()),
        Cell::from(row.rule.clone()),
        right(value(row.value)),
        right(age(row.age)),
        Cell::from(row.more.clone()),
    ]
}

fn heading(words: String, has_focus: bool) -> Line<'static> {
    let line = Line::from(words);
    if has_focus {
        line.bold().underlined()
    } else {
        line.underlined()
    }
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Text::from(text).alignment(Alignment::Right))
}

fn style(state: SensorState, is_chosen: bool) -> Style {
    let style = match state {
        SensorState::Calm => Style::new(),
        SensorState::Acknowledged => Style::new().fg(Color::Yellow),
        SensorState::Raised => Style::new().fg(Color::Red),
    };
    if is_chosen {
        style.add_modifier(Modifier::REVERSED)
    } else {
        style
    }
}
