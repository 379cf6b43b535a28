//! All promises, looked up in the store of a gateway that has come back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Story;
use crate::support::http::get;
use crate::support::{Gateway, Look};

fn set<T: Ord>(items: Vec<T>) -> BTreeSet<T> {
    items.into_iter().collect()
}

#[track_caller]
fn assert_has<T: Ord + Copy + std::fmt::Debug>(
    what: &str,
    promised: &BTreeSet<T>,
    found: &BTreeSet<T>,
) {
    let lost: Vec<T> = promised.difference(found).copied().take(20).collect();
    assert!(lost.is_empty(), "{what}: promised and lost: {lost:?}");
}

impl Story {
    /// Before anybody speaks to the gateway.
    pub(super) fn check(&self, store: Look<'_>, gateway: &Gateway<'_>) {
        assert_eq!(get(gateway, "/healthz").status, 200);
        assert_eq!(store.sql::<String>("PRAGMA integrity_check"), "ok");
        self.check_readings(store);
        check_alerts(store);
        self.check_outbox(store);
        self.check_retained(store);
        self.check_queue(store);
    }

    fn check_readings(&self, store: Look<'_>) {
        let mut found: HashMap<String, BTreeMap<u64, u32>> = HashMap::new();
        let rows: Vec<String> = store
            .sql_all("SELECT sensor_id || ' ' || json_extract(attributes, '$.seq') FROM readings");
        for row in rows {
            let (sensor, seq) = row.split_once(' ').unwrap();
            let numbers = found.entry(sensor.to_owned()).or_default();
            *numbers.entry(seq.parse().unwrap()).or_default() += 1;
        }
        let none = BTreeMap::new();
        let of = |sensor: &str| found.get(sensor).unwrap_or(&none);
        let numbers = |sensor: &str| of(sensor).keys().copied().collect();
        assert_has("QoS 1", &self.ledger.once.acked, &numbers("once"));
        assert_has("POST", &self.ledger.posted.acked, &numbers("posted"));
        assert_has("QoS 2", &self.ledger.exact.recorded, &numbers("exact"));
        let twice: Vec<u64> = of("exact")
            .iter()
            .filter(|(_, n)| 1 < **n)
            .map(|(seq, _)| *seq)
            .collect();
        assert!(twice.is_empty(), "QoS 2: stored twice: {twice:?}");
        for (seq, count) in of("posted").range(1..) {
            let first = (seq - 1) / 10 * 10 + 1;
            assert_eq!(
                of("posted").get(&first),
                Some(count),
                "a request is stored in part"
            );
        }
    }

    /// What is to be forwarded waits, or the receiver has it.
    fn check_outbox(&self, store: Look<'_>) {
        let mut found: HashSet<i64> = self.uplink.accepted();
        found.extend(store.sql_all::<i64>("SELECT reading_id FROM outbox"));
        let wanted: Vec<i64> = store.sql_all("SELECT id FROM readings WHERE value > 50");
        let lost: Vec<i64> = wanted
            .into_iter()
            .filter(|id| !found.contains(id))
            .take(20)
            .collect();
        assert!(
            lost.is_empty(),
            "neither in the outbox nor delivered: {lost:?}"
        );
    }

    fn check_retained(&self, store: Look<'_>) {
        let rows: Vec<String> = store.sql_all(
            "SELECT topic || ' ' || CAST(payload AS TEXT) FROM retained WHERE topic LIKE 'state/%'",
        );
        let found: HashMap<&str, u64> = rows
            .iter()
            .map(|row| row.split_once(' ').unwrap())
            .map(|(topic, version)| (topic, version.parse().unwrap()))
            .collect();
        for (topic, versions) in &self.ledger.retained {
            let found = found.get(&*format!("state/{topic}")).copied().unwrap_or(0);
            assert!(
                (versions.acked..=versions.sent).contains(&found),
                "state/{topic}: {found} is retained, {} was acknowledged",
                versions.acked
            );
        }
    }

    /// What waits for the keeper and what it has is all that was queued for it.
    fn check_queue(&self, store: Look<'_>) {
        if !self.ledger.keeper.is_subscribed {
            return;
        }
        let rows: Vec<String> = store.sql_all(
            "SELECT topic || ' ' || CAST(payload AS TEXT) FROM queued \
             WHERE session = (SELECT key FROM session WHERE client_id = 'keeper')",
        );
        let mut found = super::clients::Keeper::default();
        for row in &rows {
            let (topic, payload) = row.split_once(' ').unwrap();
            found.note(topic, payload.as_bytes());
        }
        found.numbers.extend(&self.ledger.keeper.numbers);
        found.alerts.extend(&self.ledger.keeper.alerts);
        assert_has("queued messages", &self.ledger.queued.acked, &found.numbers);
        let alerts = set(store.sql_all("SELECT id FROM alerts"));
        assert_has("queued alerts", &alerts, &found.alerts);
    }
}

fn check_alerts(store: Look<'_>) {
    let raised: Vec<i64> =
        store.sql_all("SELECT reading_id FROM alerts WHERE state = 'raised' ORDER BY reading_id");
    let wanted: Vec<i64> = store.sql_all("SELECT id FROM readings WHERE value > 75 ORDER BY id");
    assert!(raised == wanted, "each reading over 75 has one alert");
}
