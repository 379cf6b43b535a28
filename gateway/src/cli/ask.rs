//! Asking the running gateway by HTTP, with a token where one is wanted.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::refusal::{Refusal, unreadable, usage};
use crate::config::Config;

/// Longer than a healthy gateway ever takes.
const TIMEOUT: Duration = Duration::from_secs(5);
/// More than an answer ever has.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// The option of every subcommand that asks what not everybody may ask.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Token {
    /// File whose first line is a token of the API, as `edge-gateway token add` prints it
    #[arg(long, global = true, value_name = "FILE")]
    bearer_token_file: Option<PathBuf>,
}

/// The way to the gateway.
#[derive(Clone, Debug)]
pub(super) struct Door {
    listen: SocketAddr,
    token: Option<String>,
}

/// What it said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Why there is no answer as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It may pass: the gateway is away, or cannot do it now.
    Passing(String),
    /// Asking again does not help.
    Lasting(String),
}

impl Trouble {
    pub(super) fn words(&self) -> &str {
        match self {
            Self::Passing(words) | Self::Lasting(words) => words,
        }
    }
}

impl Door {
    /// To the gateway of this configuration.
    pub(super) fn find(config: &Config, token: &Token) -> Result<Self, Refusal> {
        let token = token.bearer_token_file.as_ref().map(|path| {
            let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
            let token = text.lines().next().unwrap_or_default().trim();
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                let path = path.display();
                return Err(usage(format!("the first line of {path} is no token")));
            }
            Ok(token.to_owned())
        });
        Ok(Self {
            listen: config.http.listen,
            token: token.transpose()?,
        })
    }

    /// The body of the answer to `start`, as in "GET /data", if it is 200.
    pub(super) fn get(&self, start: &str) -> Result<String, Trouble> {
        let answer = self.ask(start);
        let answer = answer.map_err(|error| Trouble::Passing(self.silent(&error)))?;
        match answer.status {
            200 => Ok(answer.body),
            408 | 429 | 500.. => Err(Trouble::Passing(self.refused(&answer))),
            _ => Err(Trouble::Lasting(self.refused(&answer))),
        }
    }

    /// Sends `start`, as in "GET /healthz".
    pub(super) fn ask(&self, start: &str) -> io::Result<Answer> {
        ask(self.listen, start, self.token.as_deref())
    }

    /// What it means that there is no answer.
    pub(super) fn silent(&self, error: &io::Error) -> String {
        let listen = self.listen;
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("the gateway on {listen} does not answer in time")
            }
            _ => format!("no gateway answers on {listen}: {error}"),
        }
    }

    /// What an answer other than 200 means.
    pub(super) fn refused(&self, answer: &Answer) -> String {
        let Answer { status, body } = answer;
        let problem: Option<Value> = serde_json::from_str(body).ok();
        let detail = problem
            .as_ref()
            .and_then(|problem| problem["detail"].as_str());
        match (status, detail) {
            (_, None) => self.stranger(),
            (401, Some(_)) if self.token.is_none() => "the gateway wants a token: \
                `edge-gateway token add NAME --role read|write|admin` makes one; put it into a file and name that with --bearer-token-file"
                .to_owned(),
            (status, Some(detail)) => format!("the gateway answers {status}: {detail}"),
        }
    }

    /// What is said of an answer that no gateway gives.
    pub(super) fn stranger(&self) -> String {
        format!("what answers on {} is no gateway", self.listen)
    }
}

/// Sends `start` to a gateway that listens on `listen`. HTTP/1.0: the answer comes in one piece.
pub(super) fn ask(listen: SocketAddr, start: &str, token: Option<&str>) -> io::Result<Answer> {
    let address = reachable(listen);
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let token = token.map_or(String::new(), |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let request =
        format!("{start} HTTP/1.0\r\nHost: {address}\r\n{token}Content-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut text)?;
    let broken = || io::Error::other("what answers there is no gateway");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(broken)?,
        body: body.to_owned(),
    })
}

/// What listens everywhere is asked on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback = match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        address.set_ip(loopback);
    }
    address
}
