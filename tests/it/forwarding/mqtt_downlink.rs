//! Commands from a broker above to the clients here.

use crate::support::frames::{Publish, V5};
use crate::support::mosquitto::Mosquitto;
use crate::support::raw::Raw;
use crate::support::{Gateway, Site, eventually};

const DROPPED: &str = "command dropped";

async fn connected(gateway: &Gateway<'_>, times: usize) {
    eventually("it is connected", || {
        let log = gateway.log();
        (times <= log.matches("connected to the broker").count()).then_some(())
    })
    .await;
}

/// Publishes until the gateway has subscribed: a message that reaches `here`.
async fn subscribed(above: &mut Raw, here: &mut Raw) {
    eventually("the subscription stands", || {
        above.publish(Publish::new("commands/test/ready", "").qos(1, 0));
        (!here.messages().is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_a_client_here() {
    let mut broker = Mosquitto::start();
    let site = Site::with(&broker.section("")).allow(&[DROPPED, "no connection to the broker"]);
    let gateway = site.start();
    let mut here = Raw::connect(&gateway, V5, "press-4");
    assert_eq!(here.subscribe("commands/#", 1), 1);
    for round in 1..3 {
        connected(&gateway, round).await;
        let mut above = broker.client("above");
        subscribed(&mut above, &mut here).await;
        // Too long: dropped, and the rest goes on.
        for _ in 0..2 {
            let long = vec![b'x'; (256 << 10) + 1];
            above.publish(Publish::new("commands/test/long", long).qos(1, 0));
        }
        above.publish(Publish::new("commands/other/press", "1").qos(1, 0));
        above.publish(Publish::new("commands/test/press", "2").qos(1, 0));
        above.publish(Publish::new("commands/test/press", "3"));
        for (text, qos) in [("2", 1), ("3", 0)] {
            let message = next_of(&mut here, "commands/test/press");
            assert_eq!((message.text(), message.qos), (text, qos));
        }
        if round == 1 {
            broker.kill();
            broker.restart();
        }
    }
    assert_eq!(gateway.log().matches(DROPPED).count(), 1, "said once");
    gateway.stop();
}

/// The next message of a topic.
fn next_of(client: &mut Raw, topic: &str) -> Publish {
    loop {
        let message = client.message();
        if message.topic == topic {
            return message;
        }
    }
}
