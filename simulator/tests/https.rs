//! The cloud as a gateway sees it: HTTP/1.1 written by hand, over TLS that trusts its CA alone.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{io::Write, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use simulator::cloud::{Cloud, RunningCloud, Step};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const LIMIT: Duration = Duration::from_secs(20);

struct Client(BufReader<TlsStream<TcpStream>>);

struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    async fn connect(cloud: &RunningCloud, name: &'static str) -> Self {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(cloud.ca_file().unwrap()).unwrap();
        roots.add(ca).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(cloud.address()).await.unwrap();
        let name = ServerName::try_from(name).unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends a request; `None` if the connection ends without an answer.
    async fn ask(&mut self, start: &str, headers: &str, body: &[u8]) -> Option<Response> {
        let head = format!(
            "{start} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        self.0.write_all(&request).await.ok()?;
        self.0.flush().await.ok()?;
        self.answer().await
    }

    async fn answer(&mut self) -> Option<Response> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).await.ok()? == 0 {
                return None;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
            rest.split("\r\n").next().unwrap().parse().unwrap()
        });
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.ok()?;
        Some(Response {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            body: String::from_utf8(body).unwrap(),
            head,
        })
    }

    async fn post(&mut self, key: &str, body: &str) -> Option<Response> {
        let key = format!("Idempotency-Key: {key}\r\n");
        self.ask("POST /api/sync", &key, body.as_bytes()).await
    }

    async fn status(&mut self, key: &str, body: &str) -> u16 {
        self.post(key, body).await.unwrap().status
    }
}

/// A batch `number` of the reading `id`.
fn batch(number: u32, id: i64) -> (String, String) {
    let body = format!(
        r#"{{"gateway_id":"edge-1","store_id":"a","batch_id":"{number}","readings":[{{"id":{id},"sensor_id":"s1","value":80.5,"ts":1764000000000,"received_at":1764000000003,"tags":["high"],"attributes":{{"seq":{id}}}}}]}}"#
    );
    (format!("edge-1:a:{number}"), body)
}

async fn cloud() -> RunningCloud {
    Cloud::default().start().await.unwrap()
}

#[tokio::test]
async fn a_batch_is_taken_over_tls_under_each_name_of_the_certificate() {
    let cloud = cloud().await;
    for (number, name) in (1..).zip(["localhost", "127.0.0.1", "::1"]) {
        let (key, body) = batch(number, number.into());
        let answer = Client::connect(&cloud, name)
            .await
            .post(&key, &body)
            .await
            .unwrap();
        assert_eq!(
            (answer.status, answer.body.contains(r#""ok":true"#)),
            (200, true)
        );
    }
    let stats = cloud
        .wait_for(|stats| 3 <= stats.distinct, LIMIT)
        .await
        .unwrap();
    assert_eq!((stats.requests, stats.duplicates), (3, 0));
    assert_eq!(cloud.delivered_ids(), [1, 2, 3]);
    assert_eq!(cloud.delivered()[2].seq, Some(3));
}

#[tokio::test]
async fn a_compressed_batch_is_taken_and_its_repetition_counted() {
    let cloud = cloud().await;
    let mut client = Client::connect(&cloud, "localhost").await;
    let (key, body) = batch(1, 345);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    let zipped = encoder.finish().unwrap();
    let headers = format!("Idempotency-Key: {key}\r\nContent-Encoding: gzip\r\n");
    for _ in 0..2 {
        let answer = client.ask("POST /api/sync", &headers, &zipped).await;
        assert_eq!(answer.unwrap().status, 200);
    }
    // The key stands for what was said, compressed or not.
    assert_eq!(client.status(&key, &body).await, 200);
    let stats = cloud.stats();
    assert_eq!(
        (stats.distinct, stats.duplicates, stats.key_conflicts),
        (1, 2, 0)
    );
    assert_eq!(stats.bytes, (2 * zipped.len() + body.len()) as u64);
}

#[tokio::test]
async fn keys_are_demanded_and_hold_their_body() {
    let cloud = cloud().await;
    let mut client = Client::connect(&cloud, "localhost").await;
    let (key, body) = batch(1, 1);
    let answer = client.ask("POST /api/sync", "", body.as_bytes()).await;
    assert_eq!(answer.unwrap().status, 400);
    assert_eq!(client.status(&key, &body).await, 200);
    assert_eq!(client.status(&key, &batch(1, 2).1).await, 422);
    assert_eq!(client.status("edge-1:a:9", &body).await, 400);
    let stats = cloud.stats();
    assert_eq!((stats.distinct, stats.key_conflicts), (1, 1));
    assert_eq!(
        (
            stats.by_status[&200],
            stats.by_status[&400],
            stats.by_status[&422]
        ),
        (1, 2, 1)
    );
}

#[tokio::test]
async fn the_script_decides_and_only_2xx_stores() {
    let cloud = cloud().await;
    let script = cloud.script();
    script.push(
        Step::status(503)
            .retry_after("2")
            .times(NonZeroU32::new(2).unwrap()),
    );
    script.push(Step::store_then_fail());
    let mut client = Client::connect(&cloud, "localhost").await;
    let (key, body) = batch(1, 1);
    let first = client.post(&key, &body).await.unwrap();
    assert_eq!(
        (first.status, first.head.contains("retry-after: 2\r\n")),
        (503, true)
    );
    assert_eq!(client.status(&key, &body).await, 503);
    assert_eq!(cloud.stats().distinct, 0);
    assert_eq!(client.status(&key, &body).await, 500);
    assert_eq!(cloud.stats().distinct, 1);
    assert_eq!(client.status(&key, &body).await, 200);
    assert_eq!((cloud.stats().distinct, cloud.stats().duplicates), (1, 1));
    script.set_poison_sensors(["s1"]);
    let (key, body) = batch(2, 2);
    assert_eq!(client.status(&key, &body).await, 422);
}

#[tokio::test]
async fn dropped_hung_and_cut_connections_get_no_answer() {
    let cloud = cloud().await;
    let (key, body) = batch(1, 1);
    cloud.script().push(Step::close());
    assert!(
        Client::connect(&cloud, "localhost")
            .await
            .post(&key, &body)
            .await
            .is_none()
    );
    assert_eq!(cloud.stats().dropped, 1);

    cloud.script().push(Step::hang());
    let mut hung = Client::connect(&cloud, "localhost").await;
    let (answer, ()) = tokio::join!(hung.post(&key, &body), async {
        cloud
            .wait_for(|stats| stats.hanging == 1, LIMIT)
            .await
            .unwrap();
        cloud.script().clear();
    });
    assert!(answer.is_none());

    let mut idle = Client::connect(&cloud, "localhost").await;
    assert_eq!(idle.status(&key, &body).await, 200);
    cloud.set_outage(true);
    assert!(idle.answer().await.is_none());
    let mut refused = TcpStream::connect(cloud.address()).await.unwrap();
    assert!(!matches!(refused.read(&mut [0]).await, Ok(1..)));
    cloud.set_outage(false);
    assert_eq!(
        Client::connect(&cloud, "localhost")
            .await
            .status(&key, &body)
            .await,
        200
    );
}

#[tokio::test]
async fn silent_clients_hold_up_nobody() {
    let cloud = cloud().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(cloud.address()).await.unwrap());
    }
    let (key, body) = batch(1, 1);
    let prompt = async {
        Client::connect(&cloud, "localhost")
            .await
            .status(&key, &body)
            .await
    };
    // Well under the limit of a handshake.
    assert_eq!(timeout(Duration::from_secs(5), prompt).await, Ok(200));
}

#[tokio::test]
async fn script_and_counts_are_reached_over_http() {
    let cloud = cloud().await;
    let mut client = Client::connect(&cloud, "localhost").await;
    let plan = br#"{"default":{"status":429,"body":"slow down"}}"#;
    assert_eq!(
        client.ask("PUT /script", "", plan).await.unwrap().status,
        204
    );
    let (key, body) = batch(1, 1);
    let answer = client.post(&key, &body).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (429, "slow down"));
    let refused = client
        .ask("PUT /script", "", br#"{"default":{"status":99}}"#)
        .await;
    assert_eq!(refused.unwrap().status, 422);
    let stats = client.ask("GET /stats", "", b"").await.unwrap().body;
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(
        (&stats["requests"], &stats["by_status"]["429"]),
        (&1.into(), &1.into())
    );
}

#[tokio::test]
async fn the_token_is_demanded() {
    let cloud = Cloud {
        expect_token: Some("secret".to_owned()),
        ..Cloud::default()
    };
    let cloud = cloud.start().await.unwrap();
    let mut client = Client::connect(&cloud, "localhost").await;
    let (key, body) = batch(1, 1);
    assert_eq!(client.status(&key, &body).await, 401);
    let headers = format!("Idempotency-Key: {key}\r\nAuthorization: Bearer secret\r\n");
    let answer = client
        .ask("POST /api/sync", &headers, body.as_bytes())
        .await;
    assert_eq!(answer.unwrap().status, 200);
}

#[tokio::test]
async fn shutdown_ends_idle_and_hung_connections_and_frees_the_address() {
    let cloud = cloud().await;
    let (address, ca) = (cloud.address(), cloud.ca_file().unwrap().to_owned());
    cloud.script().set_default(Step::hang());
    let mut idle = Client::connect(&cloud, "localhost").await;
    let mut hung = Client::connect(&cloud, "localhost").await;
    let (key, body) = batch(1, 1);
    let (answer, stats) = tokio::join!(hung.post(&key, &body), async {
        cloud
            .wait_for(|stats| stats.hanging == 1, LIMIT)
            .await
            .unwrap();
        timeout(LIMIT, cloud.shutdown()).await.unwrap()
    });
    assert!(answer.is_none() && idle.answer().await.is_none());
    assert_eq!(stats.dropped, 1);
    assert!(!ca.exists());
    assert_listens_again(address).await;
}

async fn assert_listens_again(listen: SocketAddr) {
    let cloud = Cloud {
        listen,
        plain: true,
        ..Cloud::default()
    };
    assert_eq!(cloud.start().await.unwrap().address(), listen);
}
