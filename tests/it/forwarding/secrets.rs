//! What is secret stands in no output, not even at the finest level of the log, whether it is right or wrong.

use simulator::cloud::{Cloud, Step};

use crate::support::authority::Authority;
use crate::support::http::{get, post_readings};
use crate::support::{Gateway, LIMIT, Site, cloud_section, eventually};

const TOKEN: &str = "tok3n-9f8e7d";
const WRONG: &str = "wr0ng-1a2b3c";
const HEADER: &str = "h3ader-5e6f7a";
const IN_URL: &str = "url-t0ken-4c5d";
/// Of a private key that is none.
const BROKEN: &str = "YnJva2VuLXNlY3JldA";

fn all_that_is_said(gateway: &Gateway<'_>) -> String {
    let mut said = gateway.log();
    for path in [
        "/readyz",
        "/healthz",
        "/metrics",
        "/api/v1/outbox",
        "/api/v1/dead-letters",
        "/api/v1/rejects",
    ] {
        said.push_str(&get(gateway, path).body);
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_stand_in_no_output() {
    let cloud = Cloud {
        expect_token: Some(TOKEN.to_owned()),
        ..Cloud::default()
    };
    let cloud = cloud.start().await.unwrap();
    let history = Cloud::default().start().await.unwrap();
    let own = "client_certificate = \"own.crt\"\nclient_key = \"own.key\"\nbearer_token_file";
    let first = format!("{own} = \"token\"\nheaders = {{ X-Key = {{ file = \"header\" }} }}\n");
    let second = format!("{own} = \"token-of-url\"\n");
    let second = cloud_section(&history, &second)
        .replacen("[cloud]", "[[uplink]]\nname = \"history\"", 1)
        .replacen("/api/sync", "/api/sync?key=%{token}", 1);
    let site = Site::with(&(cloud_section(&cloud, &first) + &second))
        .environment("RUST_LOG", "trace")
        .environment("RUST_BACKTRACE", "full")
        .allow(&[
            "batch held",
            "batch not delivered",
            "readings refused",
            "the old ones stay",
        ]);
    let write = |name: &str, text: &str| std::fs::write(site.path(name), text).unwrap();
    let (certificate, key) = Authority::new().sign_client(Some("edge-1"));
    let key = key.serialize_pem();
    write("own.crt", &certificate.pem());
    write("own.key", &key);
    write("header", HEADER);
    write("token", WRONG);
    write("token-of-url", IN_URL);
    cloud.script().set_poison_sensors(["bad"]);
    history.script().push(Step::status(301));
    history.script().push(Step::close());
    history.script().push(Step::status(503));
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..5);
    post_readings(&gateway, "bad", 80.0, 0..1);
    eventually("the wrong token is refused", || {
        get(&gateway, "/readyz").body.contains("401").then_some(())
    })
    .await;
    let mut said = all_that_is_said(&gateway);
    // One that cannot stand in a header, then the right one.
    write("token", &format!("{WRONG}\u{e4}"));
    eventually("the token's fault is told", || {
        let words = get(&gateway, "/readyz").body;
        words.contains("printable ASCII").then_some(())
    })
    .await;
    write("token", TOKEN);
    cloud
        .wait_for(|stats| stats.distinct == 5, LIMIT)
        .await
        .unwrap();
    history
        .wait_for(|stats| stats.distinct == 6, LIMIT)
        .await
        .unwrap();
    let pem = |label: &str| format!("-----BEGIN {label}-----\n{BROKEN}\n-----END {label}-----\n");
    write("own.key", &pem("PRIVATE KEY"));
    post_readings(&gateway, "s1", 80.0, 5..6);
    cloud
        .wait_for(|stats| stats.distinct == 6, LIMIT)
        .await
        .unwrap();
    assert!(cloud.stats().requests_over_http2 == cloud.stats().requests);
    eventually("the poisonous one is a dead letter", || {
        (site.sql::<i64>("SELECT count(*) FROM dead_letters") == 1).then_some(())
    })
    .await;
    said.push_str(&all_that_is_said(&gateway));
    gateway.stop();
    // What a start that is refused says.
    let refused = crate::support::program::run_with(&site.config(), &[]);
    refused.is_refused(64, &["client_key"]);
    said.push_str(&refused.stderr);
    // A release build has no finer ones than DEBUG.
    let finest = ["TRACE", "DEBUG"].iter().any(|level| said.contains(level));
    assert!(finest, "the log is as fine as it can be");
    let lines = key.lines().filter(|line| !line.starts_with("---"));
    for secret in lines.chain([TOKEN, WRONG, HEADER, IN_URL, BROKEN]) {
        let at = said.lines().find(|line| line.contains(secret));
        assert_eq!(at, None, "{secret} was told");
    }
}
