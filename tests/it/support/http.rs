//! HTTP calls, each on a connection of its own.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::{Gateway, LIMIT};

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header's text, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.trim())
    }

    pub(crate) fn content_type(&self) -> &str {
        self.header("content-type")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// `None` if a part is missing.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (head, body) = std::str::from_utf8(bytes).ok()?.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let (head, body) = (head.to_owned(), body.to_owned());
        let mut answer = Self { status, head, body };
        if answer.header("transfer-encoding") == "chunked" {
            answer.body = join_chunks(&answer.body)?;
        } else if answer.header("content-length").parse() != Ok(answer.body.len()) {
            return None;
        }
        Some(answer)
    }
}

fn join_chunks(mut chunks: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (length, rest) = chunks.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body += rest.get(..length)?;
        chunks = rest.get(length..)?.strip_prefix("\r\n")?;
    }
}

/// Sends a request that begins with `start`, as in "GET /data"; an error if the connection broke before the answer was
/// whole. Without a `content_type` the request does not say what its body is.
pub(crate) fn send(
    gateway: &Gateway<'_>,
    start: &str,
    content_type: Option<&str>,
    body: &str,
) -> io::Result<Answer> {
    let content_type =
        content_type.map_or(String::new(), |value| format!("Content-Type: {value}\r\n"));
    send_with(gateway, start, &content_type, body)
}

/// As [`send`], with these lines in the head.
pub(crate) fn send_with(
    gateway: &Gateway<'_>,
    start: &str,
    lines: &str,
    body: &str,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(gateway.http)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let request = format!(
        "{start} HTTP/1.1\r\nHost: {}\r\n{lines}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        gateway.http,
        body.len()
    );
    // Who refuses a body does not read it to its end: what counts is the answer.
    stream.write_all(request.as_bytes()).ok();
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    Answer::read(&bytes).ok_or_else(|| {
        ended
            .err()
            .unwrap_or_else(|| ErrorKind::UnexpectedEof.into())
    })
}

/// Asks for a path.
#[track_caller]
pub(crate) fn get(gateway: &Gateway<'_>, path: &str) -> Answer {
    send(gateway, &format!("GET {path}"), None, "").unwrap()
}

/// The JSON at a path that answers 200.
#[track_caller]
pub(crate) fn get_json(gateway: &Gateway<'_>, path: &str) -> Value {
    let answer = get(gateway, path);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// Ids of all readings that pages of at most `limit` show, and how many pages there were.
#[track_caller]
pub(crate) fn paged(gateway: &Gateway<'_>, filter: &str, limit: usize) -> (Vec<i64>, usize) {
    let (mut found, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/api/v1/readings?limit={limit}{filter}{after}");
        let page = get_json(gateway, &path);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        found.extend(items.iter().map(|item| item["id"].as_i64().unwrap()));
        pages += 1;
        match page["next"].as_i64() {
            None => return (found, pages),
            Some(next) => after = format!("&after={next}"),
        }
    }
}

/// Posts a body that says it is JSON; an error as in [`send`].
pub(crate) fn try_post(gateway: &Gateway<'_>, path: &str, body: &str) -> io::Result<Answer> {
    let start = format!("POST {path}");
    send(gateway, &start, Some("application/json"), body)
}

/// Puts a body of this type.
#[track_caller]
pub(crate) fn put(gateway: &Gateway<'_>, path: &str, content_type: &str, body: &str) -> Answer {
    send(gateway, &format!("PUT {path}"), Some(content_type), body).unwrap()
}

/// As [`try_post`], where an answer has to come.
#[track_caller]
pub(crate) fn post(gateway: &Gateway<'_>, path: &str, body: &str) -> Answer {
    try_post(gateway, path, body).unwrap()
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
    let answer = post(gateway, "/data", &format!("[{}]", readings.join(",")));
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// The sum of a metric over all its labels; zero if it was never counted.
pub(crate) fn metric(gateway: &Gateway<'_>, name: &str) -> f64 {
    let text = get(gateway, "/metrics").body;
    let samples = text.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    samples
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .fold(0.0, |sum, sample| sum + sample)
}
