//! What the gateway counts, by the names of the contract. Rooms count; only `http` shows.

mod labels;
mod limit;
mod registrar;

use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    core::Collector, proto::MetricFamily,
};

pub use self::limit::Limit;
use self::registrar::Registrar;

/// Upper bounds of `gateway_commit_seconds`: from a fast NVMe's fsync to a stalled card.
const COMMIT_SECONDS: &[f64] = &[
    0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.000_7, 0.001, 0.001_5, 0.002, 0.003, 0.005, 0.01, 0.02,
    0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];
/// Upper bounds of `gateway_commit_readings`.
const COMMIT_READINGS: &[f64] = &[
    0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0,
];

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    pub readings_received: IntCounterVec,
    pub readings_committed: IntCounter,
    pub readings_rejected: IntCounterVec,
    pub readings_lost: IntCounterVec,
    pub readings_removed: IntCounterVec,
    pub readings_thinned: IntCounter,
    pub alerts: IntCounterVec,
    pub rule_failures: IntCounterVec,
    pub rule_late: IntCounterVec,
    pub commit_seconds: Histogram,
    pub commit_readings: Histogram,
    pub commit_failures: IntCounter,
    pub clock_trusted: IntGauge,
    pub store_bytes: IntGauge,
    pub store_free_bytes: IntGauge,
    pub store_written_bytes: IntCounter,
    pub store_damaged: IntCounter,
    pub store_salvaged_rows: IntCounter,
    pub store_salvage_running: IntGauge,
    pub outbox_pending: IntGauge,
    pub outbox_oldest_seconds: Gauge,
    pub uplink_requests: IntCounterVec,
    pub uplink_readings: IntCounter,
    pub uplink_bytes: IntCounter,
    pub uplink_pending: IntGaugeVec,
    pub uplink_oldest_seconds: GaugeVec,
    pub uplink_held: IntGaugeVec,
    pub mqtt_connections: IntGauge,
    pub mqtt_subscriptions: IntGauge,
    pub mqtt_retained: IntGauge,
    pub mqtt_messages: IntCounterVec,
    pub mqtt_dropped: IntCounterVec,
    mqtt_limited: IntCounterVec,
    pub mqtt_refused: IntCounterVec,
    pub queue_depth: IntGaugeVec,
    pub dead_letters: IntGauge,
    pub ready: IntGaugeVec,
    pub process_resident_memory: IntGauge,
    pub process_cpu_seconds: Counter,
    pub process_start_time: Gauge,
    pub process_open_fds: IntGauge,
    pub process_max_fds: IntGauge,
    pub process_threads: IntGauge,
    registrar: Registrar,
}

impl Metrics {
    /// A fresh set, all at zero.
    ///
    /// # Panics
    /// Never: the names below are valid and differ from each other.
    pub fn new() -> Self {
        let mut new = Registrar::default();
        let made = Self {
            readings_received: new.counters_of(
                "gateway_readings_received_total",
                "Readings that arrived, by transport",
                "transport",
                labels::TRANSPORTS,
            ),
            readings_committed: new.counter("gateway_readings_committed_total", "Readings on disk"),
            readings_rejected: new.counters_of(
                "gateway_readings_rejected_total",
                "Readings and statuses that could not be read, by reason",
                "reason",
                labels::REJECTED,
            ),
            readings_removed: new.counters_of(
                "gateway_readings_removed_total",
                "Stored readings that are not there any more one by one, by reason",
                "reason",
                labels::REMOVED,
            ),
            readings_lost: new.counters_of(
                "gateway_readings_lost_total",
                "Readings and alerts that were not stored, by reason",
                "reason",
                labels::LOST,
            ),
            readings_thinned: new.counter(
                "gateway_readings_thinned_total",
                "Readings that are stored only in the min, avg and max of their time",
            ),
            alerts: new.counters(
                "gateway_alerts_total",
                "Alert events, by rule and state",
                &["rule", "state"],
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
            commit_failures: new.counter(
                "gateway_commit_failures_total",
                "Tries of a commit that failed",
            ),
            clock_trusted: new.gauge(
                "gateway_clock_trusted",
                "1 if the wall clock is trusted, else 0",
            ),
            store_bytes: new.gauge(
                "gateway_store_bytes",
                "Size of the store's files on disk, in bytes",
            ),
            store_free_bytes: new.gauge(
                "gateway_store_free_bytes",
                "Free on the disk of the store, in bytes",
            ),
            store_written_bytes: new.counter(
                "gateway_store_written_bytes_total",
                "Bytes the process caused to be written to disk",
            ),
            store_damaged: new.counter(
                "gateway_store_damaged_total",
                "Damaged stores that were moved aside",
            ),
            store_salvaged_rows: new.counter(
                "gateway_store_salvaged_rows_total",
                "Rows of damaged stores that were taken over",
            ),
            store_salvage_running: new.gauge(
                "gateway_store_salvage_running",
                "1 while rows of a damaged store are taken over, else 0",
            ),
            outbox_pending: new.gauge(
                "gateway_outbox_pending",
                "Readings the cloud has not confirmed",
            ),
            outbox_oldest_seconds: new.float_gauge(
                "gateway_outbox_oldest_seconds",
                "Age of the oldest reading the cloud has not confirmed, in seconds",
            ),
            uplink_requests: new.counters_of(
                "gateway_uplink_requests_total",
                "Requests to the cloud, by verdict",
                "verdict",
                labels::VERDICTS,
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
            uplink_oldest_seconds: new.float_gauges(
                "gateway_uplink_oldest_seconds",
                "Age of the oldest reading an uplink has not confirmed, in seconds",
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
            mqtt_subscriptions: new.gauge(
                "gateway_mqtt_subscriptions",
                "Subscriptions of MQTT sessions",
            ),
            mqtt_retained: new.gauge(
                "gateway_mqtt_retained_messages",
                "Messages that topics retain",
            ),
            mqtt_messages: new.counters(
                "gateway_mqtt_messages_total",
                "MQTT messages, by direction (in, out) and QoS",
                &["direction", "qos"],
            ),
            mqtt_dropped: new.counters_of(
                "gateway_mqtt_dropped_total",
                "MQTT messages that were not delivered or not taken, by reason",
                "reason",
                labels::DROPPED,
            ),
            mqtt_limited: new.counters_of(
                "gateway_mqtt_limited_total",
                "Times that a limit of [mqtt] or [mqtt.limits] was reached, by its key",
                "limit",
                &Limit::ALL.map(Limit::key),
            ),
            mqtt_refused: new.counters_of(
                "gateway_mqtt_refused_total",
                "MQTT clients that were not let in, by reason",
                "reason",
                labels::REFUSED,
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
            ready: new.gauges(
                "gateway_ready",
                "1 if a check of /readyz is passed, else 0",
                &["check"],
            ),
            process_resident_memory: new
                .gauge("process_resident_memory_bytes", "Resident memory, in bytes"),
            process_cpu_seconds: new.float_counter(
                "process_cpu_seconds_total",
                "Time on the processor, user and system, in seconds",
            ),
            process_start_time: new.float_gauge(
                "process_start_time_seconds",
                "When the process started, in seconds since 1970",
            ),
            process_open_fds: new.gauge("process_open_fds", "Open file descriptors"),
            process_max_fds: new.gauge("process_max_fds", "File descriptors that may be open"),
            process_threads: new.gauge("process_threads", "Threads"),
            registrar: Registrar::default(),
        };
        let build = new.gauges(
            "gateway_build_info",
            "Always 1; the label says which version runs",
            &["version"],
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        for queue in labels::QUEUES {
            made.queue_depth.with_label_values(&[queue]);
        }
        for direction in labels::DIRECTIONS {
            for qos in labels::QOS {
                made.mqtt_messages.with_label_values(&[direction, qos]);
            }
        }
        Self {
            registrar: new,
            ..made
        }
    }

    /// Counts a limit that was reached.
    pub fn limited(&self, limit: Limit) {
        self.mqtt_limited.with_label_values(&[limit.key()]).inc();
    }

    /// Has the series of a rule begin at zero, those of its alerts if it raises any.
    pub fn begin_rule(&self, rule: &str, raises_alerts: bool) {
        self.rule_failures.with_label_values(&[rule]);
        self.rule_late.with_label_values(&[rule]);
        if raises_alerts {
            for state in labels::ALERT_STATES {
                self.alerts.with_label_values(&[rule, state]);
            }
        }
    }

    /// The Prometheus text format, version 0.0.4. Each name is there from the start, if only with its description.
    pub fn render(&self) -> String {
        self.registrar.render()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_goes_beyond_32_bits() {
        const MANY: u64 = (1 << 32) - 1;
        let metrics = Metrics::default();
        metrics.readings_committed.inc_by(MANY);
        metrics.readings_committed.inc_by(2);
        metrics.store_bytes.set(1 << 40);
        assert_eq!(metrics.readings_committed.get(), (1 << 32) + 1);
        assert_eq!(metrics.store_bytes.get(), 1 << 40);
    }
}
