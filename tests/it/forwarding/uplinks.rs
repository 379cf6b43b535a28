//! Several receivers, each with its own part of the outbox.

use serde_json::json;
use simulator::cloud::{Cloud, RunningCloud, Step};

use crate::support::http::{get, get_json, metric, post_readings};
use crate::support::{LIMIT, Site, cloud_section, eventually};

fn uplink(name: &str, cloud: &RunningCloud) -> String {
    let section = cloud_section(cloud, "");
    section.replacen("[cloud]", &format!("[[uplink]]\nname = {name:?}"), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_holds_none_of_the_others_up() {
    let cloud = Cloud::default().start().await.unwrap();
    let history = Cloud::default().start().await.unwrap();
    history.script().set_default(Step::status(404));
    let sections = cloud_section(&cloud, "") + &uplink("history", &history);
    let mut site = Site::with(&sections).allow(&[
        "batch held",
        "readings wait for an uplink that is not configured",
    ]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..200);
    cloud
        .wait_for(|stats| stats.distinct == 200, LIMIT)
        .await
        .unwrap();
    let outbox = eventually("the outbox tells of both", || {
        let outbox = get_json(&gateway, "/api/v1/outbox");
        let uplinks = &outbox["uplinks"];
        let is_held = uplinks[1]["last_verdict"] == "held: 404";
        (is_held && uplinks[0]["pending"] == 0).then_some(outbox)
    })
    .await;
    assert_eq!(outbox["pending"], 200);
    assert_eq!(outbox["uplinks"][0]["name"], "cloud");
    assert_eq!(outbox["uplinks"][1]["name"], "history");
    assert_eq!(outbox["uplinks"][1]["pending"], 200);
    assert!(outbox["oldest_seconds"].is_f64());
    assert_eq!(metric(&gateway, "gateway_outbox_pending"), 200.0);
    let ready = get(&gateway, "/readyz").json();
    let check = |name: &str| {
        let checks = ready["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap()["ok"].clone()
    };
    assert_eq!(check("uplink:cloud"), json!(true));
    assert_eq!(check("uplink:history"), json!(false));
    // What waits for one that is taken out of the file stays, and goes out when it is back.
    gateway.stop();
    site.configure(&cloud_section(&cloud, ""));
    let gateway = site.start();
    let text = gateway.log();
    assert!(text.contains("history"), "{text}");
    let outbox = get_json(&gateway, "/api/v1/outbox");
    assert_eq!(outbox["pending"], 0);
    let forsaken = &outbox["forsaken"];
    assert_eq!(forsaken.as_array().unwrap().len(), 1);
    assert_eq!(forsaken[0]["name"], "history");
    assert_eq!(forsaken[0]["pending"], 200);
    assert!(forsaken[0]["oldest_seconds"].is_f64());
    let name = "gateway_uplink_pending{uplink=\"history\"}";
    assert_eq!(metric(&gateway, name), 200.0);
    gateway.stop();
    history.script().clear();
    site.configure(&sections);
    let gateway = site.start();
    history
        .wait_for(|stats| stats.distinct == 200, LIMIT)
        .await
        .unwrap();
    assert_eq!(cloud.stats().distinct, 200);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_may_name_one_of_them() {
    let cloud = Cloud::default().start().await.unwrap();
    let history = Cloud::default().start().await.unwrap();
    let rules = "[[rule]]\nname = \"all\"\nwhen = \"true\"\nactions = [\"forward:history\"]\n\
                 [[rule]]\nname = \"hot\"\nwhen = \"value > 90\"\nactions = [\"forward\"]\n";
    let sections = cloud_section(&cloud, "") + &uplink("history", &history) + rules;
    let site = Site::with(&sections);
    let gateway = site.start();
    post_readings(&gateway, "s1", 10.0, 0..5);
    post_readings(&gateway, "s2", 95.0, 0..3);
    history
        .wait_for(|stats| stats.distinct == 8, LIMIT)
        .await
        .unwrap();
    cloud
        .wait_for(|stats| stats.distinct == 3, LIMIT)
        .await
        .unwrap();
    eventually("nothing is left", || {
        (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
    })
    .await;
    assert_eq!(cloud.delivered_ids(), [6, 7, 8]);
    gateway.stop();
}
