//! Dead letters: shown, sent again and given up, by the API and on the command line.

use rusqlite::Connection;
use serde_json::Value;
use simulator::cloud::{Cloud, RunningCloud};

use crate::support::http::{get, get_json, post_readings, send};
use crate::support::program::ask;
use crate::support::{Gateway, LIMIT, Site, cloud_section, eventually};

async fn with_dead_letters(cloud: &RunningCloud, site: &Site, gateway: &Gateway<'_>) {
    cloud.script().set_poison_sensors(["bad"]);
    post_readings(gateway, "bad", 80.0, 0..3);
    post_readings(gateway, "good", 80.0, 0..3);
    eventually("the outbox is empty", || {
        (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
    })
    .await;
    cloud.script().clear();
}

fn letters(gateway: &Gateway<'_>, query: &str) -> (Vec<i64>, Value) {
    let page = get_json(gateway, &format!("/api/v1/dead-letters{query}"));
    let items = page["items"].as_array().unwrap();
    let ids = items.iter().map(|item| item["id"].as_i64().unwrap());
    (ids.collect(), page["next"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_shown_sent_again_and_given_up() {
    let cloud = Cloud::default().start().await.unwrap();
    let mut site = Site::delivering_to(&cloud).allow(&["readings refused"]);
    let gateway = site.start();
    with_dead_letters(&cloud, &site, &gateway).await;
    let page = get_json(&gateway, "/api/v1/dead-letters");
    let first = &page["items"][0];
    assert_eq!(first["uplink"], "cloud");
    assert_eq!(first["status"], 422);
    assert_eq!(first["reading"]["sensor_id"], "bad");
    assert_eq!(first["reading"]["value"], 80.0);
    assert!(
        first["answer"]
            .as_str()
            .unwrap()
            .contains("refused by the script")
    );
    assert!(1_600_000_000_000 < first["at"].as_i64().unwrap());
    assert!(1 < first["tries"].as_i64().unwrap());
    assert_eq!(letters(&gateway, ""), (vec![1, 2, 3], Value::Null));
    assert_eq!(letters(&gateway, "?limit=2"), (vec![1, 2], 2.into()));
    assert_eq!(
        letters(&gateway, "?limit=2&after=2"),
        (vec![3], Value::Null)
    );
    for bad in ["?limit=0", "?after=x", "?colour=red"] {
        assert_eq!(
            get(&gateway, &format!("/api/v1/dead-letters{bad}")).status,
            400
        );
    }
    let ask = |start: &str| send(&gateway, start, None, "").unwrap().status;
    assert_eq!(ask("POST /api/v1/dead-letters/1/retry"), 200);
    assert_eq!(ask("DELETE /api/v1/dead-letters/2"), 200);
    for gone in ["1", "2", "9", "x", "-1"] {
        assert_eq!(ask(&format!("POST /api/v1/dead-letters/{gone}/retry")), 404);
        assert_eq!(ask(&format!("DELETE /api/v1/dead-letters/{gone}")), 404);
    }
    assert_eq!(letters(&gateway, "").0, [3]);
    let stats = cloud.wait_for(|stats| stats.distinct == 4, LIMIT).await;
    assert_eq!(stats.unwrap().key_conflicts, 0);
    gateway.stop();
    site.configure("");
    let gateway = site.start();
    let refused = send(&gateway, "POST /api/v1/dead-letters/3/retry", None, "").unwrap();
    assert_eq!(refused.status, 409);
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("no uplink \"cloud\"")
    );
    assert_eq!(letters(&gateway, "").0, [3]);
    gateway.stop();
}

fn run(gateway: &Gateway<'_>, words: &[&str]) -> (Option<i32>, String, String) {
    ask(gateway, &[&["dead-letters"], words].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_does_the_same() {
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::delivering_to(&cloud).allow(&["readings refused"]);
    let gateway = site.start();
    with_dead_letters(&cloud, &site, &gateway).await;
    let (code, listed, _) = run(&gateway, &["list"]);
    assert_eq!((code, listed.lines().count()), (Some(0), 3));
    let first: Vec<&str> = listed.lines().next().unwrap().split('\t').collect();
    assert_eq!(first[..3], ["1", "cloud", "422"]);
    assert_eq!(first[5..7], ["bad", "80.0"]);
    assert_eq!(run(&gateway, &["retry", "1"]).1, "1 to be sent again\n");
    let (code, _, said) = run(&gateway, &["drop", "1"]);
    assert_eq!((code, &*said), (Some(1), "there is no dead letter 1\n"));
    assert_eq!(run(&gateway, &["drop", "--all"]).1, "2 given up\n");
    assert_eq!(run(&gateway, &["list"]).1, "");
    cloud
        .wait_for(|stats| stats.distinct == 4, LIMIT)
        .await
        .unwrap();
    let (code, _, said) = run(&gateway, &["retry"]);
    assert_eq!(code, Some(64), "{said}");
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn those_of_an_uplink_that_is_gone_hold_the_others_not_up() {
    let cloud = Cloud::default().start().await.unwrap();
    let section = cloud_section(&cloud, "");
    let gone = section.replacen("[cloud]", "[[uplink]]\nname = \"gone\"", 1);
    let mut site = Site::with(&(section.clone() + &gone)).allow(&["readings refused"]);
    let gateway = site.start();
    with_dead_letters(&cloud, &site, &gateway).await;
    assert_eq!(letters(&gateway, "").0.len(), 6);
    gateway.stop();
    site.configure(&section);
    let gateway = site.start();
    let (code, _, said) = run(&gateway, &["retry", "--all"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("no uplink \"gone\"") && said.contains("and 2 more"),
        "{said}"
    );
    assert!(said.ends_with("3 of 6 to be sent again\n"), "{said}");
    assert_eq!(letters(&gateway, "").0.len(), 3);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn when_there_are_very_many_the_uplink_is_held_until_there_is_room() {
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::delivering_to(&cloud).allow(&["readings refused", "batch held"]);
    let gateway = site.start();
    with_dead_letters(&cloud, &site, &gateway).await;
    gateway.stop();
    fill_up_to_100_000(&site);
    let gateway = site.start();
    cloud.script().set_poison_sensors(["bad"]);
    post_readings(&gateway, "bad", 80.0, 3..4);
    eventually("readyz says why", || {
        let words = get(&gateway, "/readyz").body;
        words
            .contains("there are 100000 dead letters")
            .then_some(())
    })
    .await;
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM outbox"), 1);
    let dropped = send(&gateway, "DELETE /api/v1/dead-letters/1", None, "").unwrap();
    assert_eq!(dropped.status, 200);
    eventually("it has taken the place", || {
        (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
    })
    .await;
    let count = site.sql::<i64>("SELECT count(*) FROM dead_letters");
    assert_eq!(count, 100_000);
    gateway.stop();
}

#[expect(clippy::disallowed_methods, reason = "so many would take very long")]
fn fill_up_to_100_000(site: &Site) {
    let connection = Connection::open(site.path("gateway.db")).unwrap();
    let fill = "INSERT INTO dead_letter (reading, uplink, status, answer, at, tries) \
                WITH RECURSIVE number(n) AS (SELECT 4 UNION ALL SELECT n + 1 FROM number WHERE n < 100000) \
                SELECT 1, 1, 422, '', 0, 1 FROM number";
    connection.execute_batch(fill).unwrap();
}
