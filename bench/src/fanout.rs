//! Messages between clients, not readings: one publisher to many, many to one, and pairs beside idle clients.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    cases::{Cases, Column, Compare, Figures, rounds_of},
    mosquitto,
    options::Options,
    process,
    subject::Subject,
    table::{decimals, whole},
    traffic::{Plan, Traffic},
};

const ROUNDS: u32 = 3;
/// A server that listens is left alone so long before it counts as idle.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) const COLUMNS: &[Column] = &[
    Column {
        title: "delivered/s",
        show: whole,
        compare: Compare::AtLeast(1.0),
    },
    Column {
        title: "lost",
        show: whole,
        compare: Compare::Not,
    },
    Column {
        title: "idle memory, MiB",
        show: decimals::<1>,
        compare: Compare::Not,
    },
    Column {
        title: "peak memory, MiB",
        show: decimals::<1>,
        compare: Compare::AtMost(2.0),
    },
    Column {
        title: "broker CPU, s",
        show: decimals::<2>,
        compare: Compare::Ratio,
    },
    Column {
        title: "generator CPU, s",
        show: decimals::<2>,
        compare: Compare::Not,
    },
];
const LOST: usize = 1;

pub(crate) struct Report {
    cases: Cases,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    let cases = (0..=2).flat_map(plans);
    let rounds = options.rounds_or(ROUNDS);
    let cases = Cases::run(options, rounds, COLUMNS, cases, |subject, plan| {
        measure(subject, plan, options)
    })?;
    Ok(Report { cases })
}

fn plans(qos: u8) -> [(String, Plan); 3] {
    let topics = |count: u32| -> Vec<_> { (0..count).map(|n| format!("fan/{n}")).collect() };
    // An exchange of QoS 2 takes twice as many packets.
    let messages = |count: u64| if qos == 2 { count / 2 } else { count };
    let one_to_many = Plan {
        qos,
        topics: topics(1),
        filters: vec!["fan/0".to_owned(); 100],
        receivers: 100,
        idle: Vec::new(),
        publishes: messages(8_000),
        window: 50,
    };
    let many_to_one = Plan {
        topics: topics(100),
        filters: vec!["fan/+".to_owned()],
        receivers: 1,
        publishes: messages(4_000),
        window: 5,
        ..one_to_many.clone()
    };
    let pairs = Plan {
        topics: topics(50),
        filters: topics(50),
        idle: (0..1_000).map(|n| vec![format!("idle/{n}")]).collect(),
        publishes: messages(8_000),
        window: 20,
        ..many_to_one
    };
    let named = |name: &str, plan| (format!("{name}, QoS {qos}"), plan);
    [
        named("1 to 100", one_to_many),
        named("100 to 1", many_to_one),
        named("50 pairs, 1,000 idle", pairs),
    ]
}

/// One fresh broker under one load.
pub(crate) fn measure(subject: &Subject, plan: &Plan, options: &Options) -> Result<Figures> {
    subject.fresh(&options.folder, |server, address| {
        let pid = server.pid();
        thread::sleep(SETTLE);
        let idle_kib = process::resident_kib(pid)?;
        let traffic = Traffic::prepare(address, plan)?;
        let before = (process::cpu_time(pid)?, process::own_thread_cpu_time()?);
        let (outcome, after) =
            traffic.run(|| Ok((process::cpu_time(pid)?, process::own_thread_cpu_time()?)))?;
        Ok(vec![
            outcome.per_second(),
            outcome.lost() as f64,
            idle_kib as f64 / 1024.0,
            process::peak_resident_kib(pid)? as f64 / 1024.0,
            (after.0 - before.0).as_secs_f64(),
            (after.1 - before.1).as_secs_f64(),
        ])
    })
}

impl Report {
    pub(crate) fn render(&self) -> String {
        format!(
            "## Fan-out\n\nMessages of 64 bytes on ordinary topics (`fan/…`), which are not stored. A publisher has at \
             most 50 (1 to 100), 5 (100 to 1) or 20 (pairs) publishes that have not arrived or are not acked, so no \
             bound of a broker should be reached; {}. The idle clients have a subscription each. Delivered messages \
             per second count to the last arrival; lost are those that did not come. The generator runs on the same \
             machine. Goals: at least Mosquitto's rate, at most twice its memory. A broker is fresh in each case and \
             round; medians:\n\n{}\n\
             Where 100 publish to one with QoS 1, Mosquitto 2.0.11 counts (`$SYS/broker/store/messages/count`) nearly all \
             that it has delivered as still held: it has read few of that subscriber's acks.\n",
            mosquitto::ALLOWANCE,
            self.cases.render()
        )
    }

    pub(crate) fn versions(&self) -> Result<Vec<String>> {
        self.cases.versions()
    }

    /// Fails if the gateway lost what it had to deliver.
    pub(crate) fn check(&self) -> Result<()> {
        for (subject, all) in self.cases.servers() {
            for (name, rounds) in self.cases.names().iter().zip(all) {
                let lost: f64 = rounds_of(rounds, LOST).iter().sum();
                let may_lose =
                    name.ends_with("QoS 0") || !matches!(subject, Subject::Gateway { .. });
                ensure!(
                    may_lose || lost == 0.0,
                    "{name}: the gateway lost {lost} messages"
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_to_a_subscriber_stays_far_under_the_bounds_of_the_brokers() {
        for (name, plan) in (0..=2).flat_map(plans) {
            let to_one = plan.topics.len() * plan.window * usize::try_from(plan.receivers).unwrap()
                / plan.filters.len();
            assert!(to_one <= 500, "{name}: {to_one}");
            assert!(plan.window <= mosquitto::IN_FLIGHT, "{name}");
        }
    }

    #[test]
    fn every_message_has_its_receivers() {
        let due = |qos| plans(qos).map(|(_, plan)| plan.due());
        assert_eq!(due(0), [800_000, 400_000, 400_000]);
        assert_eq!(due(2), [400_000, 200_000, 200_000]);
    }
}
