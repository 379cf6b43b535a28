use super::*;
use crate::config::{Broker, Compression, Config, Fault, Uplink};

fn parse(keys: &str) -> Result<Uplink, String> {
    let text = format!("gateway_id = \"edge-1\"\n[cloud]\n{keys}");
    match Config::parse(&text, &"g.toml".into()) {
        Ok(config) => Ok(config.uplinks[0].clone()),
        Err(faults) => {
            let headlines: Vec<_> = faults.list.iter().map(Fault::headline).collect();
            Err(headlines.join("\n"))
        }
    }
}

fn broker(keys: &str) -> Result<Uplink, String> {
    parse(&format!("url = \"mqtts://b.example.com\"\n{keys}"))
}

#[test]
fn the_defaults_are_those_of_a_broker() {
    let uplink = broker("").unwrap();
    assert_eq!(uplink.compression, Compression::None);
    let expected = MqttUplink {
        broker: Broker {
            host: "b.example.com".into(),
            port: 8883,
            is_encrypted: true,
        },
        topic: "gateways/edge-1/readings".into(),
        client_id: "edge-1".into(),
        user: None,
        password: None,
        downlink: Some(TopicFilter::new("commands/edge-1/#").unwrap()),
    };
    assert_eq!(uplink.mqtt, Some(expected));
}

#[test]
fn what_is_said_counts() {
    // Any file that exists.
    let keys = "compression = \"zstd\"\nformat = \"single\"\ntopic = \"x/%{gateway_id}/%{sensor_id}\"\n\
                client_id = \"me\"\nuser = \"ann\"\npassword_file = \"Cargo.toml\"\ndownlink = false";
    let uplink = broker(keys).unwrap();
    assert_eq!(uplink.compression, Compression::Zstd);
    let mqtt = uplink.mqtt.unwrap();
    assert_eq!(&*mqtt.topic, "x/edge-1/%{sensor_id}");
    assert_eq!(&*mqtt.client_id, "me");
    assert_eq!(mqtt.user.as_deref(), Some("ann"));
    assert_eq!(mqtt.password, Some("Cargo.toml".into()));
    assert_eq!(mqtt.downlink, None);
    assert_eq!(broker("user = \"\"").unwrap().mqtt.unwrap().user, None);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_cure() {
    let check = |found: Result<Uplink, String>, expected: &str| {
        let message = found.unwrap_err();
        assert!(message.contains(expected), "{expected}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    };
    check(broker("topic = \"\""), "cloud.topic: expected a text");
    check(
        broker("topic = \"a/+\""),
        "cloud.topic: is no topic to publish to: it contains a wildcard",
    );
    check(
        broker("topic = \"%{sensor}\""),
        "cloud.topic: holds something else",
    );
    check(
        broker("topic = \"a/%{sensor_id}\""),
        "set format = \"single\"",
    );
    let long = "x".repeat(257);
    check(
        broker(&format!("client_id = \"{long}\"")),
        "cloud.client_id: expected at most 256 bytes",
    );
    check(
        broker("client_id = \"a\\u0007\""),
        "without control characters",
    );
    check(
        broker("password_file = \"Cargo.toml\""),
        "cloud.password_file: needs user",
    );
    check(
        broker("user = \"a\"\npassword_file = \"s3cr3t\""),
        "not shown",
    );
    check(
        broker("downlink = 1"),
        "cloud.downlink: expected true or false",
    );
    check(
        broker("headers = { a = \"b\" }"),
        "cloud.headers: means nothing to a broker",
    );
    check(
        broker("expect = { status = 200 }"),
        "cloud.expect: means nothing to a broker",
    );
    check(
        broker("bearer_token_file = \"x\""),
        "cloud.bearer_token_file: means nothing to a broker",
    );
    for key in [
        "topic = \"x\"",
        "client_id = \"x\"",
        "user = \"x\"",
        "password_file = \"x\"",
        "downlink = true",
    ] {
        let name = key.split(' ').next().unwrap();
        let found = parse(&format!("url = \"https://c.example\"\n{key}"));
        check(found, &format!("cloud.{name}: is for brokers only"));
    }
    // Whose keys these are is not known: only the URL is reported.
    check(
        parse("url = \"ftp://x\"\ntopic = \"x\"\nheaders = { a = \"b\" }"),
        "begins with ftp:",
    );
}

#[test]
fn two_uplinks_are_not_the_same_client_of_a_broker() {
    let second = |keys: &str| {
        let more = format!("[[uplink]]\nname = \"b\"\n{keys}");
        broker(&more).err().unwrap_or_default()
    };
    let found = second("url = \"mqtts://b.example.com:8883\"");
    assert!(
        found.starts_with("g.toml:4:1: uplink: ") && found.contains("\"cloud\""),
        "{found}"
    );
    let other_port = second("url = \"mqtts://b.example.com:8884\"");
    assert!(other_port.contains("another client_id"), "{other_port}");
    let other_client = "url = \"mqtts://b.example.com\"\nclient_id = \"other\"";
    assert_eq!(second(other_client), "");
    // On this machine each port is another broker.
    let two = |first: &str, second: &str| {
        let first = format!("url = \"mqtt://{first}\"");
        parse(&format!(
            "{first}\n[[uplink]]\nname = \"b\"\nurl = \"mqtt://{second}\""
        ))
    };
    assert!(two("127.0.0.1:99", "localhost:98").is_ok());
    let same = two("127.0.0.1:99", "localhost:99").unwrap_err();
    assert!(same.contains("another client_id"), "{same}");
    assert_eq!(second("url = \"mqtts://c.example.com\""), "");
}
