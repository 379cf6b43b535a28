//! A plain HTTP client that waits for each answer.

use std::sync::OnceLock;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Gateway, LIMIT};

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// A header's text, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn content_type(&self) -> &str {
        self.header("content-type")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks for a path.
#[track_caller]
pub(crate) fn get(gateway: &Gateway<'_>, path: &str) -> Answer {
    send(gateway, Method::GET, path, |request| request)
}

/// The JSON at a path that answers 200.
#[track_caller]
pub(crate) fn get_json(gateway: &Gateway<'_>, path: &str) -> Value {
    let answer = get(gateway, path);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// Posts a body that says it is JSON.
#[track_caller]
pub(crate) fn post(gateway: &Gateway<'_>, path: &str, body: &str) -> Answer {
    let body = body.to_owned();
    send(gateway, Method::POST, path, |request| {
        request
            .header("content-type", "application/json")
            .body(body)
    })
}

/// Sends a request as `make` makes it.
#[track_caller]
pub(crate) fn send(
    gateway: &Gateway<'_>,
    method: Method,
    path: &str,
    make: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> Answer {
    let (runtime, client) = client();
    let request = make(client.request(method, gateway.url(path)));
    runtime.block_on(async {
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    })
}

fn client() -> &'static (Runtime, Client) {
    static CLIENT: OnceLock<(Runtime, Client)> = OnceLock::new();
    CLIENT.get_or_init(|| {
        // Another test may have been first.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let client = Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
        (runtime, client)
    })
}
