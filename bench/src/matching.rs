//! What subscriptions cost that do not match: a publisher and a subscriber, beside few and beside many of them.

use anyhow::Result;

use crate::{
    cases::{Cases, rounds_of},
    fanout,
    options::Options,
    table::{median, missed, quotients, whole},
    traffic::Plan,
};

const ROUNDS: u32 = 3;
const TOPIC: &str = "site/7/line/3/temperature";
const OTHERS: [usize; 2] = [10, 10_000];
const CLIENTS: usize = 200;
const GOAL: f64 = 2.0;
const RATE: usize = 0;

pub(crate) struct Report {
    cases: Cases,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    let cases = OTHERS.map(|others| (format!("{} others", whole(others as f64)), plan(others)));
    let rounds = options.rounds_or(ROUNDS);
    let cases = Cases::run(options, rounds, fanout::COLUMNS, cases, |subject, plan| {
        fanout::measure(subject, plan, options)
    })?;
    Ok(Report { cases })
}

fn plan(others: usize) -> Plan {
    let filters: Vec<_> = (0..others).map(other).collect();
    Plan {
        qos: 0,
        topics: vec![TOPIC.to_owned()],
        filters: vec![TOPIC.to_owned()],
        receivers: 1,
        idle: filters
            .chunks(others.div_ceil(CLIENTS))
            .map(<[_]>::to_vec)
            .collect(),
        publishes: 500_000,
        window: 200,
    }
}

/// A filter that does not match `TOPIC`; most go part of the way with it.
fn other(number: usize) -> String {
    match number % 6 {
        0 => format!("plant/{number}/temperature"),
        1 => format!("site/7/line/3/{number}"),
        2 => format!("site/+/line/3/{number}"),
        3 => format!("+/7/+/3/{number}/#"),
        4 => format!("site/7/line/r{number}/#"),
        _ => format!("site/7/+/+/{number}/+"),
    }
}

impl Report {
    pub(crate) fn render(&self) -> String {
        let mut text = format!(
            "## Matching\n\nOne publisher and one subscriber of `{TOPIC}` at QoS 0, beside 10 and beside 10,000 \
             subscriptions of up to {CLIENTS} idle clients that do not match: a third exact, a third with `+`, a sixth \
             ending in `#`, a sixth with both; most begin as the topic does. Goal: beside 10,000 at least half the rate that \
             there is beside 10. Medians:\n\n{}",
            self.cases.render()
        );
        for (subject, all) in self.cases.servers() {
            if let [few, many] = all {
                let (ratios, each) = quotients(&rounds_of(few, RATE), &rounds_of(many, RATE));
                let middle = median(ratios).unwrap_or(f64::NAN);
                let missed = missed(middle <= GOAL);
                text += &format!(
                    "\n**Rate beside 10 / rate beside 10,000, {}: {middle:.2}** (median of {each}{missed}).\n",
                    subject.name()
                );
            }
        }
        text
    }

    pub(crate) fn versions(&self) -> Result<Vec<String>> {
        self.cases.versions()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(filter: &str, topic: &str) -> bool {
        let mut levels = topic.split('/');
        for part in filter.split('/') {
            match (part, levels.next()) {
                ("#", _) => return true,
                (_, None) => return false,
                ("+", Some(_)) => {}
                (part, Some(level)) if part == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    #[test]
    fn the_others_are_all_different_and_none_matches() {
        let mut others: Vec<_> = (0..10_000).map(other).collect();
        assert!(!others.iter().any(|filter| matches(filter, TOPIC)));
        others.sort();
        others.dedup();
        assert_eq!(others.len(), 10_000);
        assert!(matches("site/+/line/3/#", TOPIC));
    }

    #[test]
    fn the_others_are_spread_over_the_idle_clients() {
        let shape = |others| {
            let idle = plan(others).idle;
            (idle.len(), idle.iter().map(Vec::len).sum())
        };
        assert_eq!(shape(10), (10, 10));
        assert_eq!(shape(10_000), (200, 10_000));
    }
}
