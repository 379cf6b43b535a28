//! Subscribers that do not read what they asked for.

use simulator::fleet::Fleet;
use tokio::net::TcpSocket;

use crate::support::call::metric;
use crate::support::packets::{Packet, Peer, connect, publish};
use crate::support::process::resident_mib;
use crate::support::{Gateway, LIMIT, Site};

const MOST_MIB: f64 = 30.0;

/// A client for which the system keeps little: what it does not read stays at the gateway.
async fn narrow(gateway: &Gateway<'_>, client_id: &str) -> Peer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket
        .connect(gateway.mqtt)
        .await
        .unwrap()
        .into_std()
        .unwrap();
    stream.set_nonblocking(false).unwrap();
    let mut peer = Peer::over(stream);
    peer.send(&connect(client_id));
    assert_eq!(peer.receive(), Packet::Connack);
    peer
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
    let mut lively = Peer::connect(gateway.mqtt, "lively");
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
    let mut publisher = Peer::connect(gateway.mqtt, "publisher");
    for id in 1..=2000 {
        let (topic, qos) = (format!("chat/{id}"), 1);
        publisher.send(&publish(&topic, qos, id, &[b'x'; 16 << 10]));
        assert_eq!(publisher.receive(), Packet::Puback(id));
    }
    let grown = resident_mib(&gateway) - before;
    println!("grown by {grown:.1} MiB");
    assert!(grown < MOST_MIB, "grown by {grown} MiB");
    assert!(0.0 < metric(&gateway, "gateway_mqtt_dropped_total"));
    // Who reads gets what it asked for.
    publisher.send(&publish("chat/lively", 1, 1, b"hello"));
    let Packet::Publish { topic, .. } = lively.receive() else {
        panic!("not a message");
    };
    assert_eq!(topic, "chat/lively");
    let counts = fleet.stop(LIMIT).await;
    assert_eq!((counts.acked, counts.disconnects), (counts.published, 0));
    gateway.stop();
}
