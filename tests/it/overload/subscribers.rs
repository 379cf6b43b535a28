//! Subscribers that do not read what they asked for.

use simulator::fleet::Fleet;
use tokio::net::TcpSocket;

use crate::support::frames::{Connect, PUBACK, Publish, V311, acked};
use crate::support::http::metric;
use crate::support::process::resident_mib;
use crate::support::raw::Raw;
use crate::support::{Gateway, LIMIT, Site};

const MOST_MIB: f64 = 30.0;

/// A client for which the system keeps little: what it does not read stays at the gateway.
async fn narrow(gateway: &Gateway<'_>, client_id: &str) -> Raw {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket
        .connect(gateway.mqtt)
        .await
        .unwrap()
        .into_std()
        .unwrap();
    stream.set_nonblocking(false).unwrap();
    Raw::over(stream, V311, |stream| Box::new(stream)).let_in(&Connect::new(V311, client_id))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_does_not_read_holds_up_nobody() {
    const READINGS: u64 = 20_000;
    let site = Site::new().allow(&["subscriber is too slow"]);
    let gateway = site.start();
    let mut stalled = Vec::new();
    for qos in [0, 1] {
        let mut peer = narrow(&gateway, &format!("stalled-{qos}")).await;
        peer.subscribe("#", qos);
        stalled.push(peer);
    }
    let mut lively = Raw::connect(&gateway, V311, "lively");
    lively.subscribe("chat/lively", 1);
    let fleet = Fleet {
        broker: gateway.mqtt.to_string(),
        rate: f64::INFINITY,
        count: 4,
        sensors_per_connection: 1,
        window: 100,
        ..Fleet::default()
    };
    let fleet = fleet.start().unwrap();
    fleet
        .wait_for(|counts| 1000 <= counts.acked, LIMIT)
        .await
        .unwrap();
    let before = resident_mib(&gateway);
    fleet
        .wait_for(|counts| READINGS <= counts.acked, LIMIT)
        .await
        .unwrap();
    // Larger messages, so that bytes are bounded and not only their number.
    let mut publisher = Raw::connect(&gateway, V311, "publisher");
    for id in 1..=2000 {
        let large = Publish::new(&format!("chat/{id}"), [b'x'; 16 << 10]).qos(1, id);
        publisher.send(&large.bytes(V311));
        assert_eq!(publisher.receive(), Some(acked(PUBACK, id)));
    }
    let grown = resident_mib(&gateway) - before;
    println!("grown by {grown:.1} MiB");
    assert!(grown < MOST_MIB, "grown by {grown} MiB");
    assert!(0.0 < metric(&gateway, "gateway_mqtt_dropped_total"));
    // Who reads gets what it asked for.
    publisher.send(&Publish::new("chat/lively", "hello").qos(1, 1).bytes(V311));
    assert_eq!(lively.unacknowledged().topic, "chat/lively");
    let counts = fleet.stop(LIMIT).await;
    assert_eq!((counts.acked, counts.disconnects), (counts.published, 0));
    gateway.stop();
}
