//! What is the same of all answers: what browsers are told, what is left out, what is compressed; and the page.

use std::io::Read as _;

#[cfg(feature = "dashboard")]
use axum::http::HeaderValue;
use flate2::read::GzDecoder;

use super::*;
use crate::domain::origin::Origin;

fn asking(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = request(method, path, "");
    for (name, value) in headers {
        let name = header::HeaderName::try_from(*name).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request
}

/// The body as it came.
async fn raw(house: &House, request: Request<Body>) -> (Response<()>, Vec<u8>) {
    let mut request = request;
    request.extensions_mut().insert(Peer {
        address: HERE.parse().unwrap(),
        is_tls: false,
        is_certified: false,
    });
    let response = router(Arc::clone(&house.shared)).oneshot(request).await;
    let (parts, body) = response.unwrap().into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    (Response::from_parts(parts, ()), bytes)
}

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn what_the_client_has_already_is_left_out() {
    let house = House::open();
    house
        .post("/data", r#"{"id":"s1","value":1}"#)
        .await
        .is(201);
    for path in [
        "/data",
        "/api/v1/sensors",
        "/api/v1/rules",
        "/api/v1/readings",
    ] {
        let first = house.get(path).await;
        let tag = first.is(200).header(header::ETAG).to_owned();
        assert!(tag.starts_with("W/\""), "{path}: {tag}");
        let strong = tag.trim_start_matches("W/").to_owned();
        for known in [&*tag, &strong, "*", &format!("\"x\", {tag}")] {
            let again = asking(Method::GET, path, &[("if-none-match", known)]);
            let again = house.send(again).await;
            assert_eq!(again.is(304).text, "", "{path} {known}");
            assert_eq!(again.header(header::ETAG), tag);
        }
        let other = asking(Method::GET, path, &[("if-none-match", "\"x\"")]);
        assert_eq!(house.send(other).await.is(200).text, first.text);
    }
    let tag = house.get("/data").await.header(header::ETAG).to_owned();
    house
        .post("/data", r#"{"id":"s1","value":2}"#)
        .await
        .is(201);
    let again = asking(Method::GET, "/data", &[("if-none-match", &tag)]);
    assert_eq!(house.send(again).await.is(200).text, r#"{"s1":2.0}"#);
    // Neither problems nor streams, nor what was changed.
    assert_eq!(house.get("/nothing").await.header(header::ETAG), "");
    let stream = house.get("/api/v1/readings?format=csv").await;
    assert_eq!(stream.is(200).header(header::ETAG), "");
    let post = asking(
        Method::POST,
        "/status?device_id=d&status=x",
        &[("if-none-match", "*")],
    );
    house.send(post).await.is(200);
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_wants_it() {
    let house = House::open();
    let readings = (0..200).map(|n| format!(r#"{{"id":"sensor-{n}","value":{n}}}"#));
    let body = format!("[{}]", readings.collect::<Vec<_>>().join(","));
    house.post("/data", body).await.is(201);
    let plain = house.get("/data").await;
    assert_eq!(plain.header(header::CONTENT_ENCODING), "");
    for path in ["/data", "/api/v1/readings?format=csv", "/metrics"] {
        let (_, expected) = raw(&house, asking(Method::GET, path, &[])).await;
        let ask = asking(Method::GET, path, &[("accept-encoding", "br, gzip;q=0.8")]);
        let (head, packed) = raw(&house, ask).await;
        assert_eq!(head.headers()[header::CONTENT_ENCODING], "gzip", "{path}");
        assert!(packed.len() < expected.len() / 2, "{path}");
        if path != "/metrics" {
            assert_eq!(unpacked(&packed).as_bytes(), expected, "{path}");
        }
    }
    let short = asking(Method::GET, "/status", &[("accept-encoding", "gzip")]);
    assert_eq!(house.send(short).await.header(header::CONTENT_ENCODING), "");
}

#[cfg(feature = "dashboard")]
#[tokio::test]
async fn browsers_are_told_what_they_may_do() {
    let house = House::open();
    let page = ["/", "/dashboard/app/main.js"];
    for path in ["/data", "/nothing", "/healthz"].into_iter().chain(page) {
        let answer = house.get(path).await;
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(answer.header(header::CACHE_CONTROL).contains("no-cache"));
    }
    for path in page {
        let answer = house.get(path).await;
        let policy = answer.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header(header::X_FRAME_OPTIONS), "DENY");
        assert_eq!(answer.header(header::REFERRER_POLICY), "no-referrer");
    }
}

#[tokio::test]
async fn a_page_that_is_allowed_may_read_and_any_other_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let (house, works) = House::idle_in(folder, |http| {
        http.allowed_origins = vec![Origin::new("https://plant.example").unwrap()];
    });
    works.start(&house);
    let host = ("host", "127.0.0.1:8080");
    let get = |origin| asking(Method::GET, "/data", &[host, ("origin", origin)]);
    let allowed = house.send(get("https://plant.example")).await;
    assert_eq!(
        allowed.is(200).header(header::ACCESS_CONTROL_ALLOW_ORIGIN),
        "https://plant.example"
    );
    assert_eq!(allowed.header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS), "");
    let foreign = house.send(get("https://evil.example")).await;
    foreign.is_problem(403);
    assert_eq!(foreign.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "");
    let preflight = |origin| {
        let headers = [
            host,
            ("origin", origin),
            ("access-control-request-method", "PUT"),
            (
                "access-control-request-headers",
                "authorization,content-type",
            ),
        ];
        asking(Method::OPTIONS, "/api/v1/rules", &headers)
    };
    let may = house.send(preflight("https://plant.example")).await;
    let methods = may.header(header::ACCESS_CONTROL_ALLOW_METHODS).to_owned();
    assert!(
        methods.contains("PUT") && methods.contains("DELETE"),
        "{methods}"
    );
    let headers = may.header(header::ACCESS_CONTROL_ALLOW_HEADERS);
    assert!(headers.contains("authorization"), "{headers}");
    let may_not = house.send(preflight("https://evil.example")).await;
    assert_eq!(may_not.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "");
    // Where nobody is allowed there is nothing to ask for.
    let closed = House::open();
    let ask = asking(Method::OPTIONS, "/data", &[host]);
    closed.send(ask).await.is_problem(405);
}

#[cfg(feature = "dashboard")]
#[tokio::test]
async fn the_page_and_its_parts_are_there_for_everybody() {
    let (house, _works) = House::idle(Anonymous::Never);
    let page = house.get("/").await;
    assert_eq!(
        page.is(200).header(header::CONTENT_TYPE),
        "text/html; charset=utf-8"
    );
    assert!(page.text.starts_with("<!doctype html>"), "{}", page.text);
    let parts = page
        .text
        .split('"')
        .filter(|text| text.starts_with("/dashboard/"));
    let parts: Vec<&str> = parts.collect();
    assert!(2 < parts.len(), "{parts:?}");
    for path in parts {
        let plain = house.get(path).await;
        plain.is(200);
        let ask = asking(Method::GET, path, &[("accept-encoding", "gzip")]);
        let (head, packed) = raw(&house, ask).await;
        assert_eq!(head.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(unpacked(&packed), plain.text, "{path}");
        let tag: &HeaderValue = &head.headers()[header::ETAG];
        let tag = tag.to_str().unwrap();
        for known in [tag, &format!("\"x\", {tag}")] {
            let again = asking(Method::GET, path, &[("if-none-match", known)]);
            let again = house.send(again).await;
            assert_eq!(again.is(304).text, "", "{path}");
            assert_eq!(again.header(header::CONTENT_ENCODING), "");
        }
    }
    for path in [
        "/dashboard",
        "/dashboard/",
        "/dashboard/../Cargo.toml",
        "/dashboard/vendor/fetch.sh",
    ] {
        house
            .get(path)
            .await
            .is(if path == "/dashboard" || path == "/dashboard/" {
                401
            } else {
                404
            });
    }
}
