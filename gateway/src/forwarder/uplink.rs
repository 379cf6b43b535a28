//! The way to the cloud: HTTPS. Certificates are always verified; redirects are never followed.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, header, redirect::Policy};

use super::payload::Body;
use super::verdict::{RetryAfter, Verdict, judge};
use crate::clock;
use crate::config;
use crate::tls::{self, TlsError};

/// Of an answer's body so much is read, so that the connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Why an uplink cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// An HTTPS receiver.
#[derive(Debug)]
pub struct Uplink {
    client: Client,
    url: Box<str>,
    bearer_token_file: Option<PathBuf>,
}

impl Uplink {
    /// Sets up what `[cloud]` says. Reads `ca_file`; connects to nobody yet.
    pub fn new(config: &config::Cloud) -> Result<Self, UplinkError> {
        let mut client = Client::builder()
            .tls_backend_preconfigured(tls::client_config(config.ca_file.as_deref())?)
            .redirect(Policy::none())
            .timeout(config.timeout)
            .connect_timeout(config.timeout)
            .pool_idle_timeout(Duration::from_secs(60))
            .tcp_nodelay(true)
            .user_agent(concat!("edge-gateway/", env!("CARGO_PKG_VERSION")));
        if !config.may_use_proxy() {
            client = client.no_proxy();
        }
        Ok(Self {
            client: client.build()?,
            url: config.url.clone(),
            bearer_token_file: config.bearer_token_file.clone(),
        })
    }

    /// Sends one body once and judges the answer.
    pub(super) async fn send(&self, idempotency_key: &str, body: &Body) -> Verdict {
        let mut request = self
            .client
            .post(&*self.url)
            .header(header::CONTENT_TYPE, body.content_type)
            .header("Idempotency-Key", idempotency_key)
            .body(body.bytes.clone());
        if let Some(encoding) = body.content_encoding {
            request = request.header(header::CONTENT_ENCODING, encoding);
        }
        match self.bearer_token().await {
            Ok(Some(token)) => request = request.bearer_auth(token),
            Ok(None) => {}
            Err(reason) => {
                return Verdict::Held {
                    reason,
                    retry_after: None,
                };
            }
        }
        match request.send().await {
            Ok(answer) => self.judge(answer).await,
            Err(error) => Verdict::Retry {
                reason: describe(&error),
                retry_after: None,
            },
        }
    }

    async fn judge(&self, mut answer: reqwest::Response) -> Verdict {
        let text = |name| {
            let value = answer.headers().get(name);
            value.and_then(|value| value.to_str().ok())
        };
        let retry_after = RetryAfter {
            text: text(header::RETRY_AFTER),
            date: text(header::DATE),
        };
        let verdict = judge(answer.status().as_u16(), retry_after, clock::now());
        let mut read = 0;
        while read < MAX_ANSWER_BYTES {
            match answer.chunk().await {
                Ok(Some(chunk)) => read += chunk.len(),
                Ok(None) | Err(_) => break,
            }
        }
        verdict
    }

    /// The token as the file has it now, so that it can be replaced while the gateway runs.
    async fn bearer_token(&self) -> Result<Option<String>, String> {
        let Some(path) = self.bearer_token_file.clone() else {
            return Ok(None);
        };
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path));
        match read.await {
            Ok(Ok(text)) if is_token(text.trim()) => Ok(Some(text.trim().to_owned())),
            Ok(Ok(_)) => Err("bearer_token_file holds no token".to_owned()),
            Ok(Err(error)) => Err(format!("bearer_token_file cannot be read: {error}")),
            Err(error) => Err(format!("bearer_token_file cannot be read: {error}")),
        }
    }
}

/// Whether a text can stand in a header.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An error and what caused it, with the cure for the mistake that is made most.
fn describe(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the request failed".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        let said = source.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = source.source();
    }
    if text.contains("CaUsedAsEndEntity") {
        text.push_str(
            " (the server uses a CA certificate as its own: make one with `-addext basicConstraints=critical,CA:FALSE`)",
        );
    }
    text
}
