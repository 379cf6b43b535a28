//! What was stored, by sensor and time: pages and series while readings come in, over more than one block of the index.

use std::collections::BTreeMap;

use serde_json::Value;
use simulator::fleet::{Fleet, QoS};

use crate::support::http::{get, get_json, paged, post_readings};
use crate::support::{LIMIT, Site};

/// More than a block of the index has.
const STORED: u64 = 40_000;

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_sensor_neither_skip_nor_repeat_while_a_fleet_publishes() {
    let site = Site::new();
    let gateway = site.start();
    for part in 0..STORED / 2000 {
        let sensor = ["s1", "s7", "s1", "s40", "other"][part as usize % 5];
        post_readings(&gateway, sensor, 1.0, part * 2000..(part + 1) * 2000);
    }
    let fleet = Fleet {
        broker: gateway.mqtt.to_string(),
        count: 40,
        sensors_per_connection: 10,
        rate: f64::INFINITY,
        window: 100,
        qos: QoS::AtLeastOnce,
        ..Fleet::default()
    };
    let fleet = fleet.start().unwrap();
    let acked = |least| fleet.wait_for(move |counts| least <= counts.acked, LIMIT);
    acked(2000).await.unwrap();
    for (sensor, limit) in [("s1", 100), ("s7", 37), ("s40", 1000)] {
        let newest: i64 = site.sql("SELECT max(id) FROM readings");
        let before = fleet.counts().acked;
        let (mut found, pages) = paged(&gateway, &format!("&sensor={sensor}"), limit);
        assert!(1 < pages, "{sensor}");
        // Of what came since the first page was asked for there may be something.
        found.retain(|id| *id <= newest);
        let expected: Vec<i64> = site.sql_all(&format!(
            "SELECT id FROM readings WHERE sensor_id = '{sensor}' AND id <= {newest} ORDER BY id DESC"
        ));
        assert!(
            found == expected,
            "{sensor}: {} {}",
            found.len(),
            expected.len()
        );
        acked(before + 1).await.unwrap();
    }
    fleet.stop_with_acked(LIMIT).await;
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_series_comes_to_the_same_as_the_readings() {
    let site = Site::new();
    let gateway = site.start();
    for part in 0..STORED / 2000 {
        let sensor = if part % 3 == 0 { "rare" } else { "common" };
        let numbers = part * 2000..(part + 1) * 2000;
        post_readings(&gateway, sensor, part as f64 / 7.0, numbers);
    }
    let [from, to]: [i64; 2] = ["min(ts)", "max(ts) + 1"].map(|end| {
        let end = format!("SELECT {end} FROM readings");
        site.sql(&end)
    });
    for (sensor, points) in [
        ("rare", 1),
        ("common", 5),
        ("common", 10_000),
        ("nobody", 9),
    ] {
        let path = format!("/api/v1/series?sensor={sensor}&from={from}&to={to}&points={points}");
        let series = get_json(&gateway, &path);
        assert_eq!(series["next"], Value::Null);
        let items = series["items"].as_array().unwrap();
        assert!(items.len() <= points as usize);
        let width = ((to - from) as u64).div_ceil(points) as i64;
        let rows: Vec<String> = site.sql_all(&format!(
            "SELECT printf('%d %d', ts, value * 7 + 0.5) FROM readings WHERE sensor_id = '{sensor}'"
        ));
        let mut buckets = BTreeMap::<i64, Vec<i64>>::new();
        for row in &rows {
            let (ts, value) = row.split_once(' ').unwrap();
            let ts: i64 = ts.parse().unwrap();
            let begin = from + (ts - from) / width * width;
            buckets
                .entry(begin)
                .or_default()
                .push(value.parse().unwrap());
        }
        assert_eq!(items.len(), buckets.len(), "{sensor} {points}");
        for (item, (begin, values)) in items.iter().zip(buckets) {
            assert_eq!(item["ts"], begin);
            assert_eq!(item["count"], values.len());
            let [min, avg, max] =
                ["min", "avg", "max"].map(|key| item[key].as_f64().unwrap() * 7.0);
            assert_eq!(min.round() as i64, *values.iter().min().unwrap());
            assert_eq!(max.round() as i64, *values.iter().max().unwrap());
            let mean = values.iter().sum::<i64>() as f64 / values.len() as f64;
            assert!((avg - mean).abs() < 1e-6, "{avg} {mean}");
        }
    }
    for bad in [
        "",
        "?sensor=s1&points=10001",
        "?sensor=s1&from=x",
        "?sensor=s1&limit=1",
    ] {
        super::check_problem(&get(&gateway, &format!("/api/v1/series{bad}")), 400);
    }
    assert_eq!(gateway.stop().code(), Some(0));
}
