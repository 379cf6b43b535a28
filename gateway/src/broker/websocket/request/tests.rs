//! Requests that may have their WebSocket, and those that may not.

use super::*;
use crate::access::OwnNames;
use crate::config::Anonymous;

const GOOD: &[&str] = &[
    "GET /mqtt HTTP/1.1",
    "Host: 127.0.0.1:8083",
    "Connection: keep-alive, Upgrade",
    "Upgrade: WebSocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: mqtt",
];

fn pages() -> Pages {
    let origin = |text| Origin::new(text).unwrap();
    Pages {
        allowed: vec![origin("https://dash.example.com"), origin("http://a:3000")],
        own_names: OwnNames::new(Anonymous::Loopback, Some("edge-7".into())),
    }
}

/// Judges the good request with one line replaced, or taken away if `line` is empty, and with `more` lines.
fn judge_with(number: usize, line: &str, more: &[&str]) -> Result<String, Refusal> {
    let mut lines = GOOD.to_vec();
    lines[number] = line;
    lines.retain(|line| !line.is_empty());
    lines.extend(more);
    let head = lines.join("\r\n") + "\r\n\r\n";
    judge(head.as_bytes(), &pages())
}

fn status(judged: Result<String, Refusal>) -> u16 {
    match judged {
        Ok(_) => 101,
        Err(refusal) => refusal.answer().0[..3].parse().unwrap(),
    }
}

#[test]
fn a_request_that_asks_for_mqtt_is_let_through() {
    let judged = judge_with(0, GOOD[0], &["Cookie: a=b"]);
    assert_eq!(judged, Ok("dGhlIHNhbXBsZSBub25jZQ==".to_owned()));
    for (number, line) in [
        (0, "GET /mqtt?token=x HTTP/1.1"),
        (1, "hOsT: anything.example"),
        (2, "Connection: upgrade"),
        (6, "Sec-WebSocket-Protocol: mqttv3.1, mqtt"),
        (
            6,
            "Sec-WebSocket-Protocol: mqttv3.1\r\nSec-WebSocket-Protocol: mqtt",
        ),
    ] {
        assert_eq!(status(judge_with(number, line, &[])), 101, "{line}");
    }
}

#[test]
fn what_is_wrong_with_a_request_is_told() {
    for (number, line, expected) in [
        (0, "GET / HTTP/1.1", 404),
        (0, "GET /mqtt/ HTTP/1.1", 404),
        (0, "POST /mqtt HTTP/1.1", 405),
        (0, "GET /mqtt HTTP/1.0", 400),
        (0, "GET /mqtt", 400),
        (0, "GET /mqtt HTTP/2.0", 400),
        (1, "", 400),
        (1, "Host: a\r\nHost: b", 400),
        (2, "", 426),
        (2, "Connection: close", 426),
        (3, "", 426),
        (3, "Upgrade: h2c", 426),
        (4, "", 426),
        (4, "Sec-WebSocket-Version: 8", 426),
        (5, "", 400),
        (5, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ", 400),
        (5, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\u{fc}=", 400),
        (6, "", 400),
        (6, "Sec-WebSocket-Protocol: MQTT", 400),
        (6, "Sec-WebSocket-Protocol: mqttv3.1", 400),
        (6, "no header", 400),
    ] {
        assert_eq!(status(judge_with(number, line, &[])), expected, "{line}");
    }
    let many = vec!["X: y"; MAX_HEADERS];
    assert_eq!(status(judge_with(0, GOOD[0], &many)), 431);
}

#[test]
fn a_page_is_listed_or_our_own() {
    let check = |host: &str, origin: &str, passes: bool| {
        let judged = judge_with(1, &format!("Host: {host}"), &[&format!("Origin: {origin}")]);
        let expected = if passes { 101 } else { 403 };
        assert_eq!(status(judged), expected, "{host} {origin}");
    };
    for host in ["127.0.0.1:8083", "gateway.example"] {
        check(host, "https://dash.example.com", true);
        check(host, "https://Dash.Example.com:443", true);
        check(host, "http://a:3000", true);
        check(host, "http://a", false);
        check(host, "http://dash.example.com", false);
        check(host, "https://x.dash.example.com", false);
        check(host, "http://evil.example", false);
        check(host, "null", false);
        check(host, "", false);
    }
    for own in [
        "127.0.0.1:8083",
        "localhost:8083",
        "[::1]:8083",
        "Edge-7:8083",
    ] {
        check(own, &format!("http://{own}"), true);
    }
    check("localhost:8083", "http://localhost:8080", false);
    // A name that somebody else made lead here.
    check("evil.example:8083", "http://evil.example:8083", false);
    let twice = [
        "Origin: https://dash.example.com",
        "Origin: https://evil.example",
    ];
    assert_eq!(status(judge_with(1, GOOD[1], &twice)), 400);
}
