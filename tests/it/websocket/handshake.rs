//! The request for a WebSocket: its path, its subprotocol, its origin, its time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::Site;
use crate::support::frames::{Connect, V5};
use crate::support::http::metric;
use crate::support::raw::Raw;
use crate::support::websocket::{connect_tcp, mqtt};

/// A request that is answered with a WebSocket at `address`.
fn good(address: SocketAddr) -> String {
    format!(
        "GET /mqtt HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
}

/// The head of the answer.
fn head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

fn ask(address: SocketAddr, request: &str) -> (TcpStream, String) {
    let mut socket = connect_tcp(address);
    socket.write_all(request.as_bytes()).unwrap();
    let head = head(&mut socket);
    (socket, head)
}

/// Checks that the request is refused with `status`, and the connection closed.
#[track_caller]
fn is_refused(address: SocketAddr, request: &str, status: u16) -> String {
    let (mut socket, head) = ask(address, request);
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    assert!(head.contains("Connection: close\r\n"), "{head}");
    let mut body = String::new();
    socket.read_to_string(&mut body).unwrap();
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}{body}"
    );
    head
}

#[track_caller]
fn is_accepted(address: SocketAddr, request: &str) -> String {
    let (_, head) = ask(address, request);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    head
}

#[test]
fn a_wrong_request_gets_an_answer_that_says_why() {
    let site = Site::new();
    let gateway = site.start();
    let address = gateway.address("ws");
    let good = good(address);
    let head = is_accepted(address, &good);
    // The example of RFC 6455, section 1.3.
    assert!(
        head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        "{head}"
    );
    assert!(head.contains("Sec-WebSocket-Protocol: mqtt\r\n"), "{head}");
    let head = is_accepted(address, &good.replace(": mqtt\r", ": chat, mqtt\r"));
    assert!(head.contains("Sec-WebSocket-Protocol: mqtt\r\n"), "{head}");

    let refused =
        |from: &str, to: &str, status| is_refused(address, &good.replace(from, to), status);
    refused("/mqtt", "/", 404);
    refused("/mqtt", "/mqtt/more", 404);
    refused("Sec-WebSocket-Protocol: mqtt\r\n", "", 400);
    refused(": mqtt\r", ": mqttv3.1\r", 400);
    refused("Sec-WebSocket-Key", "X-Key", 400);
    assert!(refused("GET", "POST", 405).contains("Allow: GET\r\n"));
    assert!(refused("Upgrade: websocket\r\n", "", 426).contains("Upgrade: websocket\r\n"));
    assert!(refused(": 13", ": 12", 426).contains("Sec-WebSocket-Version: 13\r\n"));
    is_refused(address, "GET /mqtt HTTP/1.1 or so\r\n\r\n", 400);
    mqtt(&gateway, V5).let_in(&Connect::new(V5, "c")).ping();
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_client_that_speaks_no_http_is_told_so_at_once() {
    let site = Site::new();
    let gateway = site.start();
    let mut socket = connect_tcp(gateway.address("ws"));
    socket.write_all(&Connect::new(V5, "lost").bytes()).unwrap();
    assert!(head(&mut socket).starts_with("HTTP/1.1 400 "));
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn an_endless_head_is_refused() {
    let site = Site::new();
    let gateway = site.start();
    let address = gateway.address("ws");
    let good = good(address);
    let long = |length: usize| good.replace("Host", &format!("X: {}\r\nHost", "x".repeat(length)));
    is_accepted(address, &long(12 << 10));
    is_refused(address, &long(20 << 10), 431);
    // The answer arrives also if the client goes on and on.
    is_refused(address, &format!("GET /{}", "x".repeat(1 << 20)), 431);
    let many = good.replace("Host", &format!("{}Host", "X: y\r\n".repeat(100)));
    is_refused(address, &many, 431);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn pages_from_elsewhere_are_refused() {
    let site = Site::new().environment(
        "EDGE_GATEWAY_MQTT__ALLOWED_ORIGINS",
        "https://dash.example.com, http://192.0.2.7:3000",
    );
    let gateway = site.start();
    let address = gateway.address("ws");
    let port = address.port();
    let from = |host: &str, origin: &str| {
        let good = good(address);
        good.replace(
            &format!("Host: {address}"),
            &format!("Host: {host}\r\nOrigin: {origin}"),
        )
    };
    let here = address.to_string();
    for (host, origin) in [
        (&*here, "https://dash.example.com"),
        (&here, "http://192.0.2.7:3000"),
        ("gateway.example", "https://dash.example.com"),
        (&here, &format!("http://{here}")),
        (
            &format!("localhost:{port}"),
            &format!("http://localhost:{port}"),
        ),
    ] {
        is_accepted(address, &from(host, origin));
    }
    let rebound = format!("evil.example:{port}");
    for (host, origin) in [
        (&*here, "http://evil.example"),
        (&here, "http://dash.example.com"),
        (&here, "null"),
        (&here, "http://127.0.0.1:8080"),
        // A name that its owner has made lead here.
        (&rebound, &format!("http://{rebound}")),
    ] {
        is_refused(address, &from(host, origin), 403);
    }
    // Programs have no origin, and may call the gateway what they like.
    is_accepted(address, &good(address).replace(&here, "gateway.example"));
    assert!(gateway.log().contains("http://evil.example"));
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn silent_connections_delay_nobody_and_are_closed() {
    let site = Site::with("[mqtt.limits]\nconnect_timeout = \"2s\"\n");
    let gateway = site.start();
    let address = gateway.address("ws");
    let mut silent: Vec<TcpStream> = (0..200).map(|_| connect_tcp(address)).collect();
    // Half a request is silence as well.
    silent[0].write_all(b"GET /mqtt HTTP/1.1\r\n").unwrap();
    let started = Instant::now();
    mqtt(&gateway, V5).let_in(&Connect::new(V5, "201st")).ping();
    assert!(started.elapsed() < Duration::from_secs(5));
    for socket in silent {
        let mut closed = Raw::over(socket, V5, |socket| Box::new(socket));
        assert_eq!(closed.rest(), [], "closed after the time for a handshake");
    }
    let limited = "gateway_mqtt_limited_total{limit=\"connect_timeout\"}";
    assert_eq!(metric(&gateway, limited), 200.0);
    assert_eq!(gateway.stop().code(), Some(0));
}
