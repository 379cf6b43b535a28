//! What holds for a configuration as a whole: its defaults, its faults, the environment over the file.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::*;
use crate::domain::origin::Origin;
use crate::domain::place::Place;
use crate::domain::rule::{Action, Expression};
use crate::domain::topic::TopicFilter;
use crate::domain::uplink::UplinkSet;

impl Config {
    /// Reads `text` as the file `name` in the working folder, without any environment.
    pub(super) fn parse(text: &str, name: &Arc<str>) -> Result<Self, Faults> {
        parse_with(text, name, &[])
    }
}

fn parse_with(text: &str, name: &Arc<str>, environment: &[(&str, &str)]) -> Result<Config, Faults> {
    let mut findings = Findings::default();
    let root = document::parse(text, name, &mut findings);
    Config::check(root, variables(environment), Path::new(""), findings)
}

fn variables(environment: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let owned: Vec<_> = environment
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    owned.into_iter()
}

fn from_environment(environment: &[(&str, &str)]) -> Result<Config, Faults> {
    Config::load(None, variables(environment))
}

fn lines(result: Result<Config, Faults>) -> Vec<String> {
    match result {
        Ok(_) => Vec::new(),
        Err(faults) => faults.list.iter().map(without_column).collect(),
    }
}

/// What a fault says, with its line alone: where in it the mark stands has tests of its own.
pub(super) fn without_column(fault: &Fault) -> String {
    let headline = fault.headline();
    match fault.place.part() {
        Some(part) => headline.replacen(&format!(":{}: ", part.column()), ": ", 1),
        None => headline,
    }
}

fn lines_of(text: &str) -> Vec<String> {
    lines(Config::parse(text, &"g.toml".into()))
}

/// Each fault has to begin and to contain what is expected, in this order.
#[track_caller]
fn check_lines(found: &[String], expected: &[(&str, &str)]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, (start, part)) in found.iter().zip(expected) {
        assert!(
            line.starts_with(start) && line.contains(part),
            "{line:?} is not {start:?} … {part:?}"
        );
    }
}

fn example() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../broker-config/gateway.toml").into()
}

fn filters(texts: &[&str]) -> Vec<TopicFilter> {
    texts
        .iter()
        .map(|text| TopicFilter::new(text).unwrap())
        .collect()
}

fn without_places(mut config: Config) -> Config {
    for rule in &mut config.rules {
        rule.place = Place::Defaults;
        if let Some(when) = &mut rule.when {
            when.place = Place::Defaults;
        }
    }
    config.rule_source = RuleSource::default();
    for uplink in &mut config.uplinks {
        uplink.place = Place::Defaults;
    }
    let doors = [&mut config.mqtt.tls, &mut config.http.tls];
    for tls in doors.into_iter().flatten() {
        tls.place = Place::Defaults;
    }
    config
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let expected = Config {
        gateway_id: from_environment(&[]).unwrap().gateway_id,
        shutdown_grace: Duration::from_secs(10),
        mqtt: Mqtt {
            listen: "127.0.0.1:1883".parse().unwrap(),
            websocket_listen: Some("127.0.0.1:8083".parse().unwrap()),
            max_connections: 10_000,
            max_packet: 262_144,
            max_keep_alive: None,
            anonymous: Anonymous::Loopback,
            access_files: AccessFiles::default(),
            allowed_origins: Vec::new(),
            host_name: gateway_id::machine_name(),
            limits: Limits::default(),
            tls: None,
        },
        http: Http {
            listen: "127.0.0.1:8080".parse().unwrap(),
            anonymous: Anonymous::Loopback,
            token_file: None,
            allowed_origins: Vec::new(),
            host_name: gateway_id::machine_name(),
            tls: None,
        },
        ingest: Ingest {
            readings: filters(&["sensors/#"]),
            statuses: filters(&["status/+"]),
            format: PayloadFormat::Auto,
            formats: Vec::new(),
        },
        store: Store {
            max_size: 1 << 30,
            keep: Duration::from_secs(30 * 86_400),
            when_full: WhenFull::Thin,
            path: "data/gateway.db".into(),
            group_commit: Duration::ZERO,
            clock_wait: Duration::from_secs(600),
        },
        uplinks: Vec::new(),
        rules_file: None,
        rules: Vec::new(),
        rule_source: RuleSource::default(),
    };
    assert!(is_name(&expected.gateway_id));
    let mut config = from_environment(&[]).unwrap();
    assert_eq!(Config::parse("", &"g.toml".into()).unwrap(), config);
    let rules = std::mem::take(&mut config.rules);
    assert_eq!(config, expected);
    let written: Vec<&str> = rules.iter().map(|rule| rule.written.get()).collect();
    let expected = [
        r#"{"actions":["alert"],"name":"high","when":"value > 75"}"#,
        r#"{"actions":["forward"],"name":"important","when":"value > 50"}"#,
    ];
    assert_eq!(written, expected);
    let actions: Vec<&[Action]> = rules.iter().map(|rule| &*rule.actions).collect();
    assert_eq!(
        actions,
        [&[Action::Alert][..], &[Action::Forward(UplinkSet::one(0))]]
    );
}

#[test]
fn the_defaults_of_the_cloud_are_those_of_the_contract() {
    let config = Config::parse("[cloud]\nurl = \"https://a.example/x\"", &"g.toml".into()).unwrap();
    let expected = Uplink {
        name: "cloud".into(),
        place: Place::Defaults,
        url: "https://a.example/x".into(),
        mqtt: None,
        format: Format::Batch,
        compression: Compression::Gzip,
        batch_max_readings: 1000,
        batch_max_bytes: 524_288,
        batch_linger: Duration::from_secs(1),
        concurrency: 16,
        timeout: Duration::from_secs(30),
        retry_initial: Duration::from_secs(1),
        retry_max: Duration::from_secs(300),
        max_rate: None,
        backlog_share: 500,
        daily_budget: None,
        stalled_after: Duration::from_secs(900),
        expect: Expect::default(),
        headers: Vec::new(),
        files: UplinkFiles::default(),
    };
    assert_eq!(without_places(config).uplinks, [expected]);
}

#[test]
fn the_shipped_file_says_the_defaults() {
    let config = Config::load(Some(&example()), std::iter::empty()).unwrap();
    assert_eq!(without_places(config), from_environment(&[]).unwrap());
}

#[test]
fn the_shipped_file_with_everything_switched_on_has_no_faults() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut text = std::fs::read_to_string(example())
        .unwrap()
        .replace("#| ", "");
    let mut formats = "\"senml/#\" = \"senml-cbor\"\n\"spBv1.0/#\" = \"sparkplug-b\"\n";
    if !cfg!(feature = "sparkplug") {
        let without = formats.split_inclusive('\n').next().unwrap();
        text = text.replace(formats, without);
        formats = without;
    }
    for name in ["server.crt", "server.key"] {
        std::fs::write(at(name), "").unwrap();
    }
    // Whoever opens a door to the network says who may come in.
    let users = [
        ("EDGE_GATEWAY_MQTT__USERS_FILE", "users"),
        ("EDGE_GATEWAY_HTTP__TOKEN_FILE", "tokens"),
    ];
    let load = |text: &str| {
        std::fs::write(at("gateway.toml"), text).unwrap();
        Config::load(Some(&at("gateway.toml")), variables(&users)).unwrap()
    };
    let mut config = load(&text);
    let names: Vec<String> = config
        .rules
        .iter()
        .map(|rule| rule.name.to_string())
        .collect();
    assert_eq!(names, ["high", "important", "boiler", "warm", "silent"]);
    config.rules.truncate(2);
    let minimal = format!(
        "gateway_id = \"edge-1\"\n[ingest.formats]\n{formats}[mqtt.tls]\n[http.tls]\n[cloud]\nurl = \"https://cloud.example.com/api/sync\"\n\
        [[uplink]]\nname = \"history\"\nurl = \"https://history.example.com/readings\"\n\
        [[uplink]]\nname = \"broker\"\nurl = \"mqtts://broker.example.com:8883\""
    );
    let expected = load(&minimal);
    let tls = expected.mqtt.tls.as_ref().unwrap();
    assert_eq!(tls.listen, "0.0.0.0:8883".parse().unwrap());
    assert_eq!(tls.files.certificate, at("server.crt"));
    let tls = expected.http.tls.as_ref().unwrap();
    assert_eq!(tls.listen, "0.0.0.0:8443".parse().unwrap());
    assert_eq!(expected.mqtt.access_files.tokens, Some(at("tokens")));
    assert_eq!(without_places(config), without_places(expected));
}

#[cfg(not(feature = "sparkplug"))]
#[test]
fn a_format_that_is_not_in_this_build_says_so() {
    let faults = Config::parse("[ingest]\nformat = \"sparkplug-b\"", &"g.toml".into()).unwrap_err();
    let told = faults.to_string();
    assert!(
        told.contains("\"sparkplug-b\" is not in this build: expected \"auto\" or"),
        "{told}"
    );
}

const FAULTY: &str = r#"gateway_id = "no spaces"
shutdown_grace = 10
colour = "red"
[mqtt]
listen = "localhost:1883"
max_connections = "many"
max_conections = 5
max_packet = "1GiB"
anonymous = "sometimes"
[http]
listen = "8080"
[ingest]
readings = [
  "sensors/#",
  "a/#/b",
  "alerts/x",
  7,
]
format = "xml"
[ingest.formats]
"alerts/#" = "json"
"senml/+" = "senml"
[store]
path = ""
group_commit = "-1s"
[cloud]
batch_max_readings = 0
compression = "lz4"
allow_plain_http = "yes"
[[rule]]
name = "high"
when = " "
actions = []
[[rule]]
name = "high"
actions = ["alert", "publish:alerts/x", "tag:a b", "beep"]
"#;

const FAULTS_IN_ORDER: &[(&str, &str)] = &[
    ("g.toml:1: gateway_id: ", "found \"no spaces\""),
    (
        "g.toml:2: shutdown_grace: ",
        "such as \"250ms\", \"10s\" or \"5m\", found 10",
    ),
    ("g.toml:3: colour: ", "unknown key"),
    ("g.toml:5: mqtt.listen: ", "\"localhost\" is a host name"),
    (
        "g.toml:6: mqtt.max_connections: expected a whole number from 1 to 1000000, found \"many\"",
        "",
    ),
    (
        "g.toml:7: mqtt.max_conections: ",
        "did you mean `max_connections`?",
    ),
    (
        "g.toml:8: mqtt.max_packet: ",
        "a size from 1KiB to 268435455B",
    ),
    (
        "g.toml:9: mqtt.anonymous: ",
        "\"never\" or \"loopback\" or \"always\", found \"sometimes\"",
    ),
    ("g.toml:11: http.listen: ", "expected an address and a port"),
    (
        "g.toml:15: ingest.readings: ",
        "has `#` elsewhere than alone in the last level",
    ),
    (
        "g.toml:16: ingest.readings: ",
        "clients may not publish there",
    ),
    ("g.toml:17: ingest.readings: ", "found 7"),
    ("g.toml:19: ingest.format: ", "found \"xml\""),
    (
        "g.toml:21: ingest.formats.alerts/#: ",
        "clients may not publish there",
    ),
    ("g.toml:22: ingest.formats.senml/+: ", "found \"senml\""),
    ("g.toml:24: store.path: ", "not empty"),
    ("g.toml:25: store.group_commit: ", "found \"-1s\""),
    ("g.toml:26: cloud.url: is missing", "https://"),
    (
        "g.toml:27: cloud.batch_max_readings: ",
        "from 1 to 100000, found 0",
    ),
    ("g.toml:28: cloud.compression: ", "\"zstd\", found \"lz4\""),
    (
        "g.toml:29: cloud.allow_plain_http: ",
        "expected true or false",
    ),
    ("g.toml:32: rule `high`: when: ", "expected a condition"),
    ("g.toml:33: rule `high`: actions: is empty", ""),
    ("g.toml:34: rule[2].when: is missing", "value > 75"),
    ("g.toml:35: rule[2].name: ", "at g.toml:31"),
    (
        "g.toml:36: rule[2].actions: ",
        "\"alerts/x\" is the gateway's own",
    ),
    ("g.toml:36: rule[2].actions: ", "expected a tag"),
    ("g.toml:36: rule[2].actions: ", "found \"beep\""),
];

#[test]
fn all_faults_are_reported_at_once_with_their_lines() {
    check_lines(&lines_of(FAULTY), FAULTS_IN_ORDER);
}

#[test]
fn every_syntax_fault_is_reported_and_hides_no_other_fault() {
    let found = lines_of(
        "shutdown_grace = 10s\n[mqtt]\nlisten =\nmax_packet = 5\n[cloud]\nurl\nformat = \"xml\"\n[http\n",
    );
    check_lines(
        &found,
        &[
            ("g.toml:1: not valid TOML: ", ""),
            ("g.toml:3: not valid TOML: ", ""),
            ("g.toml:4: mqtt.max_packet: ", "found 5"),
            ("g.toml:6: not valid TOML: ", ""),
            ("g.toml:7: cloud.format: ", "found \"xml\""),
            ("g.toml:8: not valid TOML: ", ""),
        ],
    );
}

#[test]
fn stray_words_do_not_hide_what_follows_them() {
    let found = lines_of(
        "words\n[mqtt]\nmore\nmax_connections = 0\nmax_packet = 1\nmax_packet = 2\n[http\n[store]\npath = \"\"\n",
    );
    check_lines(
        &found,
        &[
            ("g.toml:1: not valid TOML: ", ""),
            ("g.toml:3: not valid TOML: ", ""),
            ("g.toml:4: mqtt.max_connections: ", "found 0"),
            ("g.toml:5: mqtt.max_packet: ", "found 1"),
            ("g.toml:6: not valid TOML: ", "duplicate key"),
            ("g.toml:7: not valid TOML: ", ""),
            ("g.toml:9: store.path: ", "not empty"),
        ],
    );
}

#[test]
fn a_section_that_is_none_is_a_fault() {
    let found = lines_of("mqtt = 5\nrule = [\"high\"]\nuplink = 3\n[[http]]\n");
    check_lines(
        &found,
        &[
            ("g.toml:1: mqtt: ", "found 5"),
            ("g.toml:2: rule[1]: ", "found \"high\""),
            ("g.toml:3: uplink: ", "sections [[uplink]]"),
            ("g.toml:4: http: ", "found a list"),
        ],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_one_fault() {
    let found = lines(Config::load(
        Some(Path::new("no/such.toml")),
        variables(&[("EDGE_GATEWAY_X", "1")]),
    ));
    check_lines(&found, &[("no/such.toml: cannot be read: ", "")]);
}

#[test]
fn the_environment_wins_over_the_file() {
    let text = "gateway_id = \"a\"\n[mqtt]\nlisten = \"wrong\"\nmax_connections = 5\n[ingest]\nreadings = [\"x\"]";
    let config = parse_with(
        text,
        &"g.toml".into(),
        &[
            ("EDGE_GATEWAY_GATEWAY_ID", "edge-7"),
            ("EDGE_GATEWAY_MQTT__LISTEN", "[::1]:0"),
            ("EDGE_GATEWAY_MQTT__MAX_PACKET", "1MiB"),
            ("EDGE_GATEWAY_MQTT__WEBSOCKET_LISTEN", ""),
            ("EDGE_GATEWAY_INGEST__READINGS", "a/#, b/+"),
            ("EDGE_GATEWAY_INGEST__STATUSES", "[\"c,d\"]"),
            ("EDGE_GATEWAY_CLOUD__URL", "http://10.0.0.1/"),
            ("EDGE_GATEWAY_CLOUD__ALLOW_PLAIN_HTTP", "true"),
            ("EDGE_GATEWAY_CLOUD__HEADERS", "{}"),
            ("EDGE_GATEWAY_CLOUD__EXPECT", "{ pointer = \"/ok\" }"),
            (
                "EDGE_GATEWAY_RULE",
                "[{ name = \"r\", when = \"true\", actions = [\"tag:t\"] }]",
            ),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(&*config.gateway_id, "edge-7");
    assert_eq!(config.mqtt.listen, "[::1]:0".parse().unwrap());
    assert_eq!(
        (config.mqtt.max_connections, config.mqtt.max_packet),
        (5, 1_048_576)
    );
    assert_eq!(config.ingest.readings, filters(&["a/#", "b/+"]));
    assert_eq!(config.ingest.statuses, filters(&["c,d"]));
    assert_eq!(
        config.uplinks.first().map(|cloud| &*cloud.url),
        Some("http://10.0.0.1/")
    );
    let pointer = &config.uplinks[0].expect.pointer;
    assert_eq!(pointer.as_deref(), Some("/ok"));
    assert_eq!(config.rules[0].actions, [Action::Tag("t".into())]);
    assert_eq!(
        config.rules[0].place,
        Place::Environment("EDGE_GATEWAY_RULE".into())
    );
}

#[test]
fn limits_are_bounded_and_zero_is_no_bound_where_that_is_said() {
    let read = |line: &str| {
        let text = format!("[mqtt.limits]\n{line}\n");
        Config::parse(&text, &"g.toml".into()).map(|config| config.mqtt.limits)
    };
    let check = |line: &str, expected: Limits| assert_eq!(read(line).unwrap(), expected, "{line}");
    let default = Limits::default();
    let none = "connections_per_address = 0\npublish_rate = 0\nconnect_timeout = \"10s\"";
    check(none, default);
    let connections_per_address = NonZeroUsize::new(5);
    check(
        "connections_per_address = 5\nqueue_bytes = \"1KiB\"",
        Limits {
            connections_per_address,
            queue_bytes: 1024,
            ..default
        },
    );
    let as_many = Limits {
        sessions: 7,
        sessions_per_user: 7,
        ..default
    };
    check("sessions = 7", as_many);
    for (key, value, expected) in [
        ("publish_rate", "-1", "a whole number from 0 to 1000000"),
        ("connect_timeout", "\"0s\"", "a duration from 100ms to 1h"),
        ("client_id_bytes", "256", "a size from 23B to 65535B"),
        ("client_id_bytes", "\"22B\"", "a size from 23B to 65535B"),
        ("topic_levels", "201", "a whole number from 1 to 200"),
        ("in_flight", "65536", "a whole number from 1 to 65535"),
        ("retained_bytes", "\"3GiB\"", "a size from 1KiB to 2GiB"),
        ("max_packet", "\"1MiB\"", "unknown key"),
    ] {
        let found = lines_of(&format!("[mqtt.limits]\n{key} = {value}"));
        let place = format!("g.toml:2: mqtt.limits.{key}: ");
        check_lines(&found, &[(&place, expected)]);
    }
}

const FAULTY_VARIABLES: &[(&str, &str)] = &[
    ("EDGE_GATEWAY_MQTT__MAX_CONNECTIONS", "many"),
    ("EDGE_GATEWAY_MQTT__LISEN", "127.0.0.1:1"),
    ("EDGE_GATEWAY_CONFIG", "x.toml"),
    ("EDGE_GATEWAY_GATEWAY_IDS", "x"),
    ("EDGE_GATEWAY_mqtt__listen", "127.0.0.1:1"),
    ("EDGE_GATEWAY_HTTP__TLS__LISTEN", "127.0.0.1:1"),
    ("EDGE_GATEWAY_INGEST__READINGS", "[\"a\""),
    ("EDGE_GATEWAY_CLOUD__TIMEOUT", "0s"),
    ("EDGE_GATEWAY_STORE", "x"),
    ("EDGE_GATEWAY_STORE__PATH", "x"),
];

const FAULTS_OF_VARIABLES: &[(&str, &str)] = &[
    (
        "environment EDGE_GATEWAY_CLOUD__TIMEOUT: cloud.url: is missing",
        "",
    ),
    (
        "environment EDGE_GATEWAY_CLOUD__TIMEOUT: cloud.timeout: ",
        "found \"0s\"",
    ),
    (
        "environment EDGE_GATEWAY_CONFIG: config: unknown variable",
        "",
    ),
    (
        "environment EDGE_GATEWAY_GATEWAY_IDS: ",
        "did you mean `EDGE_GATEWAY_GATEWAY_ID`?",
    ),
    (
        "environment EDGE_GATEWAY_HTTP__TLS__LISTEN: http.tls.certificate: ",
        "server.crt",
    ),
    (
        "environment EDGE_GATEWAY_HTTP__TLS__LISTEN: http.tls.private_key: ",
        "server.key",
    ),
    (
        "environment EDGE_GATEWAY_INGEST__READINGS: ingest.readings: ",
        "not valid TOML",
    ),
    (
        "environment EDGE_GATEWAY_MQTT__LISEN: ",
        "did you mean `EDGE_GATEWAY_MQTT__LISTEN`?",
    ),
    (
        "environment EDGE_GATEWAY_MQTT__MAX_CONNECTIONS: mqtt.max_connections: ",
        "found \"many\"",
    ),
    (
        "environment EDGE_GATEWAY_STORE: store: ",
        "expected a section",
    ),
    (
        "environment EDGE_GATEWAY_STORE__PATH: store.path: ",
        "no section",
    ),
    (
        "environment EDGE_GATEWAY_mqtt__listen: ",
        "unknown variable",
    ),
];

#[test]
fn faults_of_the_environment_name_the_variable() {
    check_lines(
        &lines(from_environment(FAULTY_VARIABLES)),
        FAULTS_OF_VARIABLES,
    );
}

#[test]
fn an_open_door_needs_the_operators_word() {
    for section in ["mqtt", "http"] {
        let check = |listen: &str, anonymous: &str, expected: &[(&str, &str)]| {
            let text = format!("[{section}]\nlisten = \"{listen}\"\nanonymous = \"{anonymous}\"");
            check_lines(&lines_of(&text), expected);
        };
        let place = format!("g.toml:2: {section}.listen: ");
        let cure = format!(
            "set {section}.anonymous = \"always\" to let everybody in, or listen on 127.0.0.1:1"
        );
        for open in ["0.0.0.0:1", "192.168.1.5:1", "[::]:1"] {
            check(open, "loopback", &[(&place, &cure)]);
            check(open, "never", &[(&place, &cure)]);
            check(open, "always", &[]);
            check(open, "wrong", &[("g.toml:3: ", "found \"wrong\"")]);
        }
        for local in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            check(local, "never", &[]);
        }
    }
}

#[test]
fn users_open_the_door_of_mqtt() {
    let check = |keys: &str, expected: &[(&str, &str)]| {
        let text = format!("[mqtt]\nlisten = \"0.0.0.0:1\"\n{keys}");
        check_lines(&lines_of(&text), expected);
    };
    check("users_file = \"users\"", &[]);
    check("users_file = \"users\"\nanonymous = \"never\"", &[]);
    let cure = "name them in mqtt.users_file, set mqtt.anonymous = \"always\"";
    check("users_file = \"\"", &[("g.toml:2: mqtt.listen: ", cure)]);
    let acl_alone = "acl_file = \"acl.toml\"";
    check(acl_alone, &[("g.toml:2: mqtt.listen: ", cure)]);
    check(
        "users_file = 5",
        &[("g.toml:3: mqtt.users_file: ", "found 5")],
    );
}

#[test]
fn websocket_listeners_want_somebody_who_may_come_as_well() {
    let check = |keys: &str, expected: &[(&str, &str)]| {
        let text = format!("[mqtt]\nwebsocket_listen = \"0.0.0.0:1\"\n{keys}");
        check_lines(&lines_of(&text), expected);
    };
    let place = "g.toml:2: mqtt.websocket_listen: ";
    let cure = "name them in mqtt.users_file, set mqtt.anonymous = \"always\"";
    for keys in ["", "anonymous = \"never\""] {
        check(keys, &[(place, cure)]);
    }
    check("users_file = \"users\"", &[]);
    check("anonymous = \"always\"", &[]);
    check(
        "anonymous = \"wrong\"",
        &[("g.toml:3: ", "found \"wrong\"")],
    );
    for off in ["\"\"", "\"[::1]:1\""] {
        let text = format!("[mqtt]\nwebsocket_listen = {off}");
        assert_eq!(lines_of(&text), [""; 0]);
    }
    check_lines(
        &lines_of("[mqtt]\nwebsocket_listen = \"localhost:8083\""),
        &[(place, "is a host name")],
    );

    let files = "certificate = \"Cargo.toml\"\nprivate_key = \"Cargo.toml\"";
    let tls = format!("[mqtt.tls]\nlisten = \"127.0.0.1:0\"\n{files}\nwebsocket_listen = ");
    let tls = |keys: &str| lines_of(&format!("{tls}{keys}"));
    let place = "g.toml:5: mqtt.tls.websocket_listen: ";
    check_lines(&tls("\"[::]:8084\""), &[(place, "mqtt.tls.client_ca")]);
    assert_eq!(tls("\"[::]:8084\"\nclient_ca = \"Cargo.toml\""), [""; 0]);
    assert_eq!(tls("\"\""), [""; 0]);
}

#[test]
fn origins_are_those_that_browsers_send() {
    let found = lines_of(
        "[mqtt]\nallowed_origins = [\n\"https://a.example\",\n\"*\",\n\"https://a.example/x\",\n\"a.example\",\n]",
    );
    check_lines(
        &found,
        &[
            ("g.toml:4: mqtt.allowed_origins: ", "found \"*\""),
            ("g.toml:5: mqtt.allowed_origins: ", "without a path"),
            ("g.toml:6: mqtt.allowed_origins: ", "found \"a.example\""),
        ],
    );
    let origins = [(
        "EDGE_GATEWAY_MQTT__ALLOWED_ORIGINS",
        "https://a.example, http://b:1",
    )];
    let config = from_environment(&origins).unwrap();
    let expected = ["https://a.example", "http://b:1"].map(|text| Origin::new(text).unwrap());
    assert_eq!(config.mqtt.allowed_origins, expected);
}

#[test]
fn the_longest_wait_is_not_shorter_than_the_first() {
    let check = |keys: &str, expected: &[(&str, &str)]| {
        let found = lines_of(&format!("[cloud]\nurl = \"https://a.example\"\n{keys}"));
        check_lines(&found, expected);
    };
    check("retry_initial = \"5m\"", &[]);
    let cure = "cloud.retry_max (5m) is shorter than cloud.retry_initial (10m)";
    check(
        "retry_initial = \"10m\"",
        &[("g.toml:3: cloud.retry_initial: ", cure)],
    );
    let cure = "cloud.retry_max (500ms) is shorter than cloud.retry_initial (1s)";
    check(
        "retry_max = \"500ms\"",
        &[("g.toml:3: cloud.retry_max: ", cure)],
    );
    check(
        "retry_initial = \"0s\"\nretry_max = \"1ms\"",
        &[("g.toml:3: cloud.retry_initial: ", "from 1ms")],
    );
}

#[test]
fn files_are_looked_for_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    std::fs::write(folder.path().join("ca.pem"), "").unwrap();
    std::fs::write(
        &path,
        "[cloud]\nurl = \"https://a.example\"\nca_file = \"ca.pem\"\n[store]\npath = \"x.db\"\n\
         [mqtt]\nusers_file = \"users\"\nacl_file = \"/acl.toml\"",
    )
    .unwrap();
    let config = Config::load(Some(&path), std::iter::empty()).unwrap();
    assert_eq!(
        config.uplinks[0].files.ca.as_ref().map(|(path, _)| path),
        Some(&folder.path().join("ca.pem"))
    );
    assert_eq!(config.store.path, PathBuf::from("x.db"));
    let access_files = AccessFiles {
        users: Some(folder.path().join("users")),
        acl: Some("/acl.toml".into()),
        ..AccessFiles::default()
    };
    assert_eq!(config.mqtt.access_files, access_files);

    let token = ("EDGE_GATEWAY_CLOUD__BEARER_TOKEN_FILE", "token");
    let found = lines(Config::load(Some(&path), variables(&[token])));
    check_lines(
        &found,
        &[(
            "environment EDGE_GATEWAY_CLOUD__BEARER_TOKEN_FILE: ",
            "there is no file",
        )],
    );
    let ca_file = ("EDGE_GATEWAY_CLOUD__CA_FILE", "other.pem");
    let found = lines(Config::load(Some(&path), variables(&[ca_file])));
    let looked_for = format!("there is no file {:?}", folder.path().join("other.pem"));
    check_lines(
        &found,
        &[("environment EDGE_GATEWAY_CLOUD__CA_FILE: ", &looked_for)],
    );
}

#[test]
fn a_rule_from_a_file_knows_the_line_of_its_condition() {
    let text = "[[rule]]\nname = \"a\"\nactions = [\"forward\", \"tag:x\"]\n\nwhen = \"value < 0\"";
    let rules = Config::parse(text, &"g.toml".into()).unwrap().rules;
    assert_eq!(rules.len(), 1);
    let when = rules[0].when.as_ref().unwrap();
    let places = [&rules[0].place, &when.place].map(ToString::to_string);
    assert_eq!(places, ["g.toml:1:1", "g.toml:5:8"]);
    let forward = Action::Forward(UplinkSet::one(0));
    assert_eq!(rules[0].actions, [forward, Action::Tag("x".into())]);
    assert_eq!(
        Config::parse("rule = []", &"g.toml".into()).unwrap().rules,
        []
    );
}

#[test]
fn a_condition_is_bounded_before_anyone_parses_it() {
    let check = |length: usize, expected: &[(&str, &str)]| {
        let when = "x".repeat(length);
        let text = format!("[[rule]]\nname = \"a\"\nwhen = \"{when}\"\nactions = [\"alert\"]");
        check_lines(&lines_of(&text), expected);
    };
    check(Expression::MAX_BYTES, &[]);
    check(
        Expression::MAX_BYTES + 1,
        &[(
            "g.toml:3: rule `a`: when: ",
            "at most 1024 bytes, found 1025",
        )],
    );
}

#[test]
fn variables_that_kubernetes_sets_are_not_ours() {
    let service = [
        ("EDGE_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("EDGE_GATEWAY_SERVICE_PORT", "1883"),
        ("EDGE_GATEWAY_SERVICE_PORT_MQTT", "1883"),
        ("EDGE_GATEWAY_PORT", "tcp://10.0.0.1:1883"),
        ("EDGE_GATEWAY_PORT_1883_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(lines(from_environment(&service)), [""; 0]);
    for ours in [
        "EDGE_GATEWAY_PORTS",
        "EDGE_GATEWAY_SERVICE",
        "EDGE_GATEWAY_SERVICE_HOSTS",
    ] {
        assert_eq!(lines(from_environment(&[(ours, "x")])).len(), 1, "{ours}");
    }
}

#[test]
fn a_token_in_place_of_its_file_is_not_repeated() {
    for text in ["\"s3cr3t\"", "[\"s3cr3t\"]"] {
        let text = format!("[cloud]\nurl = \"https://c.example/\"\nbearer_token_file = {text}");
        let found = lines_of(&text);
        check_lines(
            &found,
            &[("g.toml:3: cloud.bearer_token_file", "not shown")],
        );
        assert!(!found[0].contains("s3cr3t"), "{found:?}");
    }
}

#[test]
fn a_tls_listener_wants_its_files_and_somebody_who_may_come() {
    let faults = |keys: &str| lines_of(&format!("[mqtt.tls]\n{keys}"));
    // Any file that exists: what is in it is not for `config` to say.
    let files = "certificate = \"Cargo.toml\"\nprivate_key = \"Cargo.toml\"\n";
    assert_eq!(
        faults(&format!("listen = \"127.0.0.1:0\"\n{files}")),
        Vec::<String>::new()
    );
    assert_eq!(
        faults(&format!("{files}client_ca = \"Cargo.toml\"")),
        Vec::<String>::new()
    );
    let nobody = ("g.toml:1: mqtt.tls.listen: ", "mqtt.tls.client_ca");
    check_lines(&faults(files), &[nobody]);
    let found = faults("listen = \"[::]:8883\"\ncertificate = \"none.crt\"");
    check_lines(
        &found,
        &[
            ("g.toml:1: mqtt.tls.private_key: ", "server.key"),
            ("g.toml:2: mqtt.tls.listen: ", "mqtt.users_file"),
            ("g.toml:3: mqtt.tls.certificate: ", "no file \"none.crt\""),
        ],
    );
    let open = "[mqtt]\nanonymous = \"always\"\n[mqtt.tls]\n";
    assert_eq!(lines_of(&format!("{open}{files}")), Vec::<String>::new());
    let found = faults(&format!(
        "listen = \"127.0.0.1:0\"\n{files}client_ca = \"none.pem\"\ncertificat = 1"
    ));
    check_lines(
        &found,
        &[
            ("g.toml:5: mqtt.tls.client_ca: ", "no file"),
            ("g.toml:6: mqtt.tls.certificat: ", "`certificate`"),
        ],
    );
}

#[test]
fn the_api_beyond_loopback_wants_tokens_or_a_word() {
    let files = "certificate = \"Cargo.toml\"\nprivate_key = \"Cargo.toml\"\n";
    let found = lines_of("[http]\nlisten = \"0.0.0.0:8080\"");
    check_lines(&found, &[("g.toml:2: http.listen: ", "http.token_file")]);
    let found = lines_of(&format!("[http.tls]\n{files}"));
    check_lines(
        &found,
        &[("g.toml:1: http.tls.listen: ", "http.token_file")],
    );
    for may_come in [
        "token_file = \"tokens\"",
        "anonymous = \"always\"",
        "token_file = \"tokens\"\nanonymous = \"never\"",
    ] {
        let text = format!("[http]\nlisten = \"0.0.0.0:8080\"\n{may_come}\n[http.tls]\n{files}");
        assert_eq!(lines_of(&text), Vec::<String>::new(), "{may_come}");
    }
    let text = format!("[http.tls]\n{files}client_ca = \"Cargo.toml\"\nwebsocket_listen = \"\"");
    let found = lines_of(&text);
    check_lines(
        &found,
        &[("g.toml:5: http.tls.websocket_listen: ", "unknown key")],
    );
    let origins = "[http]\nallowed_origins = [\"https://plant.example.com\", \"*\"]";
    check_lines(
        &lines_of(origins),
        &[("g.toml:2: http.allowed_origins", "*")],
    );
}
