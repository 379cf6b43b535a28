use super::*;
use crate::support::accounts::assert_all_delivered_once;
use crate::support::frames::{Connect, Publish, V5, V311};
use crate::support::http::{get, metric};
use crate::support::program::run_with;
use crate::support::raw::Raw;

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_gone_costs_no_reading_and_no_delivery() {
    let (cloud, site) = site().await;
    let gateway = site.start();
    fill(&gateway);
    let store_id: String = site.sql("SELECT store_id FROM counter");
    let count_alerts = "SELECT count(*) FROM alerts WHERE rule = 'high' AND sensor_id <> 'new'";
    let alerts: i64 = site.sql(count_alerts);
    gateway.stop();
    overwrite(&site.path("gateway.db"), 0, &[0; 64]);
    let original = fs::read(site.path("gateway.db")).unwrap();
    let gateway = site.start();
    takes_readings(&site, &gateway);
    healed(&site, &gateway).await;
    let [folder] = &moved(&site)[..] else {
        panic!("one store was damaged");
    };
    assert_eq!(fs::read(folder.join("gateway.db")).unwrap(), original);
    assert!(
        fs::read_to_string(folder.join("reason.txt"))
            .unwrap()
            .contains("not-a-database")
    );
    assert_eq!(site.sql::<String>("SELECT store_id FROM counter"), store_id);
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 1001);
    assert_eq!(site.sql::<i64>(count_alerts), alerts);
    cloud.set_outage(false);
    assert_all_delivered_once(&site, &cloud).await;
    assert_eq!(metric(&gateway, "gateway_store_damaged_total"), 1.0);
    assert!(1000.0 < metric(&gateway, "gateway_store_salvaged_rows_total"));
    gateway.stop();
    // It is over: nothing is moved or told again.
    let gateway = site.start();
    assert_eq!(metric(&gateway, "gateway_store_damaged_total"), 0.0);
    assert_eq!(moved(&site).len(), 1);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_of_the_gateway_tells_of_it_and_is_cleared_at_the_end() {
    let (_cloud, site) = site().await;
    let gateway = site.start();
    fill(&gateway);
    gateway.stop();
    overwrite(&site.path("gateway.db"), 0, b"no");
    let gateway = site.start();
    healed(&site, &gateway).await;
    let mut dashboard = Raw::connect_with(&gateway, &Connect::new(V5, "dashboard"));
    dashboard.subscribe("alerts/$gateway", 1);
    let told: serde_json::Value = serde_json::from_str(&dashboard.text()).unwrap();
    assert_eq!(told["rule"], "store-damaged");
    assert_eq!(
        (&told["state"], &told["value"]),
        (&"cleared".into(), &0.0.into())
    );
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("could not be read"), "{message}");
    let raised = get_json(&gateway, "/api/v1/alerts?state=raised&limit=1");
    assert_eq!(raised["items"][0]["rule"], "store-damaged", "{raised}");
    assert_eq!(raised["items"][0]["alert_id"], told["episode"]);
    assert!(get_json(&gateway, "/api/v1/gateway")["salvage"].is_null());
    assert_eq!(get(&gateway, "/readyz").status, 200);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_retained_messages_are_there_before_anybody_comes() {
    let (_cloud, site) = site().await;
    let gateway = site.start();
    let lasting = Connect {
        is_clean: false,
        ..Connect::new(V311, "lasting")
    };
    let mut client = Raw::connect_with(&gateway, &lasting);
    client.subscribe("news/#", 1);
    drop(client);
    let mut publisher = Raw::connect(&gateway, V311, "publisher");
    publisher.publish(Publish::new("news/a", "kept").qos(1, 1).retained());
    gateway.stop();
    overwrite(&site.path("gateway.db"), 0, b"no");
    let gateway = site.start();
    let mut client = Raw::resume(&gateway, &lasting);
    assert_eq!(client.text(), "kept");
    let mut newcomer = Raw::connect(&gateway, V311, "newcomer");
    newcomer.subscribe("news/a", 1);
    assert_eq!(newcomer.text(), "kept");
    healed(&site, &gateway).await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_damage_stays_where_it_is() {
    let (_cloud, site) = site().await;
    site.start().stop();
    site.change("PRAGMA user_version = 99");
    let config = site.path("gateway.toml");
    let ended = run_with(&config, &["run"]);
    ended.is_refused(74, &["newer gateway"]);
    assert_eq!(site.sql::<i64>("PRAGMA user_version"), 99);
    assert!(moved(&site).is_empty());
    fs::remove_file(site.path("gateway.db")).unwrap();
    fs::create_dir(site.path("gateway.db")).unwrap();
    run_with(&config, &["run"]).is_refused(74, &["gateway.db"]);
    assert!(moved(&site).is_empty());
}
