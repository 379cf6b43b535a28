//! The flood's report as Markdown.

use anyhow::{Result, ensure};

use crate::{
    load::{Outcome, Shape},
    table::{self, Series, median, quotients, whole},
};

const GATEWAY: &str = "gateway";

pub(crate) struct Report {
    pub(crate) shape: Shape,
    /// The gateway first, if it was measured.
    pub(crate) series: Vec<Series>,
}

impl Report {
    pub(crate) fn render(&self) -> String {
        let Shape {
            clients,
            in_flight,
            readings,
        } = self.shape;
        let mut text = format!(
            "## Flood\n\n{clients} clients publish {} readings of 1,000 sensors with QoS 1, {in_flight} in flight each; \
             a quarter is over 75 and half over 50. Readings per second count to the last PUBACK; CPU seconds and \
             memory are those up to it. The generator runs on the same machine.\n\n",
            whole(readings as f64)
        );
        let all: Vec<_> = self.series.iter().collect();
        text += &table::render(&all, table::LOAD);
        let storing: Vec<_> = all.into_iter().filter(|one| one.stores()).collect();
        if !storing.is_empty() {
            text += "\nThe gateway has each reading in its store, with rules applied, before the PUBACK; the stock \
                     gateway does the same job behind an embedded rumqttd, which acks first; bare Mosquitto stores \
                     nothing.\n\n";
            text += &table::render(&storing, table::KEPT);
        }
        for ratio in self.ratios() {
            text += &format!("\n{ratio}\n");
        }
        text
    }

    /// Each round's rate of the gateway as a part of each other server's.
    fn ratios(&self) -> Vec<String> {
        let Some((gateway, others)) = self.series.split_first() else {
            return Vec::new();
        };
        others
            .iter()
            .filter(|_| gateway.server == GATEWAY)
            .filter_map(|other| ratio(gateway, other))
            .collect()
    }

    pub(crate) fn versions(&self) -> Vec<String> {
        let versions = self.series.iter().map(|series| series.version.clone());
        versions.collect()
    }

    /// Fails unless every reading that the gateway acked is in its store.
    pub(crate) fn check_stored(&self) -> Result<()> {
        for series in self.series.iter().filter(|one| one.server == GATEWAY) {
            for (number, round) in series.rounds.iter().enumerate() {
                let (acked, stored) = (
                    round.outcome.acked,
                    round.kept.as_ref().map_or(0, |kept| kept.stored),
                );
                ensure!(
                    stored == acked,
                    "round {}: the gateway acked {acked} readings and stored {stored}",
                    number + 1
                );
            }
        }
        Ok(())
    }
}

fn ratio(gateway: &Series, other: &Series) -> Option<String> {
    let rates = |series: &Series| -> Vec<_> {
        let outcomes = series.rounds.iter().map(|round| &round.outcome);
        outcomes.map(Outcome::readings_per_second).collect()
    };
    let (ratios, each) = quotients(&rates(gateway), &rates(other));
    let middle = median(ratios)?;
    Some(format!(
        "**Rate of the gateway / rate of {}: {middle:.2}** (median of {}).",
        other.server, each
    ))
}
