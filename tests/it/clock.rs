//! Wall clocks that stand in 1970, jump and are put back: libfaketime lets the process see what it is told, and leaves the monotonic
//! clock alone.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::accounts::seeded;
use crate::support::frames::{Connect, V5, disconnect};
use crate::support::http::{get, get_json, metric, post};
use crate::support::properties::{Property, SESSION_EXPIRY};
use crate::support::raw::Raw;
use crate::support::receiver::{Receiver, Request, write_answer};
use crate::support::{Gateway, Site, command, eventually};
use serde_json::Value;

const HOUR: i64 = 3600;
const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;
const DAY_MS: i64 = 24 * HOUR * 1000;

/// Said of a clock that is not trusted.
const DOUBT: &str = "the clock is not trusted";

/// The real time, in milliseconds.
#[expect(clippy::disallowed_methods, reason = "what the gateway is not to see")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Where Debian and its kin put it (package `libfaketime`).
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let mut there = libraries.filter(|library| library.exists());
    there.next().expect("libfaketime is there: .ci/install")
}

/// The wall clock that a gateway sees.
struct WallClock {
    file: PathBuf,
}

impl WallClock {
    /// So many seconds from the real one.
    fn of(site: &Site, seconds: i64) -> Self {
        let clock = Self {
            file: site.path("clock"),
        };
        clock.set(seconds);
        clock
    }

    /// In 1970.
    fn unset(site: &Site) -> Self {
        Self::of(site, -now() / 1000)
    }

    fn set(&self, seconds: i64) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    fn start<'s>(&self, site: &'s Site) -> Gateway<'s> {
        site.start_as(self.command())
    }

    fn command(&self) -> Command {
        let mut command = command();
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
        command
    }
}

async fn trusted(gateway: &Gateway<'_>, expected: bool) {
    eventually("the clock is seen", || {
        let clock = &get_json(gateway, "/api/v1/gateway")["clock"];
        (clock["trusted"] == expected).then_some(())
    })
    .await;
    let shown = metric(gateway, "gateway_clock_trusted");
    assert_eq!(shown, f64::from(u8::from(expected)));
}

fn store(gateway: &Gateway<'_>, body: &str) {
    let answer = post(gateway, "/data", body);
    assert_eq!(answer.status, 201, "{answer:?}");
}

fn times(site: &Site, id: i64) -> (i64, i64) {
    let number = |column| site.sql(&format!("SELECT {column} FROM readings WHERE id = {id}"));
    (number("ts"), number("received_at"))
}

fn life(gateway: &Gateway<'_>, id: i64) -> Value {
    get_json(gateway, &format!("/api/v1/readings/{id}"))
}

async fn settled(site: &Site) {
    eventually("all is put right", || {
        let open: i64 = site.sql("SELECT count(*) FROM clock_spans WHERE settled = 0");
        (open == 0).then_some(())
    })
    .await;
}

/// Readings as a receiver gets them: ids with `ts`.
fn delivered(request: &Request) -> Vec<(i64, i64)> {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let readings = body["readings"].as_array().unwrap().iter();
    readings
        .map(|reading| {
            (
                reading["id"].as_i64().unwrap(),
                reading["ts"].as_i64().unwrap(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_starts_in_1970_delivers_its_readings_with_the_times_at_which_they_came() {
    let cloud = Receiver::start(|_, stream| write_answer(stream, "200 OK", "", "{}"));
    let site = Site::with(&cloud.section("")).allow(&[DOUBT]);
    let clock = WallClock::unset(&site);
    let gateway = clock.start(&site);
    trusted(&gateway, false).await;
    let began = now();
    store(&gateway, r#"[{"id":"a","value":60},{"id":"a","value":10}]"#);
    let own = began - 5 * DAY_MS;
    store(&gateway, &format!(r#"{{"id":"b","value":70,"ts":{own}}}"#));
    let ended = now();
    let before = times(&site, 1);
    assert!(before.0 < DAY_MS, "{before:?}");
    assert_eq!(life(&gateway, 1)["clock"]["state"], "unsynced");
    clock.set(0);
    trusted(&gateway, true).await;
    settled(&site).await;
    let really = began - 1000..=ended + 1000;
    for (id, ts) in [(1, None), (2, None), (3, Some(own))] {
        let (found, received_at) = times(&site, id);
        assert!(really.contains(&received_at), "{id}: {received_at}");
        assert_eq!(found, ts.unwrap_or(received_at), "{id}");
    }
    let was = life(&gateway, 1)["clock"].clone();
    assert_eq!(was["state"], "put-right");
    assert_eq!(
        (&was["ts"], &was["received_at"]),
        (&before.0.into(), &before.1.into())
    );
    // Had they gone before, they would have had other times.
    let mut of_cloud = delivered(&cloud.next());
    while of_cloud.len() < 2 {
        of_cloud.extend(delivered(&cloud.next()));
    }
    of_cloud.sort_unstable();
    assert_eq!(of_cloud, [(1, times(&site, 1).0), (3, own)]);
    store(&gateway, r#"{"id":"a","value":80}"#);
    assert!(life(&gateway, 4)["clock"].is_null());
    assert_eq!(delivered(&cloud.next()), [(4, times(&site, 4).0)]);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_a_batch_before_the_clock_was_trusted_keeps_its_bytes() {
    let has_failed = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&has_failed);
    let cloud = Receiver::judging(move |_, request, stream| {
        let is_third = delivered(request).iter().any(|(id, _)| *id == 3);
        if is_third && !fails.load(Ordering::Relaxed) {
            return write_answer(stream, "503 Service Unavailable", "", "");
        }
        write_answer(stream, "200 OK", "", "{}");
    });
    let site = Site::with(&cloud.section(""))
        .environment("EDGE_GATEWAY_STORE__CLOCK_WAIT", "0s")
        .allow(&[DOUBT, "batch not delivered"]);
    let clock = WallClock::unset(&site);
    let gateway = clock.start(&site);
    store(&gateway, r#"[{"id":"a","value":60},{"id":"a","value":10}]"#);
    assert_eq!(delivered(&cloud.next()), [(1, times(&site, 1).0)]);
    // One that is on its way.
    store(&gateway, r#"{"id":"a","value":70}"#);
    let first = cloud.next();
    let (of_first, of_third) = (times(&site, 1), times(&site, 3));
    assert_eq!(delivered(&first), [(3, of_third.0)]);
    clock.set(0);
    trusted(&gateway, true).await;
    settled(&site).await;
    assert_eq!((times(&site, 1), times(&site, 3)), (of_first, of_third));
    assert!(DAY_MS < times(&site, 2).0, "it was in none");
    assert_eq!(life(&gateway, 3)["clock"]["state"], "left");
    has_failed.store(true, Ordering::Relaxed);
    let empty = || (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(());
    eventually("it is delivered", empty).await;
    let again = cloud.next();
    assert_eq!(again.body, first.body);
    assert_eq!(
        again.header("idempotency-key"),
        first.header("idempotency-key")
    );
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_leaps_ten_years_ahead_and_back_leaves_nothing_behind() {
    let site = Site::new()
        .environment("EDGE_GATEWAY_STORE__KEEP", "1h")
        .allow(&[DOUBT]);
    let clock = WallClock::of(&site, 0);
    let gateway = clock.start(&site);
    let began = now();
    store(&gateway, r#"{"id":"a","value":80}"#);
    let first = times(&site, 1);
    clock.set(TEN_YEARS);
    trusted(&gateway, false).await;
    store(&gateway, r#"{"id":"a","value":20}"#);
    assert!(began + 9 * 365 * DAY_MS < times(&site, 2).0);
    clock.set(0);
    trusted(&gateway, true).await;
    settled(&site).await;
    store(&gateway, r#"{"id":"a","value":30}"#);
    assert_eq!(times(&site, 1), first);
    let (second, third) = (times(&site, 2).0, times(&site, 3).0);
    assert!(began <= second && second <= third && third <= now() + 1000);
    let items = get_json(&gateway, "/api/v1/readings?sensor=a")["items"].clone();
    let ids: Vec<i64> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids, [3, 2, 1]);
    gateway.stop();
}

/// Beyond the seconds that 32 bits count.
#[tokio::test(flavor = "multi_thread")]
async fn beyond_2038_it_starts_and_serves_as_before() {
    let site = Site::new()
        .environment("EDGE_GATEWAY_STORE__KEEP", "1h")
        .allow(&[DOUBT]);
    let clock = WallClock::of(&site, 3 * TEN_YEARS);
    let gateway = clock.start(&site);
    store(&gateway, r#"{"id":"a","value":80}"#);
    let answer = get(&gateway, "/data");
    assert_eq!(answer.body, r#"{"a":80.0}"#);
    let date = answer.header("date");
    let year: u32 = date.split(' ').nth(3).unwrap().parse().unwrap();
    assert!(2038 < year, "{date}");
    let (ts, received_at) = times(&site, 1);
    assert_eq!(ts, received_at);
    assert!(i64::from(i32::MAX) * 1000 < ts, "{ts}");
    gateway.kill();
    // A leap there and back, while it runs.
    clock.set(0);
    let gateway = clock.start(&site);
    for seconds in [3 * TEN_YEARS, 0] {
        clock.set(seconds);
        let moved = now() + seconds * 1000;
        eventually("the step is seen", || {
            let shown = get_json(&gateway, "/api/v1/gateway")["now"]
                .as_i64()
                .unwrap();
            ((shown - moved).abs() < DAY_MS).then_some(())
        })
        .await;
        store(&gateway, r#"{"id":"a","value":1}"#);
    }
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 3);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_put_back_by_an_hour_is_trusted_and_ids_tell_the_order() {
    let site = Site::new();
    let clock = WallClock::of(&site, HOUR);
    let gateway = clock.start(&site);
    store(&gateway, r#"{"id":"a","value":1}"#);
    clock.set(0);
    eventually("the step is seen", || {
        gateway.log().contains("the clock was set").then_some(())
    })
    .await;
    store(&gateway, r#"{"id":"a","value":2}"#);
    assert!(times(&site, 2).0 < times(&site, 1).0);
    assert!(
        get(&gateway, "/data").body.contains("2.0"),
        "the newest is the last that came"
    );
    trusted(&gateway, true).await;
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM clock_spans"), 0);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_times_are_put_right_shifts_none_of_them_twice() {
    const READINGS: i64 = 60_000;
    let site = Site::new().allow(&[DOUBT]);
    let clock = WallClock::unset(&site);
    let mut gateway = clock.start(&site);
    let mut rng = seeded();
    let began = now();
    let thousand = vec![r#"{"id":"a","value":1}"#; 1000].join(",");
    for _ in 0..READINGS / 1000 {
        store(&gateway, &format!("[{thousand}]"));
    }
    let ended = now();
    clock.set(0);
    // Again and again after some slices more.
    for _ in 0..5 {
        let next: i64 = rng.i64(1..READINGS / 5);
        let from: i64 = site.sql("SELECT coalesce(max(put_right_upto), 0) FROM clock_span");
        eventually("some more are put right", || {
            let upto: i64 = site.sql("SELECT coalesce(max(put_right_upto), 0) FROM clock_span");
            (from + next <= upto || upto == READINGS).then_some(())
        })
        .await;
        gateway.kill();
        gateway = clock.start(&site);
    }
    settled(&site).await;
    let count = format!(
        "SELECT count(*) FROM readings WHERE ts = received_at AND ts BETWEEN {} AND {}",
        began - 1000,
        ended + 1000
    );
    assert_eq!(site.sql::<i64>(&count), READINGS);
    // The index says the same as the rows.
    let series = get_json(
        &gateway,
        &format!(
            "/api/v1/series?sensor=a&from={}&to={}&points=1",
            began - DAY_MS,
            ended + DAY_MS
        ),
    );
    let counted: i64 = series["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b["count"].as_i64().unwrap())
        .sum();
    assert_eq!(counted, READINGS);
    assert_eq!(site.sql::<String>("PRAGMA integrity_check"), "ok");
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_boot_a_restart_still_puts_right_what_came_before() {
    let site = Site::new().allow(&[DOUBT]);
    let clock = WallClock::unset(&site);
    let gateway = clock.start(&site);
    let began = now();
    store(&gateway, r#"{"id":"a","value":1}"#);
    gateway.kill();
    let gateway = clock.start(&site);
    store(&gateway, r#"{"id":"a","value":2}"#);
    gateway.kill();
    clock.set(0);
    let gateway = clock.start(&site);
    trusted(&gateway, true).await;
    settled(&site).await;
    for id in [1, 2] {
        let (ts, _) = times(&site, id);
        assert!((began - 1000..=now() + 1000).contains(&ts), "{id}: {ts}");
    }
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rules_remember_of_before_a_restart_is_put_right_as_well() {
    let rule =
        "[[rule]]\nname = \"long\"\nwhen = \"value > 75\"\nfor = \"1h\"\nactions = [\"alert\"]\n";
    for is_trusted_at_start in [false, true] {
        let site = Site::with(rule).allow(&[DOUBT]);
        let clock = WallClock::unset(&site);
        let gateway = clock.start(&site);
        trusted(&gateway, false).await;
        store(&gateway, r#"{"id":"a","value":80}"#);
        gateway.kill();
        if is_trusted_at_start {
            clock.set(0);
        }
        let gateway = clock.start(&site);
        clock.set(0);
        trusted(&gateway, true).await;
        store(&gateway, r#"{"id":"a","value":80}"#);
        // It has been so for seconds, not since 1970.
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM alerts"), 0);
        clock.set(2 * HOUR);
        eventually("the step is seen", || {
            gateway.log().contains("the clock was set").then_some(())
        })
        .await;
        store(&gateway, r#"{"id":"a","value":80}"#);
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM alerts"), 1);
        gateway.stop();
    }
}

#[test]
fn a_session_outlives_clocks_that_say_nothing_of_how_long_it_was_alone() {
    let site = Site::new().allow(&[DOUBT]);
    let clock = WallClock::of(&site, 0);
    let connect = || {
        let connect = Connect {
            is_clean: false,
            ..Connect::new(V5, "keeper")
        };
        connect.with(Property::Four(SESSION_EXPIRY, 3600))
    };
    let leave = |mut client: Raw, gateway: Gateway<'_>| {
        client.send(&disconnect());
        assert_eq!(client.rest(), []);
        gateway.stop();
    };
    let gateway = clock.start(&site);
    leave(Raw::connect_with(&gateway, &connect()), gateway);
    for seconds in [TEN_YEARS, 0, -now() / 1000, 0, -HOUR] {
        clock.set(seconds);
        let gateway = clock.start(&site);
        leave(Raw::resume(&gateway, &connect()), gateway);
    }
}
