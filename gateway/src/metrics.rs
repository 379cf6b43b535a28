//! What the gateway counts, by the names of the contract. Rooms count; only `http` shows.

mod limit;

use std::fmt::Write;

use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector, proto::MetricFamily,
};

pub use self::limit::Limit;

/// Upper bounds of `gateway_commit_seconds`: from a fast NVMe's fsync to a stalled card.
const COMMIT_SECONDS: &[f64] = &[
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];
/// Upper bounds of `gateway_commit_readings`.
const COMMIT_READINGS: &[f64] = &[
    0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0,
];

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub readings_received: IntCounterVec,
    pub readings_committed: IntCounter,
    pub readings_rejected: IntCounterVec,
    pub readings_lost: IntCounterVec,
    pub readings_thinned: IntCounter,
    pub alerts: IntCounterVec,
    pub rule_failures: IntCounterVec,
    pub rule_late: IntCounterVec,
    pub commit_seconds: Histogram,
    pub commit_readings: Histogram,
    pub store_bytes: IntGauge,
    pub store_written_bytes: IntCounter,
    pub outbox_pending: IntGauge,
    pub outbox_oldest_seconds: Gauge,
    pub uplink_requests: IntCounterVec,
    pub uplink_readings: IntCounter,
    pub uplink_bytes: IntCounter,
    pub uplink_pending: IntGaugeVec,
    pub uplink_held: IntGaugeVec,
    pub mqtt_connections: IntGauge,
    pub mqtt_messages: IntCounterVec,
    pub mqtt_dropped: IntCounterVec,
    mqtt_limited: IntCounterVec,
    pub queue_depth: IntGaugeVec,
    pub dead_letters: IntGauge,
}

impl Metrics {
    /// A fresh set, all at zero.
    ///
    /// # Panics
    /// Never: the names below are valid and differ from each other.
    pub fn new() -> Self {
        let registry = Registry::new();
        let new = Registrar(&registry);
        let mqtt_limited = new.counters(
            "gateway_mqtt_limited_total",
            "Times that a limit of [mqtt] or [mqtt.limits] was reached, by its key",
            &["limit"],
        );
        for limit in Limit::ALL {
            mqtt_limited.with_label_values(&[limit.key()]);
        }
        Self {
            mqtt_limited,
            readings_received: new.counters(
                "gateway_readings_received_total",
                "Readings that arrived",
                &["transport"],
            ),
            readings_committed: new.counter("gateway_readings_committed_total", "Readings on disk"),
            readings_rejected: new.counters(
                "gateway_readings_rejected_total",
                "Readings that could not be read, by reason",
                &["reason"],
            ),
            readings_lost: new.counters(
                "gateway_readings_lost_total",
                "Readings that were not stored, by reason",
                &["reason"],
            ),
            alerts: new.counters(
                "gateway_alerts_total",
                "Alert events, by rule and state",
                &["rule", "state"],
            ),
            readings_thinned: new.counter(
                "gateway_readings_thinned_total",
                "Readings that are stored only in the min, avg and max of their time",
            ),
            rule_failures: new.counters(
                "gateway_rule_failures_total",
                "Readings for which a rule could not be evaluated",
                &["rule"],
            ),
            rule_late: new.counters(
                "gateway_rule_late_total",
                "Readings that came too late for a rule that takes times",
                &["rule"],
            ),
            commit_seconds: new.histogram(
                "gateway_commit_seconds",
                "Time of a commit, fsync included, in seconds",
                COMMIT_SECONDS,
            ),
            commit_readings: new.histogram(
                "gateway_commit_readings",
                "Readings of a commit",
                COMMIT_READINGS,
            ),
            store_bytes: new.gauge(
                "gateway_store_bytes",
                "Size of the store's files on disk, in bytes",
            ),
            store_written_bytes: new.counter(
                "gateway_store_written_bytes_total",
                "Bytes the process caused to be written to disk",
            ),
            outbox_pending: new.gauge(
                "gateway_outbox_pending",
                "Readings the cloud has not confirmed",
            ),
            outbox_oldest_seconds: new.float_gauge(
                "gateway_outbox_oldest_seconds",
                "Age of the oldest reading the cloud has not confirmed, in seconds",
            ),
            uplink_requests: new.counters(
                "gateway_uplink_requests_total",
                "Requests to the cloud, by verdict",
                &["verdict"],
            ),
            uplink_readings: new.counter(
                "gateway_uplink_readings_total",
                "Readings the cloud has confirmed",
            ),
            uplink_bytes: new.counter(
                "gateway_uplink_bytes_total",
                "Bytes of requests to the cloud, those of failed ones with them",
            ),
            uplink_pending: new.gauges(
                "gateway_uplink_pending",
                "Readings that an uplink has not confirmed",
                &["uplink"],
            ),
            uplink_held: new.gauges(
                "gateway_uplink_held",
                "1 if somebody has to step in before an uplink can deliver, else 0",
                &["uplink"],
            ),
            mqtt_connections: new.gauge(
                "gateway_mqtt_connections",
                "MQTT clients that are connected",
            ),
            mqtt_messages: new.counters(
                "gateway_mqtt_messages_total",
                "MQTT messages, by direction (in, out) and QoS",
                &["direction", "qos"],
            ),
            mqtt_dropped: new.counters(
                "gateway_mqtt_dropped_total",
                "MQTT messages that were not delivered or not taken, by reason",
                &["reason"],
            ),
            queue_depth: new.gauges(
                "gateway_queue_depth",
                "Entries that wait in a queue",
                &["queue"],
            ),
            dead_letters: new.gauge(
                "gateway_dead_letters",
                "Readings the cloud refused for good",
            ),
            registry,
        }
    }

    /// Counts a limit that was reached.
    pub fn limited(&self, limit: Limit) {
        self.mqtt_limited.with_label_values(&[limit.key()]).inc();
    }

    /// The Prometheus text format, version 0.0.4. Each name is there from the start, if only with its description.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        for family in [
            &self.readings_received,
            &self.readings_rejected,
            &self.readings_lost,
            &self.alerts,
            &self.uplink_requests,
            &self.mqtt_messages,
            &self.mqtt_dropped,
        ] {
            describe_if_empty(family, &mut text);
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Over all labels.
pub fn sum(family: &IntCounterVec) -> u64 {
    let families = family.collect();
    let counters = families.iter().flat_map(MetricFamily::get_metric);
    let values = counters.map(|metric| metric.get_counter().get_value());
    values.sum::<f64>() as u64
}

/// The encoder leaves out counters that have no label values yet.
fn describe_if_empty(family: &IntCounterVec, text: &mut String) {
    let is_empty = |family: &MetricFamily| family.get_metric().is_empty();
    if family.collect().iter().all(is_empty) {
        for described in family.desc() {
            let (name, help) = (&described.fq_name, &described.help);
            // Writing to a String cannot fail.
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter").ok();
        }
    }
}

struct Registrar<'r>(&'r Registry);

impl Registrar<'_> {
    fn add<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("invariant: metric names and labels are valid");
        self.0
            .register(Box::new(collector.clone()))
            .expect("invariant: metric names differ");
        collector
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn float_gauge(&self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::new(name, help))
    }

    fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        self.add(Histogram::with_opts(
            HistogramOpts::new(name, help).buckets(bounds.to_vec()),
        ))
    }
}
