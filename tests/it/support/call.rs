//! One HTTP call on a connection of its own.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::{Gateway, LIMIT};

/// The status and the body; an error if the connection broke before the answer was whole.
pub(crate) fn call(
    gateway: &Gateway<'_>,
    start: &str,
    body: &str,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(gateway.http)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let length = body.len();
    write!(
        stream,
        "{start} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}",
        gateway.http
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut_off = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut_off)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or_else(cut_off)?, body.to_owned()))
}

pub(crate) fn get(gateway: &Gateway<'_>, path: &str) -> (u16, String) {
    call(gateway, &format!("GET {path}"), "").unwrap()
}

pub(crate) fn get_json(gateway: &Gateway<'_>, path: &str) -> Value {
    serde_json::from_str(&get(gateway, path).1).unwrap()
}

/// Stores readings of one sensor, numbered by `numbers`, in one request and so in one commit.
pub(crate) fn post_readings(
    gateway: &Gateway<'_>,
    sensor_id: &str,
    value: f64,
    numbers: std::ops::Range<u64>,
) {
    let one = |seq| format!(r#"{{"sensor_id":"{sensor_id}","value":{value},"seq":{seq}}}"#);
    let readings: Vec<String> = numbers.map(one).collect();
    let (status, answer) =
        call(gateway, "POST /data", &format!("[{}]", readings.join(","))).unwrap();
    assert_eq!(status, 201, "{answer}");
}

/// The sum of a metric over all its labels; zero if it was never counted.
pub(crate) fn metric(gateway: &Gateway<'_>, name: &str) -> f64 {
    let text = get(gateway, "/metrics").1;
    let samples = text.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    samples
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .fold(0.0, |sum, sample| sum + sample)
}
