//! How connections are used: HTTP/2 where it is offered, one HTTP/1.1 connection again and again where it is not, and none
//! that has died.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::{ServerConnection, StreamOwned};
use simulator::cloud::{Cloud, Step};

use crate::support::accounts::assert_all_delivered_once;
use crate::support::authority::Authority;
use crate::support::http::post_readings;
use crate::support::{LIMIT, Site, cloud_section};

#[tokio::test(flavor = "multi_thread")]
async fn http_2_carries_all_requests_over_one_connection() {
    let cloud = Cloud::default().start().await.unwrap();
    let keys = "batch_max_readings = 10\nconcurrency = 4\n";
    let site = Site::with(&cloud_section(&cloud, keys)).allow(&["batch not delivered"]);
    let gateway = site.start();
    // As long as nobody knows what the server speaks, each request has a connection of its own.
    post_readings(&gateway, "s1", 80.0, 0..1);
    assert_all_delivered_once(&site, &cloud).await;
    // Two of them hang, and the others go on beside them.
    for _ in 0..2 {
        cloud.script().push(Step::hang());
    }
    post_readings(&gateway, "s1", 80.0, 0..200);
    let stats = cloud
        .wait_for(|stats| stats.distinct == 181, LIMIT)
        .await
        .unwrap();
    assert_eq!(stats.hanging, 2);
    assert_eq!(stats.requests_over_http2, stats.requests);
    assert_eq!(stats.connections, 1);
    cloud.script().clear();
    assert_all_delivered_once(&site, &cloud).await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_uses_a_connection_again() {
    for plain in [false, true] {
        let cloud = Cloud {
            plain,
            http2: false,
            ..Cloud::default()
        };
        let cloud = cloud.start().await.unwrap();
        let keys = "batch_max_readings = 10\nconcurrency = 2\n";
        let site = Site::with(&cloud_section(&cloud, keys));
        let gateway = site.start();
        post_readings(&gateway, "s1", 80.0, 0..500);
        assert_all_delivered_once(&site, &cloud).await;
        let stats = cloud.stats();
        assert_eq!((stats.requests, stats.requests_over_http2), (50, 0));
        assert!(stats.connections <= 2, "{stats:?}");
        gateway.stop();
    }
}

/// Greets in HTTP/2 (RFC 9113, section 3.4) and then says nothing more, as a load balancer whose backend is gone.
fn greet_and_fall_silent(stream: TcpStream, authority: &Authority) {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const ACKNOWLEDGED: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];
    let mut server = (*authority.server(|_| {}, None)).clone();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let connection = ServerConnection::new(Arc::new(server)).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(&SETTINGS).unwrap();
    stream.write_all(&ACKNOWLEDGED).unwrap();
    stream.flush().unwrap();
    std::io::copy(&mut stream, &mut std::io::sink()).ok();
}

fn pass_on(client: &TcpStream, to: SocketAddr) {
    let server = TcpStream::connect(to).unwrap();
    let pump = |mut from: &TcpStream, mut to: &TcpStream| {
        std::io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Both).ok();
    };
    thread::scope(|scope| {
        scope.spawn(|| pump(client, &server));
        pump(&server, client);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_fallen_silent_is_given_up() {
    let cloud = Cloud::default().start().await.unwrap();
    let authority = Authority::new();
    let between = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = between.local_addr().unwrap();
    let of_cloud = std::fs::read_to_string(cloud.ca_file().unwrap()).unwrap();
    let both = of_cloud + &authority.pem();
    let to = cloud.address();
    thread::spawn(move || {
        let (first, _) = between.accept().unwrap();
        thread::spawn(move || greet_and_fall_silent(first, &authority));
        for stream in between.incoming() {
            thread::spawn(move || pass_on(&stream.unwrap(), to));
        }
    });
    let site = Site::with(&format!(
        "[cloud]\nurl = \"https://localhost:{}/api/sync\"\nca_file = \"ca.pem\"\ntimeout = \"500ms\"\n\
         retry_initial = \"50ms\"\nretry_max = \"200ms\"\n",
        address.port()
    ))
    .allow(&["batch not delivered"]);
    std::fs::write(site.path("ca.pem"), both).unwrap();
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..10);
    assert_all_delivered_once(&site, &cloud).await;
    gateway.stop();
}
