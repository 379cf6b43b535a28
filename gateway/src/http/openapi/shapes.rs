//! Shapes of JSON that other rooms write, or that are read without a type, as the description has them.
#![expect(dead_code, reason = "they stand for what is written elsewhere")]

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A stored reading.
#[derive(ToSchema)]
pub(in crate::http) struct Reading {
    id: i64,
    sensor_id: String,
    value: f64,
    /// When it was measured.
    ts: i64,
    received_at: i64,
    /// Rules with an alert, and tags, that it met.
    tags: Vec<String>,
    #[schema(value_type = Object)]
    attributes: BTreeMap<String, Value>,
}

/// A page of readings, newest first.
#[derive(ToSchema)]
pub(in crate::http) struct ReadingPage {
    items: Vec<Reading>,
    /// To be passed as `after`; null at the end.
    #[schema(required = true)]
    next: Option<i64>,
    /// Parts of the time that were thinned; only where there are some.
    #[schema(required = false)]
    thinned: Vec<crate::http::series::Part>,
}

/// One event of an alert, as on `alerts/<sensor_id>`.
#[derive(ToSchema)]
pub(in crate::http) struct Alert {
    gateway_id: String,
    alert_id: i64,
    /// Joins the events of one alert: the id of the first.
    episode: i64,
    rule: String,
    state: AlertState,
    sensor_id: String,
    value: f64,
    ts: i64,
    reading_id: i64,
    #[schema(value_type = Object)]
    attributes: BTreeMap<String, Value>,
    #[schema(required = false, nullable = false)]
    severity: Option<String>,
    #[schema(required = false, nullable = false)]
    message: Option<String>,
    #[schema(required = false, nullable = false)]
    group: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum AlertState {
    Raised,
    Acknowledged,
    Cleared,
}

/// Who brought readings.
#[derive(ToSchema)]
pub(in crate::http) struct Source {
    /// `mqtt` or `http`.
    transport: String,
    /// The client id, or the name of the token.
    client: Option<String>,
    address: String,
}

/// What one rule would have done; times are those of the readings.
#[derive(ToSchema)]
pub(in crate::http) struct RuleAnswer {
    rule: String,
    /// Alerts that were opened, and that were over again.
    raised: u64,
    cleared: u64,
    /// Of all kinds.
    events: u64,
    longest_seconds: f64,
    flaps_per_hour: f64,
    /// Readings that it could not be asked about, and that came too late for it.
    failures: u64,
    late: u64,
    /// Alerts opened in each sixtieth of the time.
    timeline: Vec<u64>,
}

/// How it goes with one receiver.
#[derive(ToSchema)]
pub(in crate::http) struct UplinkStatus {
    name: String,
    /// Such as `delivered` or `retry: 503`.
    last_verdict: Option<String>,
    next_attempt_seconds: Option<f64>,
    /// At the present rate.
    drain_seconds: Option<f64>,
    /// Today (UTC), with those of failed requests.
    bytes_today: u64,
    /// Why nothing can be delivered before somebody steps in.
    held: Option<String>,
}

/// What a visitor may do.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::http) enum Role {
    Read,
    Write,
    Admin,
}

/// A reading that was refused for good.
#[derive(ToSchema)]
pub(in crate::http) struct DeadLetter {
    id: i64,
    uplink: String,
    /// Null once it is not stored any more.
    reading: Option<Reading>,
    /// HTTP status, or the reason code of MQTT.
    status: u16,
    answer: String,
    at: i64,
    tries: u32,
}

/// The rules, each with the keys of the configuration.
#[derive(ToSchema)]
pub(in crate::http) struct Rules {
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
    #[schema(value_type = Option<i64>)]
    next: Option<()>,
}

/// The keys of a `[[rule]]` of the configuration; which there are is told in the documentation of rules.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Rule {
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    name: String,
    /// In CEL.
    #[schema(required = false, nullable = false)]
    when: Option<String>,
    #[schema(required = false, nullable = false)]
    actions: Option<Vec<String>>,
}

/// Rules, as `GET /api/v1/rules` has them or as a bare list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum SentRules {
    Page { items: Vec<Rule> },
    List(Vec<Rule>),
}

/// One reading, or several numbers of one sensor, each a reading of `<sensor_id>/<name>`; what is beside is attributes.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct NewReading {
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}(/[A-Za-z0-9._-]{1,64}){0,2}$")]
    sensor_id: String,
    value: f64,
    /// Milliseconds since 1970, or RFC 3339; without it the time of arrival stands.
    #[schema(
        required = false,
        nullable = false,
        minimum = 0,
        maximum = 7_258_118_399_999_i64
    )]
    ts: Option<f64>,
}

/// All or nothing.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum NewReadings {
    One(NewReading),
    Several(Vec<NewReading>),
}

/// What is wrong (RFC 9457).
#[derive(ToSchema)]
pub(in crate::http) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    /// Of the bad reading in its array or among its lines, from 0.
    #[schema(required = false, nullable = false)]
    index: Option<usize>,
    #[schema(required = false, nullable = false, value_type = Vec<Object>)]
    faults: Option<Vec<Value>>,
    #[schema(required = false, nullable = false, value_type = Vec<Object>)]
    errors: Option<Vec<Value>>,
}

/// It is done and on disk.
#[derive(ToSchema)]
pub(in crate::http) struct Done {
    status: String,
}
