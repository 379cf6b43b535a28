//! Connections: what is waited for and what is not, also at a stop.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::*;

/// A server on a socket of its own, and a client that is connected to it.
struct Line {
    socket: TcpStream,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Line {
    async fn to(house: &House) -> Self {
        let listener = TcpListener::bind(HERE.replace("40000", "0")).await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(house.server().run(listener, None, stop.clone()));
        Self {
            socket,
            stop,
            tasks,
        }
    }

    async fn write(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.unwrap();
    }

    async fn read_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let byte = self.socket.read_u8().await.unwrap();
            text.push(char::from(byte));
        }
        text
    }
}

#[tokio::test]
async fn a_request_in_flight_is_finished_before_the_server_ends() {
    let house = House::open();
    let mut line = Line::to(&house).await;
    line.write(
        "POST /data HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 21\r\n\r\n",
    )
    .await;
    let first = line.read_until("\r\n\r\n").await;
    assert!(first.starts_with("HTTP/1.1 100 "), "{first}");
    line.stop.cancel();
    line.write(r#"{"id":"s1","value":1}"#).await;
    let mut rest = String::new();
    line.socket.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 201 "), "{rest}");
    line.tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let house = House::idle(Anonymous::Loopback).0;
    let mut line = Line::to(&house).await;
    line.write("POST /data HTTP/1.1\r\nHost: localhost\r\nContent-Length: 21\r\n\r\n{")
        .await;
    let head = line.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    assert!(head.contains("application/problem+json"), "{head}");
}

#[tokio::test]
async fn a_client_that_still_writes_sees_why_its_body_is_refused() {
    let house = House::open();
    let mut line = Line::to(&house).await;
    let body = " ".repeat(3 * body::MAX_BYTES);
    let length = body.len();
    line.write(&format!(
        "POST /data HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
    .await;
    let head = line.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
}

#[tokio::test]
async fn half_a_head_does_not_hold_up_a_stop() {
    let house = House::open();
    let mut line = Line::to(&house).await;
    line.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea")
        .await;
    line.read_until("{\"status\":\"ok\"}").await;
    line.stop.cancel();
    let ended = time::timeout(Duration::from_secs(5), line.tasks.join_next()).await;
    ended.expect("a stop at once").unwrap().unwrap();
    assert_eq!(Arc::strong_count(&house.shared), 1);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let house = House::idle(Anonymous::Loopback).0;
    let mut line = Line::to(&house).await;
    line.write("GET /healthz HTTP/1.1\r\nHost: local").await;
    let mut rest = String::new();
    line.socket.read_to_string(&mut rest).await.unwrap();
    assert!(!rest.contains("200 OK"), "{rest}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_take_its_answer_is_not_waited_for() {
    let house = House::open();
    let readings = (0..1000).map(|n| format!(r#"{{"id":"s","value":{n},"x":"{:500}"}}"#, ""));
    // More than the buffers of a socket hold.
    for _ in 0..40 {
        let body = format!("[{}]", readings.clone().collect::<Vec<_>>().join(","));
        house.post("/data", body).await.is(201);
    }
    let mut line = Line::to(&house).await;
    line.write("GET /api/v1/readings?format=ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    time::sleep(Duration::from_secs(3600)).await;
    let mut taken = Vec::new();
    let ended = line.socket.read_to_end(&mut taken).await;
    assert!(
        ended.is_err() || !taken.ends_with(b"0\r\n\r\n"),
        "it was broken off"
    );
}
