//! What hostile clients found, each by hand.

use tokio::io::AsyncWriteExt;
use tokio::time;

use super::bytes::{Properties, data, packet};
use super::canary::end_session;
use super::house::House;
use super::visit::{PATIENCE, serve};

/// A CONNECT of MQTT 5 without a clean start.
fn connect(expiry: u32, max_packet: u32) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 0, 0, 0];
    let mut properties = Properties::default();
    properties.four(0x11, expiry);
    properties.four(0x27, max_packet);
    properties.write(true, &mut body);
    data(b"c1", &mut body);
    packet(0x10, &body)
}

#[tokio::test]
async fn who_takes_no_connack_leaves_no_session_behind() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path());
    for (expiry, max_packet) in [(60, 1000), (0, 1), (60, 1000)] {
        let (mut stream, theirs) = tokio::io::duplex(4096);
        let mut served = serve(&house.shared, &house.stop, theirs);
        stream
            .write_all(&connect(expiry, max_packet))
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        let gone = time::timeout(PATIENCE, served.join_next()).await;
        gone.expect("its task ends").unwrap().unwrap();
    }
    end_session("c1", &house.shared, &house.stop).await;
    house.check_is_empty();
    let owed = house.close().await.owed_rows().unwrap();
    assert!(owed.iter().all(|(_, rows)| *rows == 0), "{owed:?}");
}
