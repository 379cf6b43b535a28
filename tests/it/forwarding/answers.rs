//! Answers that are no answers: cut short, without end, far too long, of somebody else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::http::{get, get_json, post_readings};
use crate::support::process::peak_mib;
use crate::support::receiver::{Receiver, write_answer};
use crate::support::{Site, eventually};

const SENT_AGAIN: &str = "batch not delivered";

fn ok(stream: &mut TcpStream) {
    write_answer(stream, "200 OK", "", "{\"ok\":true}");
}

/// Answers are `answer`'s until there is a verdict on one, which is given back, then good ones.
async fn verdict_on(keys: &str, answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
    let is_judged = Arc::<AtomicBool>::default();
    let is_good = Arc::clone(&is_judged);
    let receiver = Receiver::start(move |_, stream| {
        if is_good.load(Ordering::Relaxed) {
            ok(stream);
        } else {
            answer(stream);
        }
    });
    let site = Site::with(&receiver.section(keys)).allow(&[SENT_AGAIN, "batch held"]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..1);
    let first = receiver.next();
    let verdict = eventually("there is a verdict", || {
        let outbox = get_json(&gateway, "/api/v1/outbox");
        outbox["last_verdict"].as_str().map(str::to_owned)
    })
    .await;
    is_judged.store(true, Ordering::Relaxed);
    if verdict != "delivered" {
        let again = receiver.next();
        let key = "idempotency-key";
        assert_eq!(again.header(key), first.header(key));
        assert_eq!(again.body, first.body);
    }
    eventually("the outbox is empty", || {
        (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
    })
    .await;
    assert!(peak_mib(&gateway) < 64.0);
    gateway.stop();
    verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_short_is_none() {
    let verdict = verdict_on("", |stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"ok\":";
        stream.write_all(head.as_bytes()).unwrap();
    })
    .await;
    assert!(verdict.starts_with("retry: 200 cut short"), "{verdict}");
    let verdict = verdict_on("", |stream| {
        stream.write_all(b"HTTP/1.1 20").unwrap();
    })
    .await;
    assert!(verdict.starts_with("retry: "), "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_counts_also_if_its_words_are_cut_short() {
    for (status, expected) in [
        ("403 Forbidden", "held: 403"),
        ("503 Service Unavailable", "retry: 503"),
    ] {
        let verdict = verdict_on("", move |stream| {
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 100\r\n\r\nsome");
            stream.write_all(head.as_bytes()).unwrap();
        })
        .await;
        assert_eq!(verdict, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_given_up() {
    let verdict = verdict_on("timeout = \"300ms\"\n", |stream| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        // Nothing more comes, until the gateway goes.
        stream.read_to_end(&mut Vec::new()).ok();
    })
    .await;
    assert!(
        verdict.starts_with("retry: ") && verdict.contains("no answer in time"),
        "{verdict}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_answer_without_bounds_the_beginning_is_read() {
    let verdict = verdict_on("", |stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let piece = vec![b'x'; 1 << 16];
        for _ in 0..1 << 14 {
            if stream.write_all(&piece).is_err() {
                return;
            }
        }
    })
    .await;
    assert_eq!(verdict, "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_answer_is_not_unpacked() {
    let verdict = verdict_on("expect = { pointer = \"/ok\" }\n", |stream| {
        let bomb = "\u{1f}\u{8}xxxx";
        write_answer(stream, "200 OK", "Content-Encoding: gzip\r\n", bomb);
    })
    .await;
    assert!(verdict.contains("the answer is packed"), "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captive_portal_delivers_nothing_if_more_is_expected() {
    for expect in [
        "expect = { pointer = \"/ok\" }\n",
        "expect = { status = 201 }\n",
    ] {
        let good = expect.contains("pointer");
        let receiver = Receiver::start(move |number, stream| match number {
            0 => write_answer(stream, "200 OK", "", "<html>Please log in</html>"),
            _ if good => ok(stream),
            _ => write_answer(stream, "201 Created", "", ""),
        });
        let site = Site::with(&receiver.section(expect)).allow(&[SENT_AGAIN]);
        let gateway = site.start();
        post_readings(&gateway, "s1", 80.0, 0..3);
        let (first, second) = (receiver.next(), receiver.next());
        assert_eq!(first.body, second.body);
        eventually("the outbox is empty", || {
            (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
        })
        .await;
        gateway.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_its_host_is_named() {
    let elsewhere = Receiver::start(|_, stream| ok(stream));
    let location = format!("Location: http://{}/y\r\n", elsewhere.address);
    let receiver = Receiver::start(move |_, stream| {
        write_answer(stream, "307 Temporary Redirect", &location, "");
    });
    let site = Site::with(&receiver.section("")).allow(&["batch held"]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..1);
    for _ in 0..3 {
        receiver.next();
    }
    let words = get(&gateway, "/readyz").body;
    assert!(words.contains("307: it redirects to 127.0.0.1"), "{words}");
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_the_url_say_who_sends() {
    let receiver = Receiver::start(|_, stream| ok(stream));
    let keys = "bearer_token_file = \"token\"\nheaders = { X-Site = \"hall 3\", Authorization = { file = \"auth\" } }\n";
    let section = receiver.section(keys);
    let section = section.replacen("/x\"", "/%{gateway_id}/%{token}/x?g=%{gateway_id}\"", 1);
    let site = Site::with(&section).environment("RUST_LOG", "trace");
    std::fs::write(site.path("token"), "T0ken/1a2b\n").unwrap();
    std::fs::write(site.path("auth"), "Token s3cret-5e6f\n").unwrap();
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..1);
    let request = receiver.next();
    let line = request.head.lines().next().unwrap();
    assert_eq!(line, "POST /test/T0ken%2F1a2b/x?g=test HTTP/1.1");
    assert_eq!(request.header("x-site"), "hall 3");
    assert_eq!(request.header("authorization"), "Token s3cret-5e6f");
    // Another token is taken up with the next request.
    std::fs::write(site.path("token"), "other").unwrap();
    post_readings(&gateway, "s1", 80.0, 1..2);
    let request = receiver.next();
    assert!(
        request.head.starts_with("POST /test/other/x"),
        "{request:?}"
    );
    let mut said = gateway.log();
    for path in ["/readyz", "/metrics", "/api/v1/outbox"] {
        said.push_str(&get(&gateway, path).body);
    }
    for secret in ["T0ken", "1a2b", "s3cret", "5e6f"] {
        assert!(!said.contains(secret), "{secret} was told");
    }
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_status_has_its_verdict() {
    let cases = [
        ("retry", &[408, 409, 425, 429, 500, 502, 503, 504][..]),
        ("held", &[401, 402, 403, 404, 405, 407, 410, 415, 451]),
    ];
    for (word, statuses) in cases {
        for status in statuses {
            let line = format!("{status} Said");
            let answer = move |stream: &mut TcpStream| write_answer(stream, &line, "", "");
            assert_eq!(verdict_on("", answer).await, format!("{word}: {status}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_of_retry_after_is_held_against_the_clock_of_who_says_it() {
    let started = Instant::now();
    // By the clock here that was long ago.
    let headers =
        "Date: Mon, 23 Nov 2020 12:00:00 GMT\r\nRetry-After: Mon, 23 Nov 2020 12:00:02 GMT\r\n";
    let verdict = verdict_on("", move |stream| {
        write_answer(stream, "503 Later", headers, "");
    })
    .await;
    assert_eq!(verdict, "retry: 503");
    assert!(Duration::from_secs(2) <= started.elapsed());
}
