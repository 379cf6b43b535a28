//! What people see of the gateway in a terminal: `edge-gateway tail`, and what `edge-gateway top` refuses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::support::http::{get_json, post, post_readings};
use crate::support::program::{Ended, finish};
use crate::support::{Gateway, Site, command, signal, wait_until};

/// A `tail` that runs, and what it has printed.
struct Tail {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    said: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

fn asking(address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = command();
    command
        .env("EDGE_GATEWAY_HTTP__LISTEN", address.to_string())
        .env("TZ", "UTC")
        .env_remove("NO_COLOR")
        .args(arguments);
    command
}

impl Tail {
    fn start(gateway: &Gateway<'_>, arguments: &[&str]) -> Self {
        let mut command = asking(gateway.http, &["tail"]);
        let child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let (lines, said) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().unwrap(), &lines),
            collect(child.stderr.take().unwrap(), &said),
        ];
        Self {
            child,
            lines,
            said,
            readers,
        }
    }

    #[track_caller]
    fn wait_for(&self, part: &str) {
        let has = || {
            self.lines
                .lock()
                .unwrap()
                .iter()
                .any(|line| line.contains(part))
        };
        wait_until(part, has);
    }

    #[track_caller]
    fn wait_for_word(&self, part: &str) {
        let has = || {
            self.said
                .lock()
                .unwrap()
                .iter()
                .any(|line| line.contains(part))
        };
        wait_until(part, has);
    }

    /// Ends it as Ctrl-C does; what it printed.
    #[track_caller]
    fn stop(mut self) -> (Vec<String>, Vec<String>) {
        signal(self.child.id(), "INT");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.readers
            .drain(..)
            .for_each(|reader| reader.join().unwrap());
        let taken = |lines: &Mutex<Vec<String>>| lines.lock().unwrap().clone();
        (taken(&self.lines), taken(&self.said))
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn collect(from: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(line);
        }
    })
}

/// Ids of readings that were printed as JSON, in that order.
fn ids(lines: &[String]) -> Vec<i64> {
    let read = |line: &String| serde_json::from_str::<Value>(line).unwrap();
    lines
        .iter()
        .filter_map(|line| read(line)["reading"]["id"].as_i64())
        .collect()
}

fn ask(address: SocketAddr, arguments: &[&str]) -> Ended {
    finish(asking(address, arguments))
}

#[test]
fn every_reading_comes_once_and_in_order_as_the_api_has_it() {
    let site = Site::new();
    let gateway = site.start();
    post_readings(&gateway, "s1", 1.0, 0..5);
    let tail = Tail::start(&gateway, &["--json", "-n", "3", "--readings"]);
    tail.wait_for("\"seq\":4");
    for burst in 1..=20 {
        post_readings(&gateway, "s1", 80.0, burst * 1000..(burst + 1) * 1000);
    }
    tail.wait_for("\"seq\":20999");
    let (lines, said) = tail.stop();
    let ids = ids(&lines);
    assert_eq!(ids.len(), 3 + 20_000);
    assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert!(said.is_empty(), "{said:?}");
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    let newest = get_json(&gateway, "/api/v1/readings?limit=1");
    assert_eq!(last["reading"], newest["items"][0]);
}

#[test]
fn readings_and_alerts_are_lines_and_a_filter_chooses_among_them() {
    let site = Site::new();
    let gateway = site.start();
    post_readings(&gateway, "boiler/1", 20.0, 0..1);
    let tail = Tail::start(&gateway, &["boiler/+"]);
    let colored = Tail::start(&gateway, &["--color", "always", "--alerts"]);
    tail.wait_for("seq=0");
    post_readings(&gateway, "hall/1", 80.0, 1..2);
    colored.wait_for("hall/1");
    let body = r#"{"sensor_id":"boiler/2","value":80.5,"ts":1764000000123,"unit":"°C","note":"a\u001b[2Jb"}"#;
    assert_eq!(post(&gateway, "/data", body).status, 201);
    tail.wait_for("ALERT");
    colored.wait_for("boiler/2");
    let (lines, _) = tail.stop();
    let [past, reading, alert] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert!(past.ends_with("  boiler/1  20  seq=0"), "{past}");
    let time = "2025-11-24 16:00:00.123";
    let attributes = r#"note="a\u001b[2Jb" unit=°C"#;
    assert_eq!(
        *reading,
        format!("{time}  boiler/2  80.5  [high]  {attributes}")
    );
    assert_eq!(
        *alert,
        format!("{time}  ALERT raised  high  boiler/2  80.5  {attributes}")
    );
    let (lines, _) = colored.stop();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines
            .iter()
            .all(|line| line.contains("\u{1b}[1;31mALERT raised\u{1b}[0m"))
    );
    let alerts = get_json(&gateway, "/api/v1/alerts?limit=1");
    let tail = Tail::start(&gateway, &["--json", "--alerts", "-n1"]);
    tail.wait_for("alert_id");
    let (lines, _) = tail.stop();
    let shown: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(shown["alert"], alerts["items"][0]);
}

#[test]
fn a_restart_of_the_gateway_is_told_of_and_followed_without_gaps_or_repeats() {
    let [a, b, c] = [(); 3].map(|()| fastrand::u8(1..255));
    let site =
        Site::new().environment("EDGE_GATEWAY_HTTP__LISTEN", format!("127.{a}.{b}.{c}:8080"));
    let gateway = site.start();
    post_readings(&gateway, "s1", 1.0, 0..1);
    let tail = Tail::start(&gateway, &["--json"]);
    tail.wait_for("\"seq\":0");
    post_readings(&gateway, "s1", 1.0, 1..3);
    tail.wait_for("\"seq\":2");
    gateway.kill();
    tail.wait_for_word("waiting for it");
    let gateway = site.start();
    post_readings(&gateway, "s1", 1.0, 3..1000);
    tail.wait_for("\"seq\":999");
    let (lines, said) = tail.stop();
    let seq = |line: &String| {
        let read: Value = serde_json::from_str(line).unwrap();
        read["reading"]["attributes"]["seq"].as_u64().unwrap()
    };
    let seen: Vec<u64> = lines.iter().map(seq).collect();
    assert_eq!(seen, (0..1000).collect::<Vec<_>>());
    let [gone, back] = &said[..] else {
        panic!("{said:?}")
    };
    assert!(gone.ends_with("; waiting for it"), "{gone}");
    assert_eq!(back, "the gateway answers again");
}

#[test]
fn whoever_closes_the_output_ends_it_quietly() {
    let site = Site::new();
    let gateway = site.start();
    post_readings(&gateway, "s1", 1.0, 0..1);
    let mut tail = asking(gateway.http, &["tail"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(tail.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    post_readings(&gateway, "s1", 1.0, 1..2);
    let ended = tail.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), &b""[..]));
}

#[test]
fn what_cannot_be_followed_is_said_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    ask(address, &["tail", "boiler/#/1"])
        .is_refused(64, &["is no filter of sensors", "`#` elsewhere"]);
    ask(address, &["tail", "--alerts", "--readings"]).is_refused(64, &["cannot be used with"]);
    #[cfg(feature = "tui")]
    ask(address, &["top"]).is_refused(64, &["needs a terminal"]);
    let stranger = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let length = socket.read(&mut [0; 4096]).unwrap();
        assert!(0 < length, "it asks");
        socket.write_all(b"HTTP/1.0 200 OK\r\n\r\n<html>").unwrap();
    });
    ask(address, &["tail"]).is_refused(1, &["is no gateway"]);
    stranger.join().unwrap();
    ask(address, &["tail"]).is_refused(1, &["no gateway answers on", "refused"]);
}

#[test]
fn a_token_is_asked_for_and_shown() {
    let site = Site::new();
    let gateway = site.start();
    post_readings(&gateway, "s1", 1.0, 0..1);
    assert_eq!(gateway.stop().code(), Some(0));
    let file = site.path("tokens");
    let make = |name: &str, role: &str| {
        let mut command = command();
        command
            .args(["token", "add", name, "--role", role, "--token-file"])
            .arg(&file);
        let made = finish(command);
        let path = site.path(name);
        std::fs::write(&path, made.stdout).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (screen, admin) = (make("screen", "read"), make("ops", "admin"));
    let wrong = site.path("wrong");
    std::fs::write(&wrong, "egt_wrong\n").unwrap();
    let empty = site.path("empty");
    std::fs::write(&empty, "\n").unwrap();
    let guarded = site
        .environment("EDGE_GATEWAY_HTTP__ANONYMOUS", "never")
        .environment("EDGE_GATEWAY_HTTP__TOKEN_FILE", "tokens");
    let gateway = guarded.start();
    let ask = |arguments: &[&str]| ask(gateway.http, arguments);
    let needed = ["wants a token", "token add NAME", "--bearer-token-file"];
    ask(&["tail"]).is_refused(1, &needed);
    ask(&["rejects", "list"]).is_refused(1, &needed);
    ask(&["tail", "--bearer-token-file", wrong.to_str().unwrap()])
        .is_refused(1, &["no such token"]);
    ask(&["tail", "--bearer-token-file", empty.to_str().unwrap()]).is_refused(64, &["is no token"]);
    ask(&["tail", "--bearer-token-file", "missing"]).is_refused(64, &["missing cannot be read"]);
    assert_eq!(
        ask(&["rejects", "list", "--bearer-token-file", &screen]).code,
        Some(0)
    );
    let dropped = ask(&[
        "dead-letters",
        "drop",
        "--all",
        "--bearer-token-file",
        &admin,
    ]);
    assert_eq!(dropped.code, Some(0), "{dropped:?}");
    let tail = Tail::start(&gateway, &["--bearer-token-file", &screen]);
    tail.wait_for("seq=0");
    assert!(tail.stop().1.is_empty());
}
