//! Whom the gateway speaks to: nobody whose certificate it does not trust, nobody in plain text over the network.

use std::process::Stdio;

use rcgen::SanType;
use serde_json::Value;
use simulator::cloud::Cloud;

use crate::support::authority::{Authority, Signed};
use crate::support::http::{get_json, post_readings};
use crate::support::receiver::SecureReceiver;
use crate::support::{Gateway, Site, cloud_section, command, eventually};

const SENT_AGAIN: &str = "batch not delivered";

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_is_refused() {
    let cloud = Cloud::default().start().await.unwrap();
    let section = cloud_section(&cloud, "");
    let without_ca: String = section
        .lines()
        .filter(|line| !line.starts_with("ca_file"))
        .map(|line| format!("{line}\n"))
        .collect();
    let site = Site::with(&without_ca).allow(&[SENT_AGAIN]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..5);
    let verdict = eventually("the outbox says what is wrong", || {
        let outbox = get_json(&gateway, "/api/v1/outbox");
        assert_eq!(outbox["pending"], 5);
        outbox["last_verdict"].as_str().map(str::to_owned)
    })
    .await;
    assert!(verdict.to_lowercase().contains("certificate"), "{verdict}");
    // Several tries: the verdict stands before the next one begins.
    eventually("it was tried again", || {
        let tries = gateway.log().matches("batch not delivered").count();
        (3 <= tries).then_some(())
    })
    .await;
    let stats = cloud.stats();
    assert_eq!((stats.requests, stats.bytes), (0, 0));
    gateway.stop();
}

#[test]
fn plain_http_beyond_this_machine_is_refused_at_the_start() {
    let site = Site::new();
    let config = site.path("gateway.toml");
    std::fs::write(
        &config,
        "[cloud]\nurl = \"http://cloud.example.com/api/sync\"\n",
    )
    .unwrap();
    let output = command()
        .args(["--config", config.to_str().unwrap()])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("allow_plain_http"), "{words}");
}

/// What the gateway says of a receiver, once it says something that holds all of `parts`.
async fn verdict_of(gateway: &Gateway<'_>, parts: &[&str]) -> String {
    // What was delivered before is confirmed a moment later.
    eventually("the outbox is empty", || {
        (get_json(gateway, "/api/v1/outbox")["pending"] == 0).then_some(())
    })
    .await;
    post_readings(gateway, "s1", 80.0, 0..1);
    let verdict = eventually(&format!("the outbox says {parts:?}"), || {
        let outbox = get_json(gateway, "/api/v1/outbox");
        assert_eq!(outbox["pending"], 1, "nothing is delivered");
        let verdict = outbox["last_verdict"].as_str()?.to_owned();
        parts
            .iter()
            .all(|part| verdict.contains(part))
            .then_some(verdict)
    })
    .await;
    let reason = verdict.strip_prefix("retry: ").expect("it is tried again");
    let is_logged = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["reason"] == reason
    };
    eventually("the log says the same", || {
        gateway.log().lines().any(is_logged).then_some(())
    })
    .await;
    verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_certificate_is_named_with_its_cure() {
    let authority = Authority::named("works CA");
    let day = |year| rcgen::date_time_ymd(year, 1, 1);
    let fine = || authority.server(|_| {}, None);
    let expired = authority.server(|parameters| parameters.not_after = day(2001), None);
    let early = authority.server(|parameters| parameters.not_before = day(2999), None);
    let stranger = Authority::new().server(|_| {}, None);
    let namesake = Authority::named("works CA").server(|_| {}, None);
    let of_another_name = authority.server(
        |parameters| {
            let name = "cloud.example.com".try_into().unwrap();
            parameters.subject_alt_names = vec![SanType::DnsName(name)];
        },
        None,
    );
    let cases = [
        (expired, ["certificate expired", "renew it there"]),
        (early, ["not valid yet", "whether the clock here is right"]),
        (of_another_name, ["cloud.example.com", "another host name"]),
        (
            stranger,
            ["UnknownIssuer", "name its certificate in ca_file"],
        ),
        (
            namesake,
            ["BadSignature", "name the present one in ca_file"],
        ),
        (
            authority.server_itself(),
            ["CaUsedAsEndEntity", "basicConstraints"],
        ),
    ];
    for (server, parts) in cases {
        let receiver = SecureReceiver::start(server);
        let section = receiver.section("localhost", "ca_file = \"ca.pem\"\n");
        let site = Site::with(&section).allow(&[SENT_AGAIN]);
        std::fs::write(site.path("ca.pem"), authority.pem()).unwrap();
        let gateway = site.start();
        let verdict = verdict_of(&gateway, &parts).await;
        println!("{verdict}");
        // The cure is the right one: with a good certificate it goes on.
        receiver.become_another(fine());
        receiver.next();
        gateway.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_there_is_named_with_the_cure() {
    let cases = [
        (
            "https://gateway-test.invalid/x",
            ["dns error", "DNS are right"],
        ),
        (
            "https://127.0.0.1:1/x",
            ["Connection refused", "nobody listens there"],
        ),
    ];
    for (url, parts) in cases {
        let section =
            format!("[cloud]\nurl = \"{url}\"\nretry_initial = \"50ms\"\nretry_max = \"200ms\"\n");
        let site = Site::with(&section).allow(&[SENT_AGAIN]);
        let gateway = site.start();
        println!("{}", verdict_of(&gateway, &parts).await);
        gateway.stop();
    }
}

const OWN: &str =
    "ca_file = \"ca.pem\"\nclient_certificate = \"own.crt\"\nclient_key = \"own.key\"\n";

fn equip(site: &Site, (certificate, key): &Signed) {
    std::fs::write(site.path("own.crt"), certificate.pem()).unwrap();
    std::fs::write(site.path("own.key"), key.serialize_pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_certificate_gets_it_or_the_verdict_says_so() {
    let authority = Authority::new();
    let receiver = SecureReceiver::start(authority.server(|_| {}, Some(&authority)));
    let start = |keys: &str, own: Option<&Signed>| {
        let section = receiver.section("localhost", keys);
        let site = Site::with(&section).allow(&[SENT_AGAIN]);
        std::fs::write(site.path("ca.pem"), authority.pem()).unwrap();
        own.inspect(|own| equip(&site, own));
        site
    };
    let site = start("ca_file = \"ca.pem\"\n", None);
    let gateway = site.start();
    let parts = [
        "CertificateRequired",
        "set client_certificate and client_key",
    ];
    println!("{}", verdict_of(&gateway, &parts).await);
    gateway.stop();
    let site = start(OWN, Some(&Authority::new().sign_client(Some("edge-1"))));
    let gateway = site.start();
    let parts = ["UnknownCA", "see client_certificate"];
    println!("{}", verdict_of(&gateway, &parts).await);
    gateway.stop();
    let own = authority.sign_client(Some("edge-1"));
    let site = start(OWN, Some(&own));
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..1);
    assert_eq!(receiver.next(), Some(own.0.der().clone()));
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_replaced_are_used_from_the_next_connection_on() {
    let authority = Authority::new();
    let receiver = SecureReceiver::start(authority.server(|_| {}, Some(&authority)));
    let section = receiver.section("localhost", OWN);
    let site = Site::with(&section).allow(&[SENT_AGAIN, "the old ones stay"]);
    std::fs::write(site.path("ca.pem"), authority.pem()).unwrap();
    let [first, second] = ["edge-1", "edge-2"].map(|name| authority.sign_client(Some(name)));
    equip(&site, &first);
    let gateway = site.start();
    let deliver = |number| {
        post_readings(&gateway, "s1", 80.0, number..number + 1);
        receiver.next()
    };
    assert_eq!(deliver(0).as_ref(), Some(first.0.der()));
    // In the middle of a renewal, when certificate and key do not belong together, the old ones go on.
    std::fs::write(site.path("own.crt"), second.0.pem()).unwrap();
    assert_eq!(deliver(1).as_ref(), Some(first.0.der()));
    equip(&site, &second);
    assert_eq!(deliver(2).as_ref(), Some(second.0.der()));
    // The server moves to another authority.
    let other = Authority::new();
    receiver.become_another(other.server(|_| {}, Some(&authority)));
    verdict_of(&gateway, &["UnknownIssuer"]).await;
    std::fs::write(site.path("ca.pem"), other.pem()).unwrap();
    assert_eq!(receiver.next(), Some(second.0.der().clone()));
    gateway.stop();
}
