//! MQTT over TLS: who is shown what, who is let in, and what a reload changes.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::support::authority::{Authority, TLS13, VERSIONS};
use crate::support::frames::{Connect, Publish, V5, V311};
use crate::support::http::metric;
use crate::support::program::run_with;
use crate::support::raw::Raw;
use crate::support::{Gateway, Site, signal, wait_until};

const SECTION: &str = "[mqtt.tls]\nlisten = \"127.0.0.1:0\"\n";

fn site(authority: &Authority, keys: &str) -> Site {
    let site = Site::with(&format!("{SECTION}{keys}"));
    authority.equip(&site);
    site
}

fn open(gateway: &Gateway<'_>, config: &Arc<ClientConfig>, version: u8) -> Raw {
    let address = gateway.address("mqtts");
    let socket = TcpStream::connect(address).unwrap();
    let client = ClientConnection::new(Arc::clone(config), address.ip().into()).unwrap();
    Raw::over(socket, version, |socket| {
        Box::new(StreamOwned::new(client, socket))
    })
}

fn connect(gateway: &Gateway<'_>, config: &Arc<ClientConfig>, client_id: &str) -> Raw {
    open(gateway, config, V5).let_in(&Connect::new(V5, client_id))
}

/// The certificate that the gateway shows now.
fn shown(gateway: &Gateway<'_>, config: &Arc<ClientConfig>) -> io::Result<CertificateDer<'static>> {
    let address = gateway.address("mqtts");
    let mut socket = TcpStream::connect(address)?;
    let mut client = ClientConnection::new(Arc::clone(config), address.ip().into()).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut socket)?;
    }
    Ok(client.peer_certificates().unwrap()[0].clone())
}

#[track_caller]
fn wait_for_log(gateway: &Gateway<'_>, part: &str) {
    wait_until("the log says so", || gateway.log().contains(part));
}

#[test]
fn a_reading_over_tls_is_stored_before_it_is_acknowledged() {
    let authority = Authority::new();
    let site = site(&authority, "");
    let gateway = site.start();
    for (number, tls) in VERSIONS.into_iter().enumerate() {
        for version in [V311, V5] {
            let sensor = format!("s{number}-{version}");
            let connect = Connect::new(version, &sensor);
            let mut client = open(&gateway, &authority.client(tls, None), version).let_in(&connect);
            let reading = Publish::new(&format!("sensors/{sensor}"), "80.5").qos(1, 1);
            assert_eq!(client.publish(reading), 0);
            let stored = format!("SELECT value FROM readings WHERE sensor_id = '{sensor}'");
            assert_eq!(site.sql_all::<f64>(&stored), [80.5]);
        }
    }
    Raw::connect(&gateway, V5, "plain").ping();
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_client_of_another_authority_refuses_the_gateway() {
    let authority = Authority::new();
    let site = site(&authority, "");
    let gateway = site.start();
    for tls in VERSIONS {
        let refused = shown(&gateway, &Authority::new().client(tls, None)).unwrap_err();
        assert!(
            refused.to_string().contains("invalid peer certificate"),
            "{refused}"
        );
        shown(&gateway, &authority.client(tls, None)).unwrap();
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn where_client_certificates_are_required_their_common_name_is_the_user() {
    let authority = Authority::new();
    let site = site(&authority, "client_ca = \"ca.pem\"\n")
        .environment("EDGE_GATEWAY_MQTT__ANONYMOUS", "never")
        .environment("EDGE_GATEWAY_MQTT__ACL_FILE", "acl.toml")
        .allow(&["publish refused"]);
    let acl = "[[rule]]\nallow = \"publish\"\nfilter = \"sensors/%u/#\"\n";
    fs::write(site.path("acl.toml"), acl).unwrap();
    let gateway = site.start();
    let press = authority.sign_client(Some("press-4"));
    let stranger = Authority::new().sign_client(Some("press-4"));
    let nameless = authority.sign_client(None);
    let server = authority.sign(Some("press-4"), ExtendedKeyUsagePurpose::ServerAuth);
    for tls in VERSIONS {
        for own in [None, Some(&stranger), Some(&nameless), Some(&server)] {
            let mut refused = open(&gateway, &authority.client(tls, own), V5);
            refused.send(&Connect::new(V5, "c").bytes());
            assert_eq!(refused.receive(), None);
        }
        // Whatever name it gives: the certificate counts.
        let connect = Connect::new(V5, "c").credentials("ann", "guessed");
        let config = authority.client(tls, Some(&press));
        let mut client = open(&gateway, &config, V5).let_in(&connect);
        let to = |user: &str| Publish::new(&format!("sensors/{user}/s1"), "1").qos(1, 1);
        assert_eq!(client.publish(to("press-4")), 0);
        assert_eq!(client.publish(to("ann")), 0x87);
        // A session that TLS resumes has the same name.
        drop(client);
        let mut again = open(&gateway, &config, V5).let_in(&connect);
        assert_eq!(again.publish(to("press-4")), 0);
        assert_eq!(again.publish(to("ann")), 0x87);
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn silent_connections_delay_nobody_and_are_closed() {
    let authority = Authority::new();
    let site = site(&authority, "");
    let gateway = site.start();
    let address = gateway.address("mqtts");
    let open_silent = || TcpStream::connect(address).unwrap();
    let silent: Vec<TcpStream> = (0..200).map(|_| open_silent()).collect();
    let started = Instant::now();
    connect(&gateway, &authority.client(TLS13, None), "201st").ping();
    assert!(started.elapsed() < Duration::from_secs(5));
    let mut closed = Raw::over(silent.into_iter().next().unwrap(), V5, |socket| {
        Box::new(socket)
    });
    assert_eq!(closed.rest(), [], "closed after the time for a handshake");
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn both_listeners_share_the_limit_of_connections() {
    let authority = Authority::new();
    let site = site(&authority, "").environment("EDGE_GATEWAY_MQTT__MAX_CONNECTIONS", "1");
    let gateway = site.start();
    let config = authority.client(TLS13, None);
    let is_over = |times: f64| {
        let limited = "gateway_mqtt_limited_total{limit=\"max_connections\"}";
        wait_until("a client is one too many", || {
            metric(&gateway, limited) == times
        });
    };
    let plain = Raw::connect(&gateway, V5, "plain");
    let mut secure = open_with_hello(&gateway, &config);
    is_over(1.0);
    assert!(secure.is_silent(), "there was room for one only");
    drop(plain);
    let secure = secure.let_in(&Connect::new(V5, "secure"));

    let mut plain = Raw::open(&gateway, V5);
    plain.send(&Connect::new(V5, "plain").bytes());
    is_over(2.0);
    assert!(plain.is_silent(), "there was room for one only");
    drop(secure);
    assert_eq!(plain.connack().0, 0);
    assert_eq!(gateway.stop().code(), Some(0));
}

/// Says the first word of TLS, and waits for no answer.
fn open_with_hello(gateway: &Gateway<'_>, config: &Arc<ClientConfig>) -> Raw {
    let address = gateway.address("mqtts");
    let mut socket = TcpStream::connect(address).unwrap();
    let mut client = ClientConnection::new(Arc::clone(config), address.ip().into()).unwrap();
    client.write_tls(&mut socket).unwrap();
    Raw::over(socket, V5, |socket| {
        Box::new(StreamOwned::new(client, socket))
    })
}

#[test]
fn a_client_that_reads_late_gets_everything_to_the_last_byte() {
    let authority = Authority::new();
    let site = site(&authority, "");
    let gateway = site.start();
    for tls in VERSIONS {
        read_late(
            &gateway,
            connect(&gateway, &authority.client(tls, None), "reader"),
        );
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

/// Has more published than buffers on the way hold before the first of it is read.
pub(crate) fn read_late(gateway: &Gateway<'_>, mut reader: Raw) {
    let payload = |number: u8| vec![b'a' + number; 100_000];
    reader.subscribe("pictures/#", 1);
    let mut writer = Raw::connect(gateway, V5, "writer");
    for number in 0..20 {
        let picture = Publish::new("pictures/1", payload(number)).qos(1, 1);
        assert_eq!(writer.publish(picture), 0);
    }
    for number in 0..20 {
        assert!(reader.unacknowledged().payload == payload(number));
    }
}

#[test]
fn a_reload_shows_the_new_certificate_and_drops_nobody() {
    let authority = Authority::new();
    let site = Site::with(SECTION).allow(&["certificates stay as they were"]);
    let first = authority.equip(&site);
    let gateway = site.start();
    let config = authority.client(TLS13, None);
    let mut old = connect(&gateway, &config, "old");
    assert_eq!(shown(&gateway, &config).unwrap(), first);

    let second = authority.equip(&site);
    signal(gateway.pid(), "HUP");
    wait_for_log(&gateway, "certificates are reloaded");
    assert_eq!(shown(&gateway, &config).unwrap(), second);
    old.ping();

    fs::write(site.path("server.key"), "no key").unwrap();
    signal(gateway.pid(), "HUP");
    wait_for_log(&gateway, "certificates stay as they were");
    assert_eq!(shown(&gateway, &config).unwrap(), second);
    old.ping();
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn what_is_wrong_with_the_files_is_said_before_the_start() {
    let authority = Authority::new();
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    for (name, text, key) in [
        ("server.crt", "", "mqtt.tls.certificate"),
        ("server.key", "no key", "mqtt.tls.private_key"),
        ("server.key", &other_key, "mqtt.tls.private_key"),
        ("ca.pem", "no authority", "mqtt.tls.client_ca"),
    ] {
        let site = site(&authority, "client_ca = \"ca.pem\"\n");
        fs::write(site.path(name), text).unwrap();
        for arguments in [&["check"][..], &["run"]] {
            let ended = run_with(&site.config(), arguments);
            ended.is_refused(64, &["gateway.toml:", key, name]);
        }
    }
}
