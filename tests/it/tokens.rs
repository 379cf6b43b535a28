//! Tokens of the API: made and removed from the command line, asked for by HTTP and by MQTT on its port, over TLS as well.

use std::fs;
use std::net::TcpStream;
use std::process::Output;
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::json;
use tokio_tungstenite::tungstenite::{self, Error};

use crate::support::authority::{Authority, TLS13};
use crate::support::frames::{BOTH, Connect, Publish, V5};
use crate::support::http::{Answer, get, send_with};
use crate::support::program::run_with;
use crate::support::raw::Raw;
use crate::support::websocket::{connect_tcp, mqtt_asking, request};
use crate::support::{Gateway, Site, command, signal, wait_until};

/// Nobody comes without a token.
fn guarded(sections: &str) -> Site {
    Site::with(sections)
        .environment("EDGE_GATEWAY_HTTP__ANONYMOUS", "never")
        .environment("EDGE_GATEWAY_HTTP__TOKEN_FILE", "tokens")
}

/// `token` with these words, for the site's file.
fn run(site: &Site, words: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command()
        .arg("token")
        .args(words)
        .arg("--token-file")
        .arg(site.path("tokens"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn add(site: &Site, name: &str, role: &str) -> String {
    let (code, token, said) = run(site, &["add", name, "--role", role]);
    assert_eq!(code, Some(0), "{said}");
    token.trim_end().to_owned()
}

fn ask(gateway: &Gateway<'_>, start: &str, token: &str, body: &str) -> Answer {
    send_with(
        gateway,
        start,
        &format!("Authorization: Bearer {token}\r\n"),
        body,
    )
    .unwrap()
}

/// MQTT on the port of HTTP, with a page's cookie.
fn mqtt(gateway: &Gateway<'_>, version: u8, token: &str) -> Raw {
    let mut request = request(gateway.http);
    let cookie = format!("edge-gateway-token={token}").parse().unwrap();
    request.headers_mut().insert("Cookie", cookie);
    mqtt_asking(request, gateway.http, version, |socket| Box::new(socket))
}

#[test]
fn tokens_are_made_listed_replaced_and_removed() {
    let site = Site::new();
    let (code, token, said) = run(&site, &["add", "screen", "--role", "read"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("\"screen\" is added in "), "{said}");
    assert!(token.starts_with("egt_") && token.len() == 69, "{token}");
    let kept = || fs::read_to_string(site.path("tokens")).unwrap();
    assert!(!kept().contains(token.trim()));
    assert!(kept().starts_with("screen:read:"));
    let other = add(&site, "screen", "write");
    assert_ne!(other, token.trim());
    add(&site, "ops", "admin");
    assert_eq!(run(&site, &["list"]).1, "screen\twrite\nops\tadmin\n");
    assert_eq!(run(&site, &["remove", "screen"]).0, Some(0));
    let (code, _, said) = run(&site, &["remove", "screen"]);
    assert_eq!(code, Some(64), "{said}");
    assert_eq!(run(&site, &["list"]).1, "ops\tadmin\n");
    for wrong in [
        &["add", "a:b", "--role", "read"][..],
        &["add", "a", "--role", "owner"],
        &["add", "a"],
        &["remove"],
    ] {
        assert_eq!(run(&site, wrong).0, Some(64), "{wrong:?}");
    }
    assert_eq!(run(&site, &["list"]).1, "ops\tadmin\n");
    fs::remove_file(site.path("tokens")).unwrap();
    let (code, _, said) = run(&site, &["list"]);
    assert_eq!(code, Some(64));
    assert!(
        said.contains("`edge-gateway token add NAME` makes it"),
        "{said}"
    );
    let mut without = command();
    let said = without.current_dir(site.path("")).args(["token", "list"]);
    let said = String::from_utf8(said.output().unwrap().stderr).unwrap();
    assert!(said.contains("has no http.token_file"), "{said}");
}

#[test]
fn a_missing_or_broken_token_file_is_refused_at_the_start() {
    let site = Site::new();
    fs::write(
        site.path("gateway.toml"),
        "[http]\ntoken_file = \"tokens\"\n",
    )
    .unwrap();
    let check = || run_with(&site.path("gateway.toml"), &["check"]);
    check().is_refused(64, &["http.token_file: cannot be read", "token add NAME"]);
    fs::write(site.path("tokens"), "# mine\nscreen:reader:00\n").unwrap();
    check().is_refused(64, &["tokens:2: expected read, write or admin"]);
}

#[test]
fn a_token_that_is_removed_opens_nothing_after_the_next_hang_up() {
    let site = guarded("");
    let (read, write) = (add(&site, "screen", "read"), add(&site, "sensor", "write"));
    let gateway = site.start();
    assert_eq!(get(&gateway, "/data").status, 401);
    assert_eq!(get(&gateway, "/healthz").status, 200);
    let reading = r#"{"id":"s1","value":1}"#;
    assert_eq!(ask(&gateway, "POST /data", &read, reading).status, 403);
    assert_eq!(ask(&gateway, "POST /data", &write, reading).status, 201);
    assert_eq!(
        ask(&gateway, "GET /data", &read, "").json(),
        json!({"s1": 1.0})
    );
    let mut screen = mqtt(&gateway, V5, &read).let_in(&Connect::new(V5, "screen"));
    let mut sensor = mqtt(&gateway, V5, &write).let_in(&Connect::new(V5, "sensor"));
    run(&site, &["remove", "screen"]);
    assert_eq!(ask(&gateway, "GET /data", &read, "").status, 200, "not yet");
    signal(gateway.pid(), "HUP");
    wait_until("it is taken up", || {
        ask(&gateway, "GET /data", &read, "").status == 401
    });
    screen.is_dismissed(0x87);
    assert_eq!(ask(&gateway, "GET /data", &write, "").status, 200);
    sensor.ping();
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_page_sees_readings_and_alerts_on_the_port_of_http_and_publishes_what_its_role_allows() {
    let site = guarded("").allow(&["publish refused"]);
    let (read, write) = (add(&site, "screen", "read"), add(&site, "pad", "write"));
    let gateway = site.start();
    for version in BOTH {
        let mut screen = mqtt(&gateway, version, &read).let_in(&Connect::new(version, "screen"));
        assert_eq!(screen.subscribe("sensors/#", 1), 1);
        assert_eq!(screen.subscribe("alerts/#", 1), 1);
        assert_eq!(screen.subscribe("$SYS/#", 0), 0);
        let mut pad = mqtt(&gateway, version, &write).let_in(&Connect::new(version, "pad"));
        assert_eq!(pad.publish(Publish::new("sensors/s1", "80.5").qos(1, 1)), 0);
        let topics = |screen: &mut Raw| {
            let wanted = |message: &Publish| !message.topic.starts_with('$');
            std::iter::from_fn(|| Some(screen.message()))
                .filter(wanted)
                .take(2)
                .map(|message| message.topic)
                .collect::<Vec<_>>()
        };
        let mut found = topics(&mut screen);
        found.sort();
        assert_eq!(found, ["alerts/s1", "sensors/s1"]);
        let stored = || site.sql::<i64>("SELECT count(*) FROM readings");
        let before = stored();
        let code = screen.publish(Publish::new("sensors/s1", "1").qos(1, 2));
        assert_eq!(code, if version == V5 { 0x87 } else { 0 });
        assert_eq!(stored(), before, "role read stores nothing");
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn without_tokens_the_port_of_http_lets_its_own_machine_in_and_no_page_from_elsewhere() {
    let site = Site::new();
    let gateway = site.start();
    let plain = request(gateway.http);
    let mut client = mqtt_asking(plain, gateway.http, V5, |socket| Box::new(socket))
        .let_in(&Connect::new(V5, "page"));
    assert_eq!(
        client.publish(Publish::new("sensors/s1", "80.5").qos(1, 1)),
        0
    );
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 1);
    let mut foreign = request(gateway.http);
    let origin = "http://evil.example".parse().unwrap();
    foreign.headers_mut().insert("Origin", origin);
    let refused = tungstenite::client(foreign, connect_tcp(gateway.http));
    match refused.err() {
        Some(tungstenite::HandshakeError::Failure(Error::Http(answer))) => {
            assert_eq!(answer.status(), 403);
        }
        other => panic!("{other:?}"),
    }
    let answer = get(&gateway, "/mqtt");
    assert_eq!(
        (answer.status, answer.header("upgrade")),
        (426, "websocket")
    );
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn who_says_who_it_is_counts_as_that_also_on_the_port_of_http() {
    let site = Site::new()
        .environment("EDGE_GATEWAY_MQTT__ACL_FILE", "acl.toml")
        .environment("EDGE_GATEWAY_MQTT__USERS_FILE", "users")
        .allow(&["client refused", "publish refused"]);
    let file = site.path("password");
    fs::write(&file, "secret").unwrap();
    let mut user = command();
    user.args(["user", "add", "ann", "--password-file"])
        .arg(&file);
    user.arg("--users-file").arg(site.path("users"));
    assert!(user.output().unwrap().status.success());
    let acl = "[[rule]]\nallow = \"publish\"\nfilter = \"sensors/%u/#\"\n";
    fs::write(site.path("acl.toml"), acl).unwrap();
    let gateway = site.start();
    let open = || {
        let plain = request(gateway.http);
        mqtt_asking(plain, gateway.http, V5, |socket| Box::new(socket))
    };
    let ann = Connect::new(V5, "ann").credentials("ann", "secret");
    let mut client = open().let_in(&ann);
    let publish = |topic: &str| Publish::new(topic, "1").qos(1, 1);
    assert_eq!(client.publish(publish("sensors/ann/s1")), 0);
    assert_eq!(client.publish(publish("sensors/bob/s1")), 0x87);
    let wrong = Connect::new(V5, "bob").credentials("ann", "guess");
    let mut refused = open();
    refused.send(&wrong.bytes());
    assert_eq!(refused.connack().0, 0x86);
    assert_eq!(gateway.stop().code(), Some(0));
}

fn over_tls(
    gateway: &Gateway<'_>,
    config: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let socket = connect_tcp(gateway.address("https"));
    let server = socket.peer_addr().unwrap().ip().into();
    let client = ClientConnection::new(Arc::clone(config), server).unwrap();
    StreamOwned::new(client, socket)
}

/// What is answered over TLS to this request; nothing to who is let go before he has asked (in TLS 1.3 the client is done first).
fn answer_over_tls(gateway: &Gateway<'_>, config: &Arc<ClientConfig>, start: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = over_tls(gateway, config);
    let address = gateway.address("https");
    let asked = write!(
        stream,
        "{start}\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    );
    let mut text = String::new();
    if asked.is_err() {
        return text;
    }
    // Some end without a word of TLS: what counts is the answer.
    stream.read_to_string(&mut text).ok();
    text
}

#[test]
fn the_api_and_its_mqtt_are_there_over_tls() {
    let authority = Authority::new();
    let site = guarded("[http.tls]\nlisten = \"127.0.0.1:0\"\n");
    authority.equip(&site);
    let token = add(&site, "screen", "read");
    let gateway = site.start();
    let config = authority.client(TLS13, None);
    let ask = |lines: &str| answer_over_tls(&gateway, &config, lines);
    assert!(ask("GET /data HTTP/1.1").starts_with("HTTP/1.1 401 "));
    let bearer = format!("GET /data HTTP/1.1\r\nAuthorization: Bearer {token}");
    assert!(ask(&bearer).starts_with("HTTP/1.1 200 "));
    let plain = format!("GET /data HTTP/1.1\r\nCookie: edge-gateway-token={token}");
    assert!(
        ask(&plain).starts_with("HTTP/1.1 401 "),
        "that cookie is not of TLS"
    );
    let cookie = format!("Cookie: __Host-edge-gateway-token={token}");
    let session = ask(&format!("GET /api/v1/session HTTP/1.1\r\n{cookie}"));
    assert!(session.starts_with("HTTP/1.1 200 "), "{session}");
    let set = format!("set-cookie: __Host-edge-gateway-token={token}; Path=/; ");
    assert!(
        session.contains(&set) && session.contains("; Secure"),
        "{session}"
    );
    let address = gateway.address("https");
    let mut upgrade = request(address);
    let cookie = format!("__Host-edge-gateway-token={token}")
        .parse()
        .unwrap();
    upgrade.headers_mut().insert("Cookie", cookie);
    let mut screen = mqtt_asking(upgrade, address, V5, |socket| {
        let server = address.ip().into();
        let client = ClientConnection::new(Arc::clone(&config), server).unwrap();
        Box::new(StreamOwned::new(client, socket))
    })
    .let_in(&Connect::new(V5, "screen"));
    assert_eq!(screen.subscribe("alerts/#", 1), 1);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn where_there_are_no_tokens_a_certificate_stands_in() {
    let authority = Authority::new();
    let sections = "[http.tls]\nlisten = \"127.0.0.1:0\"\nclient_ca = \"ca.pem\"\n";
    let site = Site::with(sections).environment("EDGE_GATEWAY_HTTP__ANONYMOUS", "never");
    authority.equip(&site);
    let gateway = site.start();
    assert_eq!(get(&gateway, "/data").status, 401);
    let press = authority.sign_client(Some("press-4"));
    let config = authority.client(TLS13, Some(&press));
    let answer = answer_over_tls(&gateway, &config, "GET /data HTTP/1.1");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let nobody = authority.client(TLS13, None);
    let answer = answer_over_tls(&gateway, &nobody, "GET /data HTTP/1.1");
    assert_eq!(answer, "");
    assert_eq!(gateway.stop().code(), Some(0));
}
