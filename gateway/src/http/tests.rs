//! The router in-process, on a real store and a real committer.

mod alerts;
mod answers;
mod connections;
mod life;
mod openapi;
mod rejects;
mod rules;
mod visitors;

use std::{
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
};

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Handle};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::access::Peer;
use super::*;
use crate::config::{AccessFiles, Config, RuleSource};
use crate::domain::message::Message;
use crate::ingest::{Committer, Decoder, Outlet, Routed, RuleBook, Settings, SubmissionReceiver};
use crate::rules::RuleSet;
use crate::store::{StoreError, Writer};

const HERE: &str = "127.0.0.1:40000";

/// A server and what it stands on.
struct House {
    shared: Arc<Shared>,
    uplink: Arc<Mutex<UplinkStatus>>,
    folder: TempDir,
    arriving: mpsc::Receiver<Guest>,
}

/// What is needed to start the committer later.
struct Works {
    writer: Writer,
    receiver: SubmissionReceiver,
}

impl House {
    /// With a committer that runs, one uplink, and loopback let in.
    fn open() -> Self {
        let (house, works) = Self::idle(Anonymous::Loopback);
        works.start(&house);
        house
    }

    /// The committer does not run yet.
    fn idle(anonymous: Anonymous) -> (Self, Works) {
        let folder = tempfile::tempdir().unwrap();
        Self::idle_in(folder, |http| http.anonymous = anonymous)
    }

    /// Its files may be in the folder already.
    fn idle_in(folder: TempDir, configure: impl FnOnce(&mut Http)) -> (Self, Works) {
        let writer = Writer::open(&folder.path().join("gateway.db")).unwrap();
        let (queue, receiver) = SubmissionQueue::new();
        let uplink = Arc::new(Mutex::new(UplinkStatus {
            name: "cloud".into(),
            last_verdict: Some("retry: 503".to_owned()),
            next_attempt_seconds: Some(40.1),
            drain_seconds: None,
            bytes_today: 0,
            held: None,
        }));
        let asked = Arc::clone(&uplink);
        let handle: UplinkHandle = Arc::new(move || asked.lock().unwrap().clone());
        let mut config = Http {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            anonymous: Anonymous::Loopback,
            token_file: None,
            allowed_origins: Vec::new(),
            host_name: None,
            tls: None,
        };
        configure(&mut config);
        let files = AccessFiles {
            tokens: config.token_file.clone(),
            ..AccessFiles::default()
        };
        let access = Access::open(files, Anonymous::Never).unwrap();
        let (guests, arriving) = mpsc::channel(1);
        let book = RuleBook::new(Vec::new(), RuleSource::default(), SubmissionQueue::new().0);
        let surroundings = Surroundings {
            gateway_id: "edge-1".into(),
            reader: writer.reader(),
            submissions: queue,
            health: Arc::default(),
            uplinks: vec![(writer.reader().uplinks()[0], handle)],
            rule_book: Arc::new(book),
            traces: Arc::default(),
            decoder: Arc::new(Decoder::new(
                &Config::load(None, std::iter::empty()).unwrap().ingest,
            )),
            access: Arc::new(access),
            mqtt: SocketAddr::from(([127, 0, 0, 1], 1883)),
            guests,
            metrics: Arc::default(),
            max_bytes: 1 << 30,
            log_filter: Arc::default(),
        };
        let server = Server::new(&config, surroundings);
        let house = Self {
            shared: server.shared,
            uplink,
            folder,
            arriving,
        };
        (house, Works { writer, receiver })
    }

    fn server(&self) -> Server {
        Server {
            shared: Arc::clone(&self.shared),
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        self.send_from(HERE, request).await
    }

    async fn send_from(&self, peer: &str, mut request: Request<Body>) -> Answer {
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(Peer {
            address: peer,
            is_tls: false,
            is_certified: false,
        });
        let router = router(Arc::clone(&self.shared));
        Answer::of(router.oneshot(request).await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, "")).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(request(Method::POST, path, body)).await
    }

    async fn post_as(&self, content_type: &str, path: &str, body: &str) -> Answer {
        let mut request = request(Method::POST, path, body.to_owned());
        let content_type = content_type.parse().unwrap();
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        self.send(request).await
    }
}

/// Nobody wants any message.
struct Nobody;

impl Outlet for Nobody {
    fn route(&self, _: &Arc<Message>) -> Routed {
        Routed::default()
    }

    fn publish(&self, _: Arc<Message>, _: Routed) {}
}

impl Works {
    fn start(self, house: &House) -> thread::JoinHandle<Result<(), StoreError>> {
        let rules = Config::load(None, std::iter::empty()).unwrap().rules;
        let settings = Settings {
            gateway_id: "edge-1".into(),
            group_commit: Duration::ZERO,
            max_bytes: 1 << 30,
            max_devices: 100,
            outlet: Box::new(Nobody),
            outbox_wakes: Vec::new(),
            metrics: Arc::clone(&house.shared.metrics),
            traces: Arc::clone(&house.shared.traces),
            health: Arc::clone(&house.shared.health),
            pulse: Arc::default(),
            give_up: CancellationToken::new(),
        };
        let engine = RuleSet::compile(&rules).unwrap();
        let runtime = Handle::current();
        Committer::spawn(self.writer, engine, self.receiver, settings, runtime).unwrap()
    }
}

fn request(method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    let builder = Request::builder().method(method).uri(path);
    builder.body(body.into()).unwrap()
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Self {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    #[track_caller]
    fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// A problem document with this status; gives it.
    #[track_caller]
    fn is_problem(&self, status: u16) -> Value {
        self.is(status);
        assert_eq!(
            self.header(header::CONTENT_TYPE),
            "application/problem+json"
        );
        let document = self.json();
        assert_eq!(document["type"], "about:blank");
        assert_eq!(document["status"], status);
        assert_eq!(
            document["title"],
            self.status.canonical_reason().unwrap_or_default()
        );
        assert!(
            document["detail"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        document
    }
}

#[tokio::test]
async fn a_reading_is_shown_once_it_is_acknowledged() {
    let house = House::open();
    let answer = house.post("/data", r#"{"id":"s1","value":80}"#).await;
    assert_eq!(
        answer.is(201).text,
        r#"{"status":"success","message":"Data received!"}"#
    );
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
    let several = r#"[{"sensor_id":"s2","value":1.5},{"sensor_id":"s1","value":90}]"#;
    house.post("/data", several).await.is(201);
    assert_eq!(
        house.get("/data").await.is(200).text,
        r#"{"s1":90.0,"s2":1.5}"#
    );
    let received = &house.shared.received;
    assert_eq!(received.get(), 3);
}

#[tokio::test]
async fn a_refused_request_leaves_nothing() {
    let house = House::open();
    let check = async |body: &str, status: u16, index: Option<usize>| {
        let problem = house
            .post("/data", body.to_owned())
            .await
            .is_problem(status);
        assert_eq!(
            problem.get("index"),
            index.map(Value::from).as_ref(),
            "{body}"
        );
    };
    check("", 400, None).await;
    check(r#"{"id":"s1","value":80"#, 400, None).await;
    check(r#"[{"id":"s1","value":1},"#, 400, None).await;
    check("[]", 422, Some(0)).await;
    check("7", 422, Some(0)).await;
    check(r#"{"value":7}"#, 422, Some(0)).await;
    check(r#"{"id":"s1","value":"hot"}"#, 422, Some(0)).await;
    check(
        r#"[{"id":"s1","value":1},{"id":"a+b","value":1}]"#,
        422,
        Some(1),
    )
    .await;
    assert_eq!(house.get("/data").await.json(), json!({}));
    let metrics = house.get("/metrics").await.text;
    assert!(metrics.contains("gateway_readings_received_total{transport=\"http\"} 0"));
    let rejected = |line: &&str| line.starts_with("gateway_readings_rejected_total{");
    let mut rejected = metrics.lines().filter(rejected);
    assert!(rejected.all(|line| line.ends_with(" 0")));
}

#[tokio::test]
async fn only_json_is_taken() {
    let house = House::open();
    let reading = r#"{"id":"s1","value":80}"#;
    for good in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/senml+json",
    ] {
        house.post_as(good, "/data", reading).await.is(201);
    }
    for bad in ["text/plain", "application/x-www-form-urlencoded", "json"] {
        house.post_as(bad, "/data", reading).await.is_problem(415);
    }
    let status = r#"{"device_id":"d1","status":"online"}"#;
    let answer = house.post_as("text/plain", "/status", status).await;
    answer.is_problem(415);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let house = House::open();
    let padded = |length: usize| {
        let reading = r#"{"id":"s1","value":80}"#;
        reading.to_owned() + &" ".repeat(length - reading.len())
    };
    house.post("/data", padded(body::MAX_BYTES)).await.is(201);
    let large = padded(body::MAX_BYTES + 1);
    house.post("/data", large.clone()).await.is_problem(413);
    house.post("/status", large).await.is_problem(413);
    let huge = padded(17 * body::MAX_BYTES);
    house.post("/data", huge).await.is_problem(413);
}

#[tokio::test]
async fn a_status_comes_by_query_or_by_body() {
    let house = House::open();
    let answer = house.post("/status?device_id=d1&status=online", "").await;
    assert_eq!(answer.is(200).text, r#"{"status":"success"}"#);
    let body = r#"{"device_id":"d2","status":"offline"}"#;
    house.post("/status", body).await.is(200);
    let body = r#"{"device_id":"d9","status":"a b"}"#;
    house.post("/status?device_id=d3", body).await.is(200);
    house
        .post("/status?device_id=caf%C3%A9&status=a%20b", "no JSON")
        .await
        .is(200);
    assert_eq!(
        house.get("/status").await.is(200).text,
        r#"{"café":"a b","d1":"online","d2":"offline","d3":"a b"}"#
    );
}

#[tokio::test]
async fn a_bad_status_is_refused() {
    let house = House::open();
    let check = async |path: &str, body: &str, status: u16| {
        let answer = house.post(path, body.to_owned()).await;
        answer.is_problem(status);
    };
    check("/status", "", 422).await;
    check("/status?device_id=d1", "", 422).await;
    check("/status", r#"{"device_id":"d1"}"#, 422).await;
    check("/status", r#"{"device_id":7,"status":"online"}"#, 422).await;
    check("/status", r#"{"device_id":"d1","#, 400).await;
    check("/status?device_id=a%2Fb&status=online", "", 422).await;
    check("/status?device_id=d1&status=", "", 422).await;
    assert_eq!(house.get("/status").await.json(), json!({}));
}

#[tokio::test]
async fn paging_neither_skips_nor_repeats() {
    let house = House::open();
    let readings: Vec<Value> = (0..250)
        .map(|n| json!({"sensor_id": format!("s{}", n % 2), "value": n, "ts": 1_764_000_000_000_i64 + n}))
        .collect();
    let all = Value::from(readings).to_string();
    house.post("/data", all).await.is(201);
    let check = async |query: &str, limit: usize, expected: Vec<f64>| {
        let mut seen = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/api/v1/readings?limit={limit}{query}{after}");
            let page = house.get(&path).await.is(200).json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit);
            seen.extend(items.iter().map(|item| item["value"].as_f64().unwrap()));
            // What comes in meanwhile stands before the first page.
            house
                .post("/data", r#"{"id":"s0","value":-1}"#)
                .await
                .is(201);
            match page["next"].as_i64() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        seen.retain(|value| 0.0 <= *value);
        assert_eq!(seen, expected, "{query}");
    };
    let down = |step| (0..250).rev().step_by(step).map(f64::from).collect();
    check("", 7, down(1)).await;
    check("", 249, down(1)).await;
    check("", 10_000, down(1)).await;
    check("&sensor=s1", 40, down(2)).await;
    check("&sensor=nobody", 40, Vec::new()).await;
}

#[tokio::test]
async fn a_stored_reading_has_the_shape_of_the_contract() {
    let house = House::open();
    let body = r#"{"sensor_id":"s1","value":80,"ts":1764000000000,"seq":7}"#;
    house.post("/data", body).await.is(201);
    let answer = house.get("/api/v1/readings").await;
    assert_eq!(
        answer.is(200).header(header::CONTENT_TYPE),
        "application/json"
    );
    let mut page = answer.json();
    assert!(page["items"][0]["received_at"].take().is_i64());
    assert_eq!(
        page,
        json!({"items": [{
            "id": 1, "sensor_id": "s1", "value": 80.0, "ts": 1_764_000_000_000_i64, "received_at": null,
            "tags": ["high"], "attributes": {"seq": 7},
        }], "next": null})
    );
}

#[tokio::test]
async fn ndjson_has_one_reading_a_line() {
    let house = House::open();
    let body = r#"[{"id":"a b","value":1},{"id":"a b","value":2},{"id":"a b","value":3}]"#;
    house.post("/data", body).await.is(201);
    let answer = house
        .get("/api/v1/readings?format=ndjson&limit=2&sensor=a%20b")
        .await;
    assert_eq!(
        answer.is(200).header(header::CONTENT_TYPE),
        "application/x-ndjson"
    );
    let values = |text: &str| -> Vec<f64> {
        let value = |line| serde_json::from_str::<Value>(line).unwrap()["value"].as_f64();
        text.lines().map(|line| value(line).unwrap()).collect()
    };
    assert_eq!(values(&answer.text), [3.0, 2.0]);
    let link = answer.header(header::LINK);
    let query = link
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix(">; rel=\"next\""))
        .unwrap();
    let rest = house.get(&format!("/api/v1/readings{query}")).await;
    assert_eq!(values(&rest.is(200).text), [1.0]);
    assert!(rest.text.ends_with("}\n"));
    assert_eq!(rest.header(header::LINK), "");
}

#[tokio::test]
async fn a_time_is_from_its_begin_up_to_its_end() {
    let house = House::open();
    let at = |second: u32| format!(r#"{{"id":"s1","value":{second},"ts":{second}000}}"#);
    // One comes late.
    let body = [1, 2, 4, 3, 5].map(at).join(",");
    house.post("/data", format!("[{body}]")).await.is(201);
    let values = async |query: &str| -> Vec<f64> {
        let page = house.get(&format!("/api/v1/readings?{query}")).await;
        let page = page.is(200).json();
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["value"].as_f64().unwrap()).collect()
    };
    assert_eq!(values("from=2000&to=4000").await, [3.0, 2.0]);
    assert_eq!(values("from=1970-01-01T00:00:04Z").await, [5.0, 4.0]);
    assert_eq!(values("to=2000&sensor=s1").await, [1.0]);
    assert_eq!(values("from=4000&to=4000").await, [0.0; 0]);
}

#[tokio::test]
async fn csv_has_the_columns_of_the_contract() {
    let house = House::open();
    let body =
        r#"[{"id":"s1","value":80,"ts":1000,"unit":"°C, dry"},{"id":"s1","value":1.5,"ts":2000}]"#;
    house.post("/data", body).await.is(201);
    let answer = house.get("/api/v1/readings?format=csv").await;
    let content_type = answer.is(200).header(header::CONTENT_TYPE);
    assert_eq!(content_type, "text/csv; charset=utf-8; header=present");
    let lines: Vec<&str> = answer.text.split_terminator("\r\n").collect();
    assert_eq!(
        lines[0],
        "id,sensor_id,value,ts,received_at,tags,attributes"
    );
    let second: Vec<&str> = lines[1].split(',').collect();
    assert_eq!(
        (second[..4].join(","), second[5], second[6]),
        ("2,s1,1.5,2000".to_owned(), "[]", "{}")
    );
    assert!(lines[2].starts_with("1,s1,80.0,1000,"));
    assert!(
        lines[2].ends_with(r#","[""high""]","{""unit"":""°C, dry""}""#),
        "{}",
        lines[2]
    );
}

#[tokio::test]
async fn without_a_limit_lines_are_streamed_to_the_last() {
    let house = House::open();
    for _ in 0..3 {
        let readings = [(); 1000].map(|()| json!({"id": "s1", "value": 1}));
        let body = Value::from(readings.to_vec()).to_string();
        house.post("/data", body).await.is(201);
    }
    for (format, lines) in [("ndjson", 3000), ("csv", 3001)] {
        let answer = house
            .get(&format!("/api/v1/readings?format={format}"))
            .await;
        assert_eq!(answer.is(200).text.lines().count(), lines);
        assert_eq!(answer.header(header::LINK), "", "nothing is left");
    }
    let answer = house.get("/api/v1/readings?format=ndjson&after=11").await;
    assert_eq!(answer.is(200).text.lines().count(), 10);
}

#[tokio::test]
async fn sensors_are_listed_with_their_last_reading() {
    let house = House::open();
    let body = r#"[{"id":"b","value":1},{"id":"a","value":2},{"id":"b","value":3,"seq":7}]"#;
    house.post("/data", body).await.is(201);
    let first = house.get("/api/v1/sensors?limit=1").await.is(200).json();
    let sensor = &first["items"][0];
    assert_eq!(
        (&sensor["sensor_id"], &sensor["count"]),
        (&json!("b"), &json!(2))
    );
    assert_eq!(
        (&sensor["last"]["id"], &sensor["last"]["value"]),
        (&json!(3), &json!(3.0))
    );
    assert_eq!(sensor["last"]["attributes"], json!({"seq": 7}));
    let rest = format!("/api/v1/sensors?after={}", first["next"]);
    let rest = house.get(&rest).await.is(200).json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&rest["items"][0]["sensor_id"], &rest["next"]),
        (&json!("a"), &Value::Null)
    );
    house.get("/api/v1/sensors?limit=0").await.is_problem(400);
    house.get("/api/v1/sensors?sensor=a").await.is_problem(400);
}

#[tokio::test]
async fn a_series_has_the_shape_of_the_contract() {
    let house = House::open();
    let at = |second: u32| format!(r#"{{"id":"s1","value":{second},"ts":{second}000}}"#);
    // One comes late, and one is of another sensor.
    let body = [1, 2, 4, 3, 9].map(at).join(",");
    let body = format!(r#"[{body},{{"id":"s2","value":7}}]"#);
    house.post("/data", body).await.is(201);
    let series = async |query: &str| -> Value {
        let answer = house.get(&format!("/api/v1/series?sensor={query}")).await;
        answer.is(200).json()
    };
    assert_eq!(
        series("s1&from=1000&to=9000&points=4").await,
        json!({"items": [
            {"ts": 1000, "min": 1.0, "avg": 1.5, "max": 2.0, "count": 2},
            {"ts": 3000, "min": 3.0, "avg": 3.5, "max": 4.0, "count": 2},
        ], "next": null})
    );
    let whole = series("s1&from=0&to=2199-12-31T00:00:00Z&points=1").await;
    assert_eq!(whole["items"].as_array().unwrap().len(), 1);
    assert_eq!(whole["items"][0]["count"], 5);
    // Buckets are no shorter than a millisecond.
    let short = series("s1&from=1000&to=1003&points=10000").await;
    assert_eq!(short["items"][0]["ts"], 1000);
    let nothing = json!({"items": [], "next": null});
    for empty in ["nobody", "s1&from=9&to=9", "s1&from=9000&to=8000", "s1"] {
        assert_eq!(series(empty).await, nothing, "{empty}");
    }
    // The last day, if nobody says otherwise; and the day before `to`.
    assert_eq!(series("s2").await["items"][0]["count"], 1);
    assert_eq!(
        series("s1&to=9000").await["items"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
}

#[tokio::test]
async fn a_bad_parameter_of_a_series_is_named() {
    let house = House::open();
    for (query, name) in [
        ("", "sensor"),
        ("points=3", "sensor"),
        ("sensor=", "sensor"),
        ("sensor=s1&sensor=s2", "sensor"),
        ("sensor=s1&points=0", "points"),
        ("sensor=s1&points=10001", "points"),
        ("sensor=s1&points=x", "points"),
        ("sensor=s1&from=x", "from"),
        ("sensor=s1&to=-1", "to"),
        ("sensor=s1&limit=1", "limit"),
    ] {
        let answer = house.get(&format!("/api/v1/series?{query}")).await;
        let problem = answer.is_problem(400);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("`{name}`")), "{query}: {detail}");
    }
}

#[tokio::test]
async fn a_large_page_ends_early() {
    let house = House::open();
    let note = "x".repeat(100_000);
    let readings = [(); 10].map(|()| json!({"id": "s1", "value": 1, "note": note}));
    let body = Value::from(readings.to_vec()).to_string();
    for _ in 0..15 {
        house.post("/data", body.clone()).await.is(201);
    }
    let page = house.get("/api/v1/readings?limit=150").await.is(200).json();
    let first = page["items"].as_array().unwrap().len();
    assert!(first < 150);
    let next = page["next"].as_i64().unwrap();
    let rest = house
        .get(&format!("/api/v1/readings?limit=150&after={next}"))
        .await
        .json();
    assert_eq!(first + rest["items"].as_array().unwrap().len(), 150);
    assert_eq!(rest["next"], Value::Null);
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let house = House::open();
    let check = async |query: &str, name: &str| {
        let problem = house
            .get(&format!("/api/v1/readings?{query}"))
            .await
            .is_problem(400);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("`{name}`")), "{detail}");
    };
    for bad in [
        "0",
        "-1",
        "+1",
        "10001",
        "1.5",
        "many",
        "",
        "99999999999999999999",
    ] {
        check(&format!("limit={bad}"), "limit").await;
    }
    for bad in ["0", "-9223372036854775808", "x", ""] {
        check(&format!("after={bad}"), "after").await;
    }
    for bad in ["", "a%2Bb", "%24SYS"] {
        check(&format!("sensor={bad}"), "sensor").await;
    }
    check("format=xml", "format").await;
    check("from=x", "from").await;
    check("to=1969-01-01T00:00:00Z", "to").await;
    check("limit=1&limit=2", "limit").await;
    check("sensors=s1", "sensors").await;
}

#[tokio::test]
async fn the_outbox_tells_what_waits() {
    let house = House::open();
    let mut empty = house.get("/api/v1/outbox").await.is(200).json();
    assert_eq!(empty["uplinks"].take()[0]["pending"], 0);
    assert_eq!(
        empty,
        json!({
            "pending": 0, "oldest_seconds": null, "last_verdict": "retry: 503", "next_attempt_seconds": 40.1,
            "drain_seconds": null, "uplinks": null,
        })
    );
    let body = r#"[{"id":"s1","value":51},{"id":"s1","value":50},{"id":"s1","value":99}]"#;
    house.post("/data", body).await.is(201);
    let outbox = house.get("/api/v1/outbox").await.is(200).json();
    assert_eq!(outbox["pending"], 2);
    assert!(outbox["oldest_seconds"].is_f64());
    assert_eq!(outbox["uplinks"].as_array().unwrap().len(), 1);
    let uplink = &outbox["uplinks"][0];
    assert_eq!(uplink["name"], "cloud");
    for key in [
        "pending",
        "oldest_seconds",
        "last_verdict",
        "next_attempt_seconds",
        "drain_seconds",
    ] {
        assert_eq!(uplink.get(key), outbox.get(key), "{key}");
        assert!(uplink.get(key).is_some(), "{key}");
    }
}

#[tokio::test]
async fn an_uplink_that_is_held_is_alive_but_not_ready() {
    let house = House::open();
    house.get("/healthz").await.is(200);
    let ready = house.get("/readyz").await.is(200).json();
    assert_eq!(
        ready,
        json!({"status": "ready", "checks": [
            {"name": "committer", "ok": true, "detail": null},
            {"name": "store", "ok": true, "detail": null},
            {"name": "uplink:cloud", "ok": true, "detail": null},
        ]})
    );
    house.uplink.lock().unwrap().held = Some("held: 401".to_owned());
    let answer = house.get("/healthz").await;
    assert_eq!(answer.is(200).text, r#"{"status":"ok"}"#);
    let ready = house.get("/readyz").await.is(503).json();
    assert_eq!(ready["status"], "not ready");
    assert_eq!(
        ready["checks"][2],
        json!({"name": "uplink:cloud", "ok": false, "detail": "held: 401"})
    );
}

#[tokio::test]
async fn without_its_committer_the_gateway_is_not_alive() {
    let (mut house, works) = House::idle(Anonymous::Loopback);
    let committer = works.start(&house);
    // It ends when nobody can submit any more.
    Arc::get_mut(&mut house.shared).unwrap().submissions = SubmissionQueue::new().0;
    committer.join().unwrap().unwrap();
    let problem = house.get("/healthz").await.is_problem(503);
    assert_eq!(problem["detail"], "the committer has ended");
    let ready = house.get("/readyz").await.is(503).json();
    assert_eq!(ready["checks"][0]["ok"], false);
    assert_eq!(ready["checks"][1]["ok"], true);
    let reading = r#"{"id":"s1","value":1}"#;
    house.post("/data", reading).await.is_problem(503);
}

#[tokio::test]
async fn what_the_gateway_did_not_commit_is_not_acknowledged() {
    let (house, works) = House::idle(Anonymous::Loopback);
    let (answer, ()) = tokio::join!(
        house.post("/data", r#"{"id":"s1","value":1}"#),
        async move { drop(works.receiver) }
    );
    answer.is_problem(503);
    assert_eq!(house.get("/data").await.json(), json!({}));
}

#[tokio::test]
async fn the_cause_of_an_internal_failure_stays_inside() {
    let house = House::open();
    // Or the committer's first commit might come behind the deletion, and put the file back.
    house
        .post("/data", r#"{"id":"s1","value":1}"#)
        .await
        .is(201);
    fs::remove_file(house.folder.path().join("gateway.db")).unwrap();
    for path in ["/status", "/api/v1/readings", "/api/v1/outbox"] {
        let problem = house.get(path).await.is_problem(500);
        assert_eq!(problem["detail"], Problem::Internal.to_string());
    }
    house.get("/healthz").await.is_problem(503);
    let ready = house.get("/readyz").await.is(503).json();
    assert_eq!(ready["checks"][1]["ok"], false);
    house.get("/metrics").await.is(200);
}

#[tokio::test]
async fn all_metrics_of_the_contract_are_there_from_the_start() {
    let house = House::open();
    let answer = house.get("/metrics").await;
    assert_eq!(
        answer.is(200).header(header::CONTENT_TYPE),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for (name, kind) in [
        ("gateway_readings_received_total", "counter"),
        ("gateway_readings_committed_total", "counter"),
        ("gateway_readings_rejected_total", "counter"),
        ("gateway_readings_lost_total", "counter"),
        ("gateway_alerts_total", "counter"),
        ("gateway_commit_seconds", "histogram"),
        ("gateway_commit_readings", "histogram"),
        ("gateway_store_bytes", "gauge"),
        ("gateway_store_written_bytes_total", "counter"),
        ("gateway_outbox_pending", "gauge"),
        ("gateway_outbox_oldest_seconds", "gauge"),
        ("gateway_uplink_requests_total", "counter"),
        ("gateway_uplink_readings_total", "counter"),
        ("gateway_mqtt_connections", "gauge"),
        ("gateway_mqtt_messages_total", "counter"),
        ("gateway_queue_depth", "gauge"),
        ("gateway_dead_letters", "gauge"),
    ] {
        let line = format!("# TYPE {name} {kind}\n");
        assert_eq!(answer.text.matches(&line).count(), 1, "{line}");
    }
}

#[tokio::test]
async fn gauges_are_as_new_as_the_scrape() {
    let house = House::open();
    let body = r#"[{"id":"s1","value":60},{"id":"s1","value":90}]"#;
    house.post("/data", body).await.is(201);
    let text = house.get("/metrics").await.text;
    let value = |name: &str| -> f64 {
        let rest = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        rest.unwrap().parse().unwrap()
    };
    assert_eq!(value("gateway_outbox_pending"), 2.0);
    assert_eq!(value("gateway_uplink_pending{uplink=\"cloud\"}"), 2.0);
    assert_eq!(value("gateway_uplink_held{uplink=\"cloud\"}"), 0.0);
    assert!(0.0 < value("gateway_store_bytes"));
    assert_eq!(value("gateway_dead_letters"), 0.0);
    assert_eq!(value("gateway_queue_depth{queue=\"submissions\"}"), 0.0);
    assert_eq!(
        value("gateway_readings_received_total{transport=\"http\"}"),
        2.0
    );
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let house = House::open();
    for path in ["/nothing", "/data/", "/api/v1", "/dashboard/nothing"] {
        house.get(path).await.is_problem(404);
    }
    let check = async |method: Method, path: &str, allowed: &[&str]| {
        let answer = house.send(request(method, path, "")).await;
        answer.is_problem(405);
        let mut found: Vec<&str> = answer.header(header::ALLOW).split(',').collect();
        found.sort_unstable();
        assert_eq!(found, allowed, "{path}");
    };
    check(Method::DELETE, "/data", &["GET", "HEAD", "POST"]).await;
    check(Method::PUT, "/status", &["GET", "HEAD", "POST"]).await;
    check(Method::POST, "/api/v1/readings", &["GET", "HEAD"]).await;
    check(Method::POST, "/metrics", &["GET", "HEAD"]).await;
    check(Method::POST, "/healthz", &["GET", "HEAD"]).await;
}

#[tokio::test]
async fn without_tokens_the_address_decides_who_may_come() {
    let check = async |anonymous: Anonymous, peer: &str, may_come: bool| {
        let (house, _works) = House::idle(anonymous);
        for (method, path, status) in [
            (Method::GET, "/data", 200),
            (Method::GET, "/metrics", 200),
            (Method::GET, "/nothing", 404),
            (Method::DELETE, "/data", 405),
        ] {
            let answer = house.send_from(peer, request(method, path, "")).await;
            if may_come {
                answer.is(status);
            } else {
                answer.is_problem(401);
                assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Bearer");
            }
        }
        for path in ["/healthz", "/readyz"] {
            let answer = house.send_from(peer, request(Method::GET, path, "")).await;
            answer.is(200);
        }
    };
    check(Anonymous::Never, HERE, false).await;
    check(Anonymous::Loopback, HERE, true).await;
    check(Anonymous::Loopback, "[::1]:1", true).await;
    check(Anonymous::Loopback, "[::ffff:127.0.0.1]:1", true).await;
    check(Anonymous::Loopback, "192.0.2.1:1", false).await;
    check(Anonymous::Loopback, "[2001:db8::1]:1", false).await;
    check(Anonymous::Always, "192.0.2.1:1", true).await;
}

#[tokio::test]
async fn a_peer_that_is_not_known_is_refused() {
    let house = House::open();
    let request = request(Method::GET, "/data", "");
    let answer = router(Arc::clone(&house.shared)).oneshot(request).await;
    Answer::of(answer.unwrap()).await.is_problem(401);
}

#[tokio::test]
async fn attributes_with_line_breaks_stay_on_their_line() {
    let house = House::open();
    let reading = "{\"id\":\"s1\",\"value\":1,\"at\":{\r\n  \"x\": 1,\n  \"y\": [\n2]}}";
    house.post("/data", reading).await.is(201);
    house.post("/data", reading).await.is(201);
    let text = house.get("/api/v1/readings?format=ndjson").await.text;
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["attributes"]["at"], json!({"x": 1, "y": [2]}));
}

#[tokio::test]
async fn a_web_page_from_elsewhere_is_refused() {
    let house = House::open();
    let mut foreign = request(Method::GET, "/data", "");
    let evil = "http://evil.example".parse().unwrap();
    foreign.headers_mut().insert(header::ORIGIN, evil);
    house.send(foreign).await.is_problem(403);
    let mut rebound = request(Method::GET, "/data", "");
    let evil = "evil.example:8080".parse().unwrap();
    rebound.headers_mut().insert(header::HOST, evil);
    house.send(rebound).await.is_problem(403);
}

#[tokio::test]
async fn a_page_ends_with_the_reading_that_fills_it() {
    let house = House::open();
    let long = "x".repeat(900 * 1024);
    for n in 0..12 {
        let body = json!({"id": "s1", "value": n, "text": long}).to_string();
        house.post("/data", body).await.is(201);
    }
    let answer = house.get("/api/v1/readings?limit=12").await;
    assert!(answer.is(200).text.len() < 10 * body::MAX_BYTES);
    let page = answer.json();
    let first = page["items"].as_array().unwrap().len();
    assert!(first < 12, "{first}");
    let rest = format!("/api/v1/readings?limit=12&after={}", page["next"]);
    let rest = house.get(&rest).await.json();
    assert_eq!(first + rest["items"].as_array().unwrap().len(), 12);
    assert_eq!(rest["next"], Value::Null);
}

#[tokio::test]
async fn readings_may_come_on_lines() {
    let house = House::open();
    let lines = "{\"id\":\"s1\",\"value\":1}\n\r\n{\"id\":\"s2\",\"t\":2,\"h\":3}\r\n";
    for kind in ["application/x-ndjson", "application/jsonl; charset=utf-8"] {
        house.post_as(kind, "/data", lines).await.is(201);
    }
    let expected = json!({"s1": 1.0, "s2/t": 2.0, "s2/h": 3.0});
    assert_eq!(house.get("/data").await.json(), expected);
    let check = async |lines: &str, status: u16, expected: &str| {
        let answer = house.post_as("application/x-ndjson", "/data", lines).await;
        let problem = answer.is_problem(status);
        let said = problem.to_string();
        assert!(said.contains(expected), "{said}");
    };
    check(
        "{\"id\":\"s3\",\"value\":1}\n{\"id\":",
        400,
        "at line 2 column 6",
    )
    .await;
    check(
        "{\"id\":\"s3\",\"value\":1}\n\n{\"id\":\"s4\"}",
        422,
        "\"index\":2",
    )
    .await;
    check("\n \n", 422, "empty").await;
    check("[{\"id\":\"s3\",\"value\":1}]", 422, "\"index\":0").await;
    assert_eq!(house.get("/data").await.json(), expected, "all or nothing");
}
