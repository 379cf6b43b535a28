//! What a broker refuses though there is nothing to send: readiness says so, and it goes on by itself.

use crate::support::frames::{SUBACK, packet};
use crate::support::http::{Answer, get, get_json};
use crate::support::plain_broker::PlainBroker;
use crate::support::{Gateway, Site, eventually};

/// Waits for readiness, and gives what it says of the uplink.
async fn readiness(gateway: &Gateway<'_>, status: u16) -> String {
    eventually("readyz answers so", || {
        let answer: Answer = get(gateway, "/readyz");
        (answer.status == status).then_some(answer.body)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_makes_the_gateway_unready_also_if_nothing_waits() {
    const NOT_AUTHORISED: u8 = 5;
    let (let_in, is_let_in) = std::sync::mpsc::sync_channel::<()>(1);
    let broker = PlainBroker::answering(
        move |_| {
            let is_let_in = is_let_in.try_recv().is_ok();
            if is_let_in { 0 } else { NOT_AUTHORISED }
        },
        |_, raw| {
            raw.rest();
        },
    );
    let site = Site::with(&broker.section("")).allow(&["no connection to the broker"]);
    let gateway = site.start();
    let words = readiness(&gateway, 503).await;
    assert!(words.contains("not authorised"), "{words}");
    let outbox = get_json(&gateway, "/api/v1/outbox");
    let verdict = outbox["last_verdict"].as_str().unwrap();
    assert!(verdict.starts_with("held: "), "{verdict}");
    let_in.send(()).unwrap();
    readiness(&gateway, 200).await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_subscription_to_commands_makes_the_gateway_unready_until_it_is_taken() {
    const FAILURE: u8 = 0x80;
    let (allow, is_allowed) = std::sync::mpsc::sync_channel::<()>(1);
    let broker = PlainBroker::start(move |_, raw| {
        while let Some(frame) = raw.receive() {
            if frame.first == 0x82 {
                let code = if is_allowed.try_recv().is_ok() {
                    1
                } else {
                    FAILURE
                };
                raw.send(&packet(SUBACK << 4, &[frame.body[0], frame.body[1], code]));
            }
        }
    });
    let site = Site::with(&broker.section("")).allow(&["refuses the subscription"]);
    let gateway = site.start();
    let words = readiness(&gateway, 503).await;
    assert!(
        words.contains("refuses the subscription to commands"),
        "{words}"
    );
    allow.send(()).unwrap();
    readiness(&gateway, 200).await;
    assert_eq!(
        gateway.log().matches("connected to the broker").count(),
        1,
        "on the same connection"
    );
    gateway.stop();
}
