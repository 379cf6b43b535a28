//! The way to a receiver that speaks HTTPS. Certificates are always verified; redirects are never followed.

mod body;

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Request, Response, Url, redirect::Policy};
use tokio::task::spawn_blocking;

use self::body::Paced;
use super::failure;
use super::payload::Body;
use super::rate::Bucket;
use super::secret::read_secret;
use super::uplink::{Sent, UplinkError, client_files};
use super::verdict::{Answer, Verdict, judge};
use crate::clock;
use crate::config::{self, Uplink as Config};
use crate::tls::{ClientFiles, Stamp};

/// Of an answer's body so much is read.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// What does not stand for itself in a path's segment or a query (RFC 3986, section 3.3).
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'/')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'{')
    .add(b'}');

/// An HTTPS receiver.
#[derive(Debug)]
pub(super) struct Https {
    config: Arc<Config>,
    files: ClientFiles,
    /// Made anew when the files change; requests under way end with the one they began with.
    client: Mutex<(Client, [Option<Stamp>; 3])>,
    bucket: Option<Arc<Mutex<Bucket>>>,
    /// The last request could not be made for what its files say.
    has_bad_secrets: AtomicBool,
}

impl Https {
    /// Sets up what the section says. Reads its certificates; connects to nobody yet.
    pub(super) fn new(config: &Config) -> Result<Self, UplinkError> {
        let files = client_files(&config.files);
        let stamps = files.stamps();
        let client = client(config, &files)?;
        let bucket = config.max_rate.map(Bucket::new);
        Ok(Self {
            config: Arc::new(config.clone()),
            files,
            client: Mutex::new((client, stamps)),
            bucket: bucket.map(|bucket| Arc::new(Mutex::new(bucket))),
            has_bad_secrets: AtomicBool::new(false),
        })
    }

    /// Sends one body once and judges the answer.
    pub(super) async fn send(&self, idempotency_key: &str, body: Body) -> Sent {
        let sent = Arc::<AtomicU64>::default();
        let verdict = match self.request(idempotency_key, body, &sent).await {
            Ok((client, request)) => match client.execute(request).await {
                Ok(answer) => self.judge(answer).await,
                Err(error) => unanswered(&error, &describe(&error)),
            },
            // A file may be in the middle of being replaced.
            Err(reason) if !self.has_bad_secrets.swap(true, Ordering::Relaxed) => {
                Verdict::retry(reason)
            }
            Err(reason) => Verdict::held(reason),
        };
        Sent {
            verdict,
            bytes: sent.load(Ordering::Relaxed),
        }
    }

    async fn request(
        &self,
        idempotency_key: &str,
        body: Body,
        sent: &Arc<AtomicU64>,
    ) -> Result<(Client, Request), String> {
        let secrets = self.secrets().await?;
        self.has_bad_secrets.store(false, Ordering::Relaxed);
        let mut url = self.config.url.to_string();
        let mut headers = HeaderMap::new();
        if let Some(token) = &secrets.token {
            if url.contains(Config::TOKEN) {
                let token = utf8_percent_encode(token, RESERVED).to_string();
                url = url.replace(Config::TOKEN, &token);
            } else {
                let bearer = secret_value(&format!("Bearer {token}"), "bearer_token_file")?;
                headers.insert(header::AUTHORIZATION, bearer);
            }
        }
        headers.extend(secrets.headers);
        let url = Url::parse(&url).map_err(|_| "the URL cannot be read".to_owned())?;
        let text = |value: &str| HeaderValue::from_str(value).map_err(|error| error.to_string());
        headers.insert(header::CONTENT_TYPE, text(body.content_type)?);
        headers.insert(header::ACCEPT_ENCODING, text("identity")?);
        if let Some(encoding) = body.content_encoding {
            headers.insert(header::CONTENT_ENCODING, text(encoding)?);
        }
        headers.insert("idempotency-key", text(idempotency_key)?);
        let head = head_size(&url, &headers);
        let length = head + body.bytes.len();
        let pacing = self.bucket.as_ref();
        let slowest = pacing.map(|bucket| lock(bucket).time_of(length * self.config.at_once()));
        let mut request = Request::new(reqwest::Method::POST, url);
        *request.headers_mut() = headers;
        // What the own rate takes is not the receiver's fault.
        *request.timeout_mut() = Some(self.config.timeout + slowest.unwrap_or_default());
        let paced = Paced::new(body.bytes, head, pacing.cloned(), Arc::clone(sent));
        *request.body_mut() = Some(reqwest::Body::wrap(paced));
        Ok((secrets.client, request))
    }

    async fn judge(&self, mut answer: Response) -> Verdict {
        let (mut body, mut is_cut) = (Vec::new(), false);
        while !is_cut {
            match answer.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) if answer.status().is_success() => {
                    let (status, cause) = (answer.status(), describe(&error));
                    let reason = format!("{} cut short: {cause}", status.as_u16());
                    return unanswered(&error, &reason);
                }
                // What other statuses mean does not depend on their words.
                Err(_) => break,
            }
            is_cut = MAX_ANSWER_BYTES <= body.len();
        }
        let text = |name| {
            let value = answer.headers().get(name);
            value.and_then(|value| value.to_str().ok())
        };
        let location = text(header::LOCATION);
        let location = location.and_then(|location| answer.url().join(location).ok());
        let answer = Answer {
            status: answer.status().as_u16(),
            retry_after: text(header::RETRY_AFTER),
            date: text(header::DATE),
            location: location.as_ref().and_then(Url::host_str),
            body: &body,
            is_encoded: !body.is_empty()
                && text(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity"),
            is_cut,
        };
        judge(&answer, &self.config.expect, clock::now())
    }

    /// What the files say now, so that they can be replaced while the gateway runs.
    async fn secrets(&self) -> Result<Secrets, String> {
        let (config, files) = (Arc::clone(&self.config), self.files.clone());
        let (client, stamps) = self.client().clone();
        let read = move || -> Result<(Secrets, [Option<Stamp>; 3]), String> {
            let token = config.files.bearer_token.as_deref();
            let token = token.map(|path| read_secret(path, "bearer_token_file"));
            let mut headers = HeaderMap::new();
            for header in &config.headers {
                let value = match &header.value {
                    config::HeaderValue::Text(text) => secret_value(text, &header.name)?,
                    config::HeaderValue::File(path) => {
                        let what = format!("headers.{}", header.name);
                        secret_value(&read_secret(path, &what)?, &what)?
                    }
                };
                let name = HeaderName::try_from(&*header.name);
                headers.insert(name.map_err(|error| error.to_string())?, value);
            }
            let now = files.stamps();
            let client = if now == stamps {
                client
            } else {
                let uplink = &config.name;
                match self::client(&config, &files) {
                    Ok(made) => {
                        tracing::info!(%uplink, "certificates of the uplink are read again");
                        made
                    }
                    // They may be in the middle of being replaced.
                    Err(error) => {
                        tracing::warn!(%uplink, %error, "certificates of the uplink are not as they should be: the old ones stay");
                        client
                    }
                }
            };
            let token = token.transpose()?;
            let secrets = Secrets {
                client,
                token,
                headers,
            };
            Ok((secrets, now))
        };
        let read = spawn_blocking(read).await;
        let (secrets, stamps) = read.map_err(|error| error.to_string())??;
        *self.client() = (secrets.client.clone(), stamps);
        Ok(secrets)
    }

    fn client(&self) -> std::sync::MutexGuard<'_, (Client, [Option<Stamp>; 3])> {
        lock(&self.client)
    }
}

/// What a request is made with.
struct Secrets {
    client: Client,
    token: Option<String>,
    headers: HeaderMap,
}

fn unanswered(error: &reqwest::Error, reason: &str) -> Verdict {
    // A connection that does not come about in time carries nothing.
    if error.is_timeout() && !error.is_connect() {
        Verdict::timeout(reason)
    } else {
        Verdict::retry(reason)
    }
}

/// An error and what caused it.
fn describe(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the request failed"
    };
    failure::describe(what, error.source())
}

fn client(config: &Config, files: &ClientFiles) -> Result<Client, UplinkError> {
    let mut tls = files.config()?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut client = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .connect_timeout(config.timeout)
        .pool_idle_timeout(Duration::from_secs(60))
        // Else all requests would go on over a connection that has died without a word.
        .http2_keep_alive_interval(config.timeout)
        .http2_keep_alive_timeout(config.timeout)
        .tcp_nodelay(true)
        .user_agent(concat!("edge-gateway/", env!("CARGO_PKG_VERSION")));
    if !config.may_use_proxy() {
        client = client.no_proxy();
    }
    Ok(client.build()?)
}

/// A header's value that no log shows.
fn secret_value(text: &str, what: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(text);
    let mut value = value.map_err(|_| format!("{what} cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// About how many bytes a request has before its body: those of HTTP/1.1 (RFC 9112, section 3), with the headers that the
/// client adds.
fn head_size(url: &Url, headers: &HeaderMap) -> usize {
    const ADDED: usize = 120;
    let line = "POST  HTTP/1.1\r\n".len() + url.path().len() + url.query().map_or(0, str::len);
    let sizes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    line + sizes.sum::<usize>() + ADDED
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
