//! Makes metrics and registers them, and knows what there is to say of those that have no series yet.

use std::fmt::Write;

use prometheus::core::Collector;
use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

#[derive(Debug, Default)]
pub(super) struct Registrar {
    registry: Registry,
    /// The families with labels: name, help and type.
    families: Vec<(String, String, &'static str)>,
}

impl Registrar {
    /// The Prometheus text format, version 0.0.4. The encoder leaves out what has no series: that is described at the end.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        let gathered = self.registry.gather();
        if let Err(error) = TextEncoder::new().encode_utf8(&gathered, &mut text) {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        for (name, help, kind) in &self.families {
            if !gathered.iter().any(|family| family.name() == name) {
                // Writing to a String cannot fail.
                writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
            }
        }
        text
    }

    fn add<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("invariant: metric names and labels are valid");
        self.registry
            .register(Box::new(collector.clone()))
            .expect("invariant: metric names differ");
        collector
    }

    fn family<C: Collector + Clone + 'static>(
        &mut self,
        opts: Opts,
        kind: &'static str,
        make: impl FnOnce(Opts) -> prometheus::Result<C>,
    ) -> C {
        let (name, help) = (opts.fq_name(), opts.help.clone());
        self.families.push((name, help, kind));
        self.add(make(opts))
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    pub(super) fn float_counter(&self, name: &str, help: &str) -> Counter {
        self.add(Counter::new(name, help))
    }

    pub(super) fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let make = |opts| IntCounterVec::new(opts, labels);
        self.family(Opts::new(name, help), "counter", make)
    }

    /// With one label, whose values are known: each is there from the start.
    pub(super) fn counters_of(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[&str],
    ) -> IntCounterVec {
        let counters = self.counters(name, help, &[label]);
        for value in values {
            counters.with_label_values(&[value]);
        }
        counters
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help))
    }

    pub(super) fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let make = |opts| IntGaugeVec::new(opts, labels);
        self.family(Opts::new(name, help), "gauge", make)
    }

    pub(super) fn float_gauge(&self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::new(name, help))
    }

    pub(super) fn float_gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        let make = |opts| GaugeVec::new(opts, labels);
        self.family(Opts::new(name, help), "gauge", make)
    }

    pub(super) fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        self.add(Histogram::with_opts(
            HistogramOpts::new(name, help).buckets(bounds.to_vec()),
        ))
    }
}
