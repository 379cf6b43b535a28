//! MQTT over WebSocket over TLS.

use std::fs;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::support::authority::{Authority, TLS13, VERSIONS};
use crate::support::frames::{BOTH, Connect, Publish, V5};
use crate::support::raw::Raw;
use crate::support::websocket::{connect_tcp, mqtt_over};
use crate::support::{Gateway, Site};
use crate::tls::read_late;

const SECTION: &str = "[mqtt.tls]\nlisten = \"127.0.0.1:0\"\nwebsocket_listen = \"127.0.0.1:0\"\n";

fn site(authority: &Authority, keys: &str) -> Site {
    let site = Site::with(&format!("{SECTION}{keys}"));
    authority.equip(&site);
    site
}

fn secured(
    socket: TcpStream,
    config: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let server = socket.peer_addr().unwrap().ip().into();
    let client = ClientConnection::new(Arc::clone(config), server).unwrap();
    StreamOwned::new(client, socket)
}

fn wss(gateway: &Gateway<'_>, config: &Arc<ClientConfig>, version: u8) -> Raw {
    mqtt_over(gateway.address("wss"), version, |socket| {
        Box::new(secured(socket, config))
    })
}

#[test]
fn readings_and_messages_travel_over_wss() {
    let authority = Authority::new();
    let site = site(&authority, "");
    let gateway = site.start();
    for tls in VERSIONS {
        let config = authority.client(tls, None);
        for version in BOTH {
            let mut client = wss(&gateway, &config, version).let_in(&Connect::new(version, "c"));
            client.subscribe("sensors/#", 1);
            let reading = Publish::new("sensors/s1", "80.5").qos(1, 1);
            client.publish(reading);
            assert_eq!(client.text(), "80.5");
        }
    }
    let stored: i64 = site.sql("SELECT count(*) FROM readings WHERE sensor_id = 's1'");
    assert_eq!(stored, 4);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_client_that_reads_late_gets_everything_over_wss() {
    let authority = Authority::new();
    let site = site(&authority, "");
    let gateway = site.start();
    let config = authority.client(TLS13, None);
    let reader = wss(&gateway, &config, V5).let_in(&Connect::new(V5, "reader"));
    read_late(&gateway, reader);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn the_common_name_of_a_client_certificate_is_the_user() {
    let authority = Authority::new();
    let site = site(&authority, "client_ca = \"ca.pem\"\n")
        .environment("EDGE_GATEWAY_MQTT__ANONYMOUS", "never")
        .environment("EDGE_GATEWAY_MQTT__ACL_FILE", "acl.toml")
        .allow(&["publish refused"]);
    let acl = "[[rule]]\nallow = \"publish\"\nfilter = \"sensors/%u/#\"\n";
    fs::write(site.path("acl.toml"), acl).unwrap();
    let gateway = site.start();
    let press = authority.sign_client(Some("press-4"));
    let config = authority.client(TLS13, Some(&press));
    let connect = Connect::new(V5, "c").credentials("ann", "guessed");
    let mut client = wss(&gateway, &config, V5).let_in(&connect);
    let to = |user: &str| Publish::new(&format!("sensors/{user}/s1"), "1").qos(1, 1);
    assert_eq!(client.publish(to("press-4")), 0);
    assert_eq!(client.publish(to("ann")), 0x87);
    // Without one nobody comes so far as to ask for a WebSocket.
    let mut nobody = Raw::over(connect_tcp(gateway.address("wss")), V5, |socket| {
        Box::new(secured(socket, &authority.client(TLS13, None)))
    });
    nobody.send(b"GET /mqtt HTTP/1.1\r\n\r\n");
    assert_eq!(nobody.receive(), None);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn silent_connections_delay_nobody_over_wss() {
    let authority = Authority::new();
    let site = site(&authority, "");
    let gateway = site.start();
    let address = gateway.address("wss");
    let config = authority.client(TLS13, None);
    let _silent: Vec<TcpStream> = (0..100).map(|_| connect_tcp(address)).collect();
    // Silent after the handshake of TLS.
    let _shaken: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = secured(connect_tcp(address), &config);
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock).unwrap();
            }
            stream
        })
        .collect();
    let started = Instant::now();
    wss(&gateway, &config, V5)
        .let_in(&Connect::new(V5, "last"))
        .ping();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(gateway.stop().code(), Some(0));
}
