//! Whole screens, of looks as the API gives them.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, from_value, json};

use super::*;
use crate::cli::ask::Trouble;
use crate::cli::top::keys::Wish;
use crate::cli::top::look::Look;
use crate::cli::top::memory::Memory;

fn look(second: u64, sensors: &Value, alerts: &Value) -> Look {
    let readings = json!({"received": 1000 + 200 * second, "committed": 990 + 200 * second, "rejected": 3, "lost": 0});
    let gateway = json!({
        "gateway_id": "edge-1", "version": "0.1.0", "uptime_seconds": 7800 + second, "now": 1_764_000_060_000_i64,
        "mqtt": {"connections": 3}, "store": {"bytes": 12_900_000, "free_bytes": null, "max_bytes": 1 << 30},
        "readings": readings,
        "checks": [{"name": "store", "ok": true, "detail": null}, {"name": "uplink:cloud", "ok": false, "detail": "404"}],
    });
    let outbox = json!({
        "pending": 3214, "oldest_seconds": 7800.5,
        "uplinks": [{"name": "cloud", "pending": 3214, "oldest_seconds": 7800.5, "last_verdict": "retry: 503",
            "next_attempt_seconds": 40.1, "drain_seconds": 360.0, "held": null}],
        "forsaken": [{"name": "old", "pending": 7, "oldest_seconds": null}],
    });
    Look {
        gateway: from_value(gateway).unwrap(),
        outbox: from_value(outbox).unwrap(),
        sensors: from_value(sensors.clone()).unwrap(),
        has_more_sensors: false,
        alerts: from_value(alerts.clone()).unwrap(),
        has_more_alerts: false,
        past: Vec::new(),
    }
}

fn sensor(id: &str, count: u64, value: f64) -> Value {
    let last =
        json!({"id": count, "sensor_id": id, "value": value, "received_at": 1_764_000_000_000_i64});
    json!({"sensor_id": id, "count": count, "last": last})
}

fn alert(id: i64, episode: i64, state: &str, sensor: &str) -> Value {
    json!({"alert_id": id, "episode": episode, "rule": "high", "state": state, "sensor_id": sensor, "value": 80.5,
        "ts": 1_764_000_000_000_i64, "message": "too hot"})
}

/// Two looks, a second apart.
fn memory() -> Memory {
    let mut memory = Memory::default();
    let alerts = json!([
        alert(12, 3, "raised", "boiler/1"),
        alert(9, 9, "acknowledged", "hall/2")
    ]);
    for (second, value) in [(0, 79.0), (1, 80.5)] {
        let sensors = json!([
            sensor("boiler/1", 10 + second * 5, value),
            sensor("hall/2", 1_234_567, 3.25)
        ]);
        memory.take(Ok(look(second, &sensors, &alerts)), Instant::now());
    }
    memory
}

fn screen(picture: &Picture, view: &mut View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| all(frame, picture, view)).unwrap();
    if width == 0 {
        // It is drawn; the backend cannot tell it.
        return String::new();
    }
    let shown = terminal.backend().to_string();
    let lines = shown.lines().map(|line| line.trim_matches('"').trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

fn press(view: &mut View, picture: &Picture, keys: &str) -> Vec<Wish> {
    let code = |key| match key {
        '\n' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        key => KeyCode::Char(key),
    };
    keys.chars()
        .map(|key| view.press(KeyEvent::new(code(key), KeyModifiers::NONE), picture))
        .collect()
}

#[test]
fn a_screen_of_80_by_24_has_the_whole_picture() {
    let shown = screen(&memory().picture(), &mut View::default(), 80, 24);
    let expected = "\
edge-1 0.1.0  up 2h 10m  received 200/s  committed 200/s  3 connections
store 12.3 MiB of 1.0 GiB  1,190 readings since the start  3 rejected
cloud: 3,214 wait, the oldest 2h 10m, next try in 40s, drained in 6m, last retry
old: 7 wait, but there is no uplink of that name
checks  uplink:cloud: 404  store ok
2 sensors
STATE  SENSOR*                   VALUE RECENT                COUNT  RATE/s   AGE
ALERT  boiler/1                   80.5 ▁█                       15     5.0    1m
acked  hall/2                     3.25 ▅                 1,234,567     0.0    1m";
    assert!(shown.starts_with(expected), "{shown}");
    let below: Vec<&str> = shown.lines().skip(20).collect();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let below: Vec<String> = below.into_iter().map(words).collect();
    let [title, newer, older, keys] = &below[..] else {
        panic!("{shown}")
    };
    assert_eq!(title, "2 open alerts");
    assert_eq!(newer, "acked hall/2 high 80.5 1m too hot");
    assert_eq!(older, "ALERT boiler/1 high 80.5 1m too hot");
    assert!(keys.starts_with("?:help q:quit"), "{keys}");
}

#[test]
fn no_size_is_too_small() {
    let memory = memory();
    let pictures = [Picture::default(), memory.picture()];
    for picture in &pictures {
        let widths = [0, 1, 2, 3, 5, 8, 13, 19, 20, 39, 49, 57, 67, 90];
        let heights = [0, 1, 2, 3, 4, 5, 7, 12, 26];
        for (width, height) in widths
            .into_iter()
            .flat_map(|width| heights.map(|height| (width, height)))
        {
            let mut view = View::default();
            screen(picture, &mut view, width, height);
            press(&mut view, picture, "?");
            screen(picture, &mut view, width, height);
        }
    }
    let narrow = screen(&memory.picture(), &mut View::default(), 32, 20);
    assert!(narrow.contains("boiler/1"), "{narrow}");
    assert!(narrow.contains("committed 200/s"), "{narrow}");
    assert!(narrow.contains("80.5"), "{narrow}");
}

#[test]
fn a_gateway_that_is_gone_is_shown_as_gone_and_what_was_known_stays() {
    let mut memory = memory();
    let now = Instant::now();
    let gone = || {
        Err(Trouble::Passing(
            "no gateway answers on 127.0.0.1:8080".to_owned(),
        ))
    };
    memory.take(gone(), now);
    memory.take(gone(), now + Duration::from_secs(5));
    let mut picture = memory.picture();
    picture.gone_for = memory.gone_for(now + Duration::from_secs(12));
    let shown = screen(&picture, &mut View::default(), 80, 24);
    assert!(
        shown.starts_with("GONE for 12s: no gateway answers on 127.0.0.1:8080\n"),
        "{shown}"
    );
    assert!(shown.contains("boiler/1"), "{shown}");
    let sensors = json!([sensor("boiler/1", 20, 1.0)]);
    let mut back = look(0, &sensors, &json!([]));
    back.gateway.uptime_seconds = 2.0;
    back.gateway.readings.received = 5;
    memory.take(Ok(back), now);
    let shown = screen(&memory.picture(), &mut View::default(), 80, 24);
    assert!(
        shown.starts_with("edge-1 0.1.0  up 2s  received -/s"),
        "{shown}"
    );
}

#[test]
fn hostile_names_stay_text() {
    let mut memory = Memory::default();
    let name = "a\u{1b}[2J\u{9b}2J\u{202e}\u{7}";
    let sensors = json!([sensor(name, 1, 1e300), sensor(&"宽".repeat(80), 2, -0.0)]);
    let alerts = json!([alert(1, 1, name, name)]);
    let mut look = look(0, &sensors, &alerts);
    look.gateway.gateway_id = name.to_owned();
    look.gateway.checks[0].name = name.to_owned();
    look.outbox.uplinks[0].last_verdict = Some(name.to_owned());
    memory.take(Ok(look), Instant::now());
    for width in [20, 80, 132] {
        let shown = screen(&memory.picture(), &mut View::default(), width, 24);
        let is_hidden = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!shown.contains(is_hidden), "{shown:?}");
    }
}

#[test]
fn keys_sort_filter_and_move() {
    let picture = memory().picture();
    let mut view = View::default();
    let first = |view: &View| view.sensors(&picture).first().map(|row| row.id.clone());
    let check = |view: &mut View, keys: &str, expected: &str| {
        press(view, &picture, keys);
        assert_eq!(first(view).as_deref(), Some(expected), "{keys:?}");
    };
    check(&mut view, "c", "hall/2");
    check(&mut view, "c", "boiler/1");
    check(&mut view, "v", "boiler/1");
    check(&mut view, "s", "boiler/1");
    check(&mut view, "nn", "hall/2");
    check(&mut view, "/BOI\n", "boiler/1");
    assert_eq!(view.sensors(&picture).len(), 1);
    press(&mut view, &picture, "/");
    view.press(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE), &picture);
    check(&mut view, "/hall/+\n", "hall/2");
    let shown = screen(&picture, &mut view, 80, 24);
    assert!(shown.contains("1 of 2 sensors, filter hall/+"), "{shown}");
    assert_eq!(press(&mut view, &picture, "q"), [Wish::Quit]);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    press(&mut view, &picture, "/");
    assert_eq!(view.press(interrupt, &picture), Wish::Quit);
}

#[test]
fn an_alert_is_acknowledged_after_a_question_and_stays_chosen_where_others_come() {
    let mut memory = memory();
    let mut view = View::default();
    let picture = memory.picture();
    view.keep_up(&picture);
    assert_eq!(press(&mut view, &picture, "\tja"), [Wish::Nothing; 3]);
    let shown = screen(&picture, &mut view, 80, 24);
    assert!(
        shown.contains("acknowledge alert 12 (high, boiler/1)? y/n"),
        "{shown}"
    );
    assert_eq!(press(&mut view, &picture, "n"), [Wish::Nothing]);
    let alerts = json!([
        alert(20, 20, "raised", "x"),
        alert(15, 3, "raised", "boiler/1"),
        alert(9, 9, "acknowledged", "hall/2")
    ]);
    memory.take(Ok(look(2, &json!([]), &alerts)), Instant::now());
    let picture = memory.picture();
    view.keep_up(&picture);
    let wishes = press(&mut view, &picture, "ay");
    assert_eq!(wishes, [Wish::Nothing, Wish::Acknowledge(15)]);
}

#[test]
fn what_is_chosen_is_always_seen() {
    let mut place = crate::cli::top::keys::Place::default();
    for (at, rows, height) in [
        (0, 0, 0),
        (0, 5, 0),
        (9, 100, 10),
        (10, 100, 10),
        (99, 100, 3),
        (99, 2, 10),
        (50, 100, 10),
    ] {
        place.at = at;
        let window = place.window(rows, height);
        assert!(window.end <= rows && window.len() <= height);
        assert!(
            window.contains(&place.at) || window.is_empty(),
            "{at} {rows} {height}"
        );
    }
}
