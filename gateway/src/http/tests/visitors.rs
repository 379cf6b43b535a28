//! Who may do what: tokens, roles, sessions of pages, and pages from elsewhere.

use super::*;
use crate::access::{NewToken, Role};

const AWAY: &str = "192.0.2.1:1";

/// With a token of each role, and its committer.
struct Guarded {
    house: House,
    tokens: [(Role, String); 3],
}

impl Guarded {
    fn open(anonymous: Anonymous) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        let roles = [Role::Read, Role::Write, Role::Admin];
        let made = roles.map(|role| (role, NewToken::make(role).unwrap()));
        let lines = made
            .iter()
            .map(|(role, token)| format!("{}:{}\n", role.as_str(), token.entry));
        fs::write(&file, lines.collect::<String>()).unwrap();
        let (house, works) = House::idle_in(folder, |http| {
            http.anonymous = anonymous;
            http.token_file = Some(file);
        });
        works.start(&house);
        let tokens = made.map(|(role, token)| (role, token.text));
        Self { house, tokens }
    }

    fn token(&self, role: Role) -> &str {
        let found = self.tokens.iter().find(|(known, _)| *known == role);
        &found.unwrap().1
    }

    async fn send(&self, peer: &str, request: Request<Body>, headers: &[(&str, &str)]) -> Answer {
        let (mut parts, body) = request.into_parts();
        for (name, value) in headers {
            let name = header::HeaderName::try_from(*name).unwrap();
            parts.headers.insert(name, value.parse().unwrap());
        }
        self.house
            .send_from(peer, Request::from_parts(parts, body))
            .await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(AWAY, request(Method::GET, path, ""), headers)
            .await
    }
}

#[tokio::test]
async fn each_role_may_do_what_it_is_for() {
    let guarded = Guarded::open(Anonymous::Never);
    let reading = r#"{"id":"s1","value":1}"#;
    let paths = [
        (Method::GET, "/data", "", Role::Read),
        (Method::GET, "/metrics", "", Role::Read),
        (Method::GET, "/api/v1/rules", "", Role::Read),
        (Method::GET, "/nothing", "", Role::Read),
        (Method::POST, "/data", reading, Role::Write),
        (
            Method::POST,
            "/status?device_id=d&status=on",
            "",
            Role::Write,
        ),
        (Method::POST, "/api/v1/alerts/9/ack", "", Role::Write),
        (Method::PUT, "/api/v1/rules", "{}", Role::Admin),
        (Method::PUT, "/api/v1/log-filter", "{}", Role::Admin),
        (Method::DELETE, "/api/v1/rejects/9", "", Role::Admin),
        (
            Method::POST,
            "/api/v1/dead-letters/9/retry",
            "",
            Role::Admin,
        ),
        (Method::POST, "/nothing", "", Role::Admin),
    ];
    for (method, path, body, needed) in paths {
        for (role, token) in &guarded.tokens {
            let request = request(method.clone(), path, body);
            let bearer = format!("bearer {token}");
            let headers = [("authorization", &*bearer)];
            let answer = guarded.send(AWAY, request, &headers).await;
            if *role < needed {
                let problem = answer.is_problem(403);
                let said = problem["detail"].as_str().unwrap();
                assert!(said.contains(needed.as_str()), "{said}");
            } else {
                let code = answer.status.as_u16();
                assert!(
                    code != 401 && code != 403,
                    "{method} {path}: {}",
                    answer.text
                );
            }
        }
        let nobody = guarded.send(HERE, request(method, path, body), &[]).await;
        nobody.is_problem(401);
        assert_eq!(nobody.header(header::WWW_AUTHENTICATE), "Bearer");
    }
}

#[tokio::test]
async fn a_token_that_is_shown_has_to_be_right_from_wherever() {
    let guarded = Guarded::open(Anonymous::Loopback);
    let get = || request(Method::GET, "/data", "");
    guarded.send(HERE, get(), &[]).await.is(200);
    guarded.send(AWAY, get(), &[]).await.is_problem(401);
    let wrong = [("authorization", "Bearer egt_0")];
    let answer = guarded.send(HERE, get(), &wrong).await;
    answer.is_problem(401);
    assert!(
        answer
            .header(header::WWW_AUTHENTICATE)
            .contains("invalid_token")
    );
    // What another scheme says is for somebody else, say a proxy.
    let other = [("authorization", "Basic YTpi")];
    guarded.send(HERE, get(), &other).await.is(200);
    guarded.send(AWAY, get(), &other).await.is_problem(401);
}

#[tokio::test]
async fn a_page_keeps_its_token_in_a_cookie() {
    let guarded = Guarded::open(Anonymous::Never);
    let token = guarded.token(Role::Read).to_owned();
    let begin = |token: &str| {
        let body = json!({ "token": token }).to_string();
        guarded.send(AWAY, request(Method::POST, "/api/v1/session", body), &[])
    };
    guarded.get("/api/v1/session", &[]).await.is_problem(401);
    begin("egt_1").await.is_problem(401);
    let answer = begin(&format!(" {token}\n")).await;
    let expected = json!({"name": "read", "role": "read"});
    assert_eq!(answer.is(200).json(), expected);
    let set = answer.header(header::SET_COOKIE).to_owned();
    let (cookie, attributes) = set.split_once("; ").unwrap();
    assert_eq!(cookie, format!("edge-gateway-token={token}"));
    assert_eq!(
        attributes,
        "Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict"
    );
    let cookies = format!("other=1; {cookie}");
    let answer = guarded
        .get("/api/v1/session", &[("cookie", &cookies)])
        .await;
    assert_eq!(answer.is(200).json(), expected);
    assert_eq!(answer.header(header::SET_COOKIE), set, "it lasts on");
    guarded.get("/data", &[("cookie", &cookies)]).await.is(200);
    let put = request(Method::PUT, "/api/v1/rules", "{}");
    let put = guarded.send(AWAY, put, &[("cookie", &cookies)]).await;
    put.is_problem(403);
    let end = request(Method::DELETE, "/api/v1/session", "");
    let answer = guarded.send(AWAY, end, &[("cookie", &cookies)]).await;
    assert!(
        answer
            .is(204)
            .header(header::SET_COOKIE)
            .contains("=; Path=/; Max-Age=0;")
    );
    let page = [("cookie", &*cookies), ("origin", "http://evil.example")];
    let host = [page[0], page[1], ("host", "192.0.2.7:8080")];
    guarded.get("/data", &host).await.is_problem(403);
}

#[tokio::test]
async fn a_cookie_that_is_out_of_date_does_no_harm() {
    let guarded = Guarded::open(Anonymous::Loopback);
    let cookie = [("cookie", "edge-gateway-token=egt_0")];
    let get = request(Method::GET, "/api/v1/session", "");
    let answer = guarded.send(HERE, get, &cookie).await;
    let expected = json!({"name": null, "role": "admin"});
    assert_eq!(answer.is(200).json(), expected);
    assert_eq!(answer.header(header::SET_COOKIE), "");
    guarded.get("/data", &cookie).await.is_problem(401);
}

#[tokio::test]
async fn a_token_ends_with_its_line() {
    let guarded = Guarded::open(Anonymous::Never);
    let bearer = format!("Bearer {}", guarded.token(Role::Read));
    let headers = [("authorization", &*bearer)];
    guarded.get("/data", &headers).await.is(200);
    let file = guarded.house.folder.path().join("tokens");
    fs::write(&file, "no token\n").unwrap();
    guarded.house.shared.access.reload().unwrap_err();
    guarded.get("/data", &headers).await.is(200);
    fs::write(&file, "").unwrap();
    guarded.house.shared.access.reload().unwrap();
    guarded.get("/data", &headers).await.is_problem(401);
}

#[tokio::test]
async fn a_handshake_has_to_be_right_and_its_guest_is_who_asked() {
    let mut house = House::open();
    let good = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "mqttv3.1, mqtt"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let ask = |headers: &[(&str, &str)]| {
        let mut request = request(Method::GET, "/mqtt", "");
        for (name, value) in headers {
            let name = header::HeaderName::try_from(*name).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    };
    let answer = house.send(ask(&good)).await;
    assert_eq!(answer.status, StatusCode::SWITCHING_PROTOCOLS);
    // The example of RFC 6455, section 1.3.
    let accept = answer.header(header::SEC_WEBSOCKET_ACCEPT);
    assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(answer.header(header::SEC_WEBSOCKET_PROTOCOL), "mqtt");
    let guest = house.arriving.try_recv().unwrap();
    assert_eq!(guest.peer.to_string(), HERE);
    assert_eq!(guest.identity.name(), None);
    for (missing, status) in [(0, 426), (1, 426), (2, 426), (3, 400), (4, 400)] {
        let mut headers = good.to_vec();
        headers.remove(missing);
        house.send(ask(&headers)).await.is_problem(status);
    }
    let mut headers = good;
    headers[4].1 = "c2hvcnQ=";
    house.send(ask(&headers)).await.is_problem(400);
    assert!(house.arriving.try_recv().is_err());
    // Nobody takes them: they do not pile up.
    house.send(ask(&good)).await.is(101);
    house.send(ask(&good)).await.is_problem(503);
}
