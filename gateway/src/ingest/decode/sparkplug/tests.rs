use super::payload::metric::Value::{BooleanValue, DoubleValue, FloatValue, IntValue, LongValue};
use super::payload::{PropertySet, PropertyValue, property_value};
use super::*;
use crate::domain::timestamp::Timestamp;

const NOW: i64 = 1_764_000_000_000;

/// `UPDATE=1` writes it anew.
#[test]
fn the_payload_is_what_prost_makes_of_its_definition() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ingest/decode/sparkplug/");
    let made = tempfile::tempdir().unwrap();
    let definition = protox::compile(["payload.proto"], [folder]).unwrap();
    prost_build::Config::new()
        .out_dir(made.path())
        .bytes(["."])
        .compile_fds(definition)
        .unwrap();
    let made = std::fs::read_to_string(made.path().join("payload.rs")).unwrap();
    let made = format!("//! What `payload.proto` describes.\n\n{made}");
    let file = format!("{folder}payload.rs");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let is = std::fs::read_to_string(&file).unwrap();
    assert_eq!(is, made, "run with UPDATE=1");
}

/// A metric by its name, of a type, with a value.
fn named(name: &str, datatype: u32, value: impl Into<Option<metric::Value>>) -> Metric {
    Metric {
        name: Some(name.to_owned()),
        datatype: Some(datatype),
        value: value.into(),
        ..Metric::default()
    }
}

/// A metric by its alias.
fn aliased(alias: u64, value: metric::Value) -> Metric {
    Metric {
        alias: Some(alias),
        value: Some(value),
        ..Metric::default()
    }
}

fn with_alias(alias: u64, metric: Metric) -> Metric {
    Metric {
        alias: Some(alias),
        ..metric
    }
}

fn payload(seq: impl Into<Option<u64>>, metrics: &[Metric]) -> Vec<u8> {
    let metrics = metrics.iter().map(|metric| metric.encode_to_vec().into());
    let payload = Payload {
        seq: seq.into(),
        metrics: metrics.collect(),
        ..Payload::default()
    };
    payload.encode_to_vec()
}

/// What came out: readings as `sensor value later attributes`, statuses as `device = status`, faults as `! label`, requests as `? topic`.
fn told(decoded: &Decoded) -> Vec<String> {
    let readings = decoded.readings.iter().map(|reading| {
        let (sensor, value) = (&reading.sensor_id, reading.value);
        let later = reading.ts.millis() - reading.received_at.millis();
        format!("{sensor} {value} {later} {}", reading.attributes.as_json())
    });
    let statuses = decoded.statuses.iter();
    let statuses = statuses.map(|status| format!("{} = {}", status.device_id, status.status));
    let faults = decoded.faults.iter().map(|(fault, part)| {
        let part = if part.is_some() { "part" } else { "all" };
        format!("! {} {part}", fault.label())
    });
    let requests = decoded.request.iter();
    let requests = requests.map(|request| format!("? {}", request.topic));
    readings
        .chain(statuses)
        .chain(faults)
        .chain(requests)
        .collect()
}

/// Nodes, seen at a time.
#[derive(Default)]
struct Seen {
    nodes: Nodes,
    seconds: i64,
}

fn message(topic: &str, payload: &[u8], client_id: &str, now: Timestamp) -> Message {
    Message {
        topic: TopicName::new(&format!("spBv1.0/{topic}")).unwrap(),
        payload: payload.to_vec().into(),
        qos: Qos::AtMostOnce,
        retain: false,
        received_at: now,
        publisher: client_id.into(),
        properties: None,
    }
}

impl Seen {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(NOW + self.seconds * 1000)
    }

    #[track_caller]
    fn check_of(&self, client_id: &str, topic: &str, payload: &[u8], expected: &[&str]) {
        let message = message(topic, payload, client_id, self.now());
        let decoded = self.nodes.take(&message);
        assert!(decoded.is_for_others);
        assert_eq!(told(&decoded), expected, "{topic}");
    }

    #[track_caller]
    fn check(&self, topic: &str, payload: &[u8], expected: &[&str]) {
        self.check_of("client", topic, payload, expected);
    }

    /// What came now, read again later.
    #[track_caller]
    fn check_again(&self, topic: &str, payload: &[u8], expected: &[&str]) {
        let message = message(topic, payload, "client", self.now());
        let decoded = self.nodes.read(payload, Origin::of(&message));
        assert_eq!(told(&decoded), expected, "{topic}");
    }

    /// Nothing is remembered.
    #[track_caller]
    fn check_empty(&self) {
        let told = format!("{:?}", self.nodes);
        assert!(
            told.contains("{ nodes: {}, unheard: {}, size: 0,"),
            "{told}"
        );
    }
}

fn session(number: u64) -> Metric {
    named(SESSION, 4, LongValue(number))
}

#[test]
fn a_number_is_a_reading_by_its_type() {
    let metrics = [
        session(0),
        named("Node Control/Rebirth", 11, BooleanValue(false)),
        named("Node Control/Scan Rate", 3, IntValue(500)),
        named("i8", 1, IntValue(0xff)),
        named("i8 of all bits", 1, IntValue(0xffff_ffff)),
        named("i16", 2, IntValue(0x8000)),
        named("i32", 3, IntValue(0xffff_fffe)),
        named("i32 in a long one", 3, LongValue(0xffff_fffe)),
        named("i64", 4, LongValue(u64::MAX)),
        named("u8", 5, IntValue(255)),
        named("u32", 7, IntValue(u32::MAX)),
        named("u32 in a long one", 7, LongValue(0xffff_ffff)),
        named("u64", 8, LongValue(1 << 40)),
        named("float", 9, FloatValue(21.5)),
        named("double", 10, DoubleValue(0.1)),
        named("on", 11, BooleanValue(true)),
        named("folder/off", 11, BooleanValue(false)),
        named("a date", 13, LongValue(NOW as u64)),
        named("a text", 12, None),
        named("a null", 10, None),
        Metric {
            is_null: Some(true),
            ..named("a null with a value", 10, DoubleValue(1.0))
        },
    ];
    Seen::default().check(
        "plant/NBIRTH/n1",
        &payload(0, &metrics),
        &[
            "plant/n1/i8 -1 0 {}",
            "plant/n1/i8 of all bits -1 0 {}",
            "plant/n1/i16 -32768 0 {}",
            "plant/n1/i32 -2 0 {}",
            "plant/n1/i32 in a long one -2 0 {}",
            "plant/n1/i64 -1 0 {}",
            "plant/n1/u8 255 0 {}",
            "plant/n1/u32 4294967295 0 {}",
            "plant/n1/u32 in a long one 4294967295 0 {}",
            "plant/n1/u64 1099511627776 0 {}",
            "plant/n1/float 21.5 0 {}",
            "plant/n1/double 0.1 0 {}",
            "plant/n1/on 1 0 {}",
            "plant/n1/folder/off 0 0 {}",
            "plant:n1 = online",
        ],
    );
}

#[test]
fn data_stands_on_births() {
    let seen = Seen::default();
    let birth = [
        with_alias(1, named("temperature", 1, IntValue(20))),
        with_alias(2, named("name", 12, None)),
        with_alias(3, named("Node Control/Scan Rate", 3, IntValue(500))),
        named("level", 1, IntValue(7)),
    ];
    let expected = [
        "p/n/temperature 20 0 {}",
        "p/n/level 7 0 {}",
        "p:n = online",
    ];
    seen.check("p/NBIRTH/n", &payload(0, &birth), &expected);
    let data = [
        aliased(1, IntValue(0xfe)),
        aliased(2, IntValue(1)),
        aliased(3, IntValue(1000)),
        // Some say both, or the name alone, or no type. Of both the name counts.
        with_alias(2, named("temperature", 1, IntValue(3))),
        named("temperature", 1, IntValue(4)),
        Metric {
            datatype: None,
            ..named("level", 0, IntValue(0xff))
        },
        named("new, and typed", 6, IntValue(9)),
    ];
    let expected = [
        "p/n/temperature -2 0 {}",
        "p/n/temperature 3 0 {}",
        "p/n/temperature 4 0 {}",
        "p/n/level -1 0 {}",
        "p/n/new, and typed 9 0 {}",
    ];
    seen.check("p/NDATA/n", &payload(1, &data), &expected);
    let device = [with_alias(9, named("speed", 10, DoubleValue(1.5)))];
    let expected = ["p/n/d/speed 1.5 0 {}", "p:n:d = online"];
    seen.check("p/DBIRTH/n/d", &payload(2, &device), &expected);
    let data = [aliased(9, DoubleValue(2.5))];
    seen.check("p/DDATA/n/d", &payload(3, &data), &["p/n/d/speed 2.5 0 {}"]);
    // Of another node, and of another device.
    let dark = ["! birth all", "? spBv1.0/p/NCMD/m"];
    seen.check("p/NDATA/m", &payload(3, &[aliased(1, IntValue(1))]), &dark);
    let dark = ["! birth all", "? spBv1.0/p/NCMD/n"];
    seen.check("p/DDATA/n/e", &payload(4, &data), &dark);
}

#[test]
fn what_cannot_be_told_without_a_birth_is_rejected_whole_and_read_once_it_is_there() {
    let seen = Seen::default();
    let data = payload(
        5,
        &[named("a", 10, DoubleValue(1.0)), aliased(7, IntValue(0xff))],
    );
    let dark = ["! birth all", "? spBv1.0/p/NCMD/n"];
    seen.check("p/NDATA/n", &data, &dark);
    seen.check_again("p/NDATA/n", &data, &["! birth all"]);
    let birth = payload(0, &[with_alias(7, named("b", 1, None))]);
    seen.check("p/NBIRTH/n", &birth, &["p:n = online"]);
    let read = ["p/n/a 1 0 {}", "p/n/b -1 0 {}"];
    seen.check_again("p/NDATA/n", &data, &read);
    // It was not counted: number 1 is the next.
    let data = payload(1, &[aliased(7, IntValue(1))]);
    seen.check("p/NDATA/n", &data, &["p/n/b 1 0 {}"]);
}

#[test]
fn times_and_properties_go_along() {
    let seen = Seen::default();
    let quality = |value| PropertyValue {
        r#type: Some(3),
        value,
        ..PropertyValue::default()
    };
    let values = [
        quality(Some(property_value::Value::IntValue(0xffff_ffff))),
        quality(Some(property_value::Value::StringValue("°C".to_owned()))),
        quality(Some(property_value::Value::DoubleValue(f64::NAN))),
        quality(None),
    ];
    let keys = ["Quality", "engUnit", "nan", "null"];
    let metric = Metric {
        timestamp: Some(NOW as u64 - 5),
        is_historical: Some(true),
        is_transient: Some(true),
        properties: Some(PropertySet {
            keys: keys.map(str::to_owned).to_vec(),
            values: values.map(|value| value.encode_to_vec().into()).to_vec(),
        }),
        ..named("t", 9, FloatValue(1.0))
    };
    let sent = Payload {
        timestamp: Some(NOW as u64 - 3),
        metrics: vec![
            metric.encode_to_vec().into(),
            named("u", 9, FloatValue(2.0)).encode_to_vec().into(),
        ],
        ..Payload::default()
    };
    seen.check(
        "p/NBIRTH/n",
        &sent.encode_to_vec(),
        &[
            r#"p/n/t 1 -5 {"Quality":-1,"engUnit":"°C","historical":true,"transient":true}"#,
            "p/n/u 2 -3 {}",
            "p:n = online",
        ],
    );
    let late = Metric {
        timestamp: Some(u64::MAX),
        ..named("t", 9, FloatValue(1.0))
    };
    seen.check("p/NDATA/n", &payload(None, &[late]), &["! time part"]);
}

#[test]
fn bad_metrics_are_rejected_alone_and_can_be_read_again() {
    let bad = [
        with_alias(1, named("a+b", 10, DoubleValue(1.0))),
        named("nan", 10, DoubleValue(f64::NAN)),
        aliased(4, DoubleValue(1.0)),
        named("good", 10, DoubleValue(2.0)),
    ];
    let seen = Seen::default();
    let birth = payload(0, &bad);
    let parts = ["! sensor part", "! value part", "! syntax part"];
    let expected = [
        "p/n/good 2 0 {}",
        "p:n = online",
        parts[0],
        parts[1],
        parts[2],
    ];
    seen.check("p/NBIRTH/n", &birth, &expected);
    // The alias is known, though its name is none: nothing is asked for.
    let data = payload(1, &[aliased(1, DoubleValue(1.0))]);
    seen.check("p/NDATA/n", &data, &["! sensor part"]);
    let birth = message("p/NBIRTH/n", &birth, "client", seen.now());
    let origin = Origin::of(&birth);
    let decoded = seen.nodes.read(birth.payload.as_slice(), origin);
    for (fault, part) in decoded.faults {
        let again = seen.nodes.read(part.as_deref().unwrap(), origin);
        // A bare number in a fault is NaN, which equals nothing.
        assert_eq!(again.faults[0].0.label(), fault.label());
        assert_eq!(again.faults[0].1, part);
    }
}

#[test]
fn a_gap_in_the_numbers_asks_for_births_and_not_too_often() {
    let mut seen = Seen::default();
    let birth = payload(0, &[with_alias(1, named("a", 10, None))]);
    let born = ["p:n = online"];
    seen.check("p/NBIRTH/n", &birth, &born);
    let data = |seq: u64| payload(seq, &[aliased(1, DoubleValue(seq as f64))]);
    let asks = "? spBv1.0/p/NCMD/n";
    seen.check("p/NDATA/n", &data(1), &["p/n/a 1 0 {}"]);
    seen.check("p/NDATA/n", &data(3), &["p/n/a 3 0 {}", asks]);
    seen.check("p/NDATA/n", &data(4), &["p/n/a 4 0 {}"]);
    seen.seconds = 9;
    seen.check("p/NDATA/n", &data(6), &["p/n/a 6 0 {}"]);
    seen.seconds = 10;
    seen.check("p/NDATA/n", &data(255), &["p/n/a 255 0 {}", asks]);
    seen.check("p/NDATA/n", &data(0), &["p/n/a 0 0 {}"]);
    // The clock was set back.
    seen.seconds = -1000;
    seen.check("p/DDEATH/n/d", &payload(2, &[]), &["p:n:d = offline", asks]);
    seen.check("p/NBIRTH/n", &birth, &born);
    seen.check("p/NDATA/n", &data(1), &["p/n/a 1 0 {}"]);
}

#[test]
fn the_request_is_the_command_that_nodes_know() {
    let data = message(
        "p/NDATA/n",
        &payload(1, &[]),
        "client",
        Timestamp::from_millis(NOW),
    );
    let request = Nodes::default().take(&data).request.unwrap();
    assert_eq!(request.topic.as_str(), "spBv1.0/p/NCMD/n");
    assert!(request.qos == Qos::AtMostOnce && !request.retain);
    let sent = Payload::decode(request.payload.as_slice()).unwrap();
    assert_eq!((sent.timestamp, sent.seq), (Some(NOW as u64), None));
    let metrics = sent.metrics.iter();
    let metrics: Vec<_> = metrics.map(|bytes| decode_metric(bytes).unwrap()).collect();
    let rebirth = named("Node Control/Rebirth", 11, BooleanValue(true));
    let timestamp = Some(NOW as u64);
    assert_eq!(
        metrics,
        [Metric {
            timestamp,
            ..rebirth
        }]
    );
}

#[test]
fn deaths_are_statuses_unless_they_come_late() {
    let seen = Seen::default();
    let birth = |number| payload(0, &[session(number), named("a", 10, None)]);
    let death = |number| payload(None, &[session(number)]);
    let dead = ["p:n = offline"];
    seen.check("p/NBIRTH/n", &birth(0), &["p:n = online"]);
    seen.check("p/DBIRTH/n/d", &payload(1, &[]), &["p:n:d = online"]);
    // The will of another client, of the session before: 255 counts on to 0.
    seen.check_of("before", "p/NDEATH/n", &death(255), &[]);
    // Asked to be born again, it has its device as before; of its metrics nothing is known.
    seen.check("p/NBIRTH/n", &birth(0), &["p:n = online"]);
    let data = payload(1, &[aliased(1, IntValue(1))]);
    seen.check("p/DDATA/n/d", &data, &["! birth all", "? spBv1.0/p/NCMD/n"]);
    seen.check("p/DBIRTH/n/d", &payload(2, &[]), &["p:n:d = online"]);
    seen.check("p/DBIRTH/n/e", &payload(3, &[]), &["p:n:e = online"]);
    seen.check("p/DDEATH/n/e", &payload(4, &[]), &["p:n:e = offline"]);
    // In another session devices are there once they are born.
    seen.check(
        "p/NBIRTH/n",
        &birth(1),
        &["p:n = online", "p:n:d = offline"],
    );
    seen.check("p/DBIRTH/n/f", &payload(1, &[]), &["p:n:f = online"]);
    let both = ["p:n = offline", "p:n:f = offline"];
    seen.check("p/NDEATH/n", &death(1), &both);
    // Unknown, it is dead all the same.
    seen.check("p/NDEATH/n", &death(7), &dead);
    // Of the client that was born nothing comes late; some count on before they say good-bye, some do not count, some say nothing.
    seen.check("p/NBIRTH/n", &birth(9), &["p:n = online"]);
    seen.check("p/NDEATH/n", &death(8), &dead);
    seen.check("p/NBIRTH/n", &birth(1), &["p:n = online"]);
    seen.check_of("other", "p/NDEATH/n", &death(2), &dead);
    seen.check("p/NBIRTH/n", &birth(3), &["p:n = online"]);
    seen.check_of(
        "other",
        "p/NDEATH/n",
        &payload(None, &[named("x", 10, None)]),
        &dead,
    );
    seen.check("p/NBIRTH/n", &birth(3), &["p:n = online"]);
    seen.check_of("other", "p/NDEATH/n", b"", &dead);
}

#[test]
fn a_node_that_dies_is_not_asked_sooner() {
    let mut seen = Seen::default();
    let birth = payload(0, &[session(0)]);
    let gap = payload(5, &[]);
    let death = payload(None, &[session(0)]);
    seen.check("p/NBIRTH/n", &birth, &["p:n = online"]);
    seen.check("p/NDATA/n", &gap, &["? spBv1.0/p/NCMD/n"]);
    seen.check("p/NDEATH/n", &death, &["p:n = offline"]);
    seen.check("p/NDATA/n", &gap, &[]);
    seen.check("p/NBIRTH/n", &birth, &["p:n = online"]);
    seen.check("p/NDATA/n", &gap, &[]);
    seen.seconds = 10;
    seen.check("p/NDATA/n", &payload(7, &[]), &["? spBv1.0/p/NCMD/n"]);
}

#[test]
fn a_device_whose_birth_is_missing_is_asked_for() {
    let seen = Seen::default();
    seen.check("p/NBIRTH/n", &payload(0, &[]), &["p:n = online"]);
    let data = payload(1, &[named("speed", 10, DoubleValue(1.5))]);
    let expected = ["p/n/d/speed 1.5 0 {}", "? spBv1.0/p/NCMD/n"];
    seen.check("p/DDATA/n/d", &data, &expected);
}

#[test]
fn a_birth_explains_what_came_before_it_but_not_what_another_did() {
    let mut seen = Seen::default();
    let birth = |name| payload(0, &[with_alias(1, named(name, 10, None))]);
    let data = payload(1, &[aliased(1, DoubleValue(1.0))]);
    seen.seconds = 1000;
    seen.check("p/NBIRTH/n", &birth("a"), &["p:n = online"]);
    for (seconds, expected) in [(400, "p/n/a 1 0 {}"), (399, "! birth all")] {
        seen.seconds = seconds;
        seen.check_again("p/NDATA/n", &data, &[expected]);
    }
    seen.seconds = 1010;
    seen.check("p/NBIRTH/n", &birth("b"), &["p:n = online"]);
    for (seconds, expected) in [(1000, "p/n/b 1 0 {}"), (999, "! birth all")] {
        seen.seconds = seconds;
        seen.check_again("p/NDATA/n", &data, &[expected]);
    }
}

/// A birth of so many metrics that three nodes with it are as much as all may have.
fn large() -> Vec<Metric> {
    let name = "n".repeat(200);
    let metric = |number| with_alias(number, named(&format!("{name}{number}"), 10, None));
    (0..22_000).map(metric).collect()
}

#[test]
fn what_is_remembered_is_bounded_and_given_back() {
    let mut seen = Seen::default();
    let metrics = large();
    let full = payload(0, &metrics);
    let refused = |node: &str| ["! birth all".to_owned(), format!("p:{node} = online")];
    let death = payload(None, &[session(0)]);
    let check = |seen: &Seen, node: &str, expected: &[String]| {
        let mut expected: Vec<_> = expected.iter().map(String::as_str).collect();
        // Statuses stand before faults.
        expected.reverse();
        seen.check(&format!("p/NBIRTH/{node}"), &full, &expected);
    };
    for node in ["a", "b", "c", "d"] {
        check(&seen, node, &[format!("p:{node} = online")]);
    }
    check(&seen, "e", &refused("e"));
    // It is not asked for what finds no room; in its own place it does.
    let dark = payload(1, &[aliased(1, DoubleValue(1.0))]);
    seen.check("p/NDATA/e", &dark, &["! birth all"]);
    check(&seen, "a", &["p:a = online".to_owned()]);
    // Nor has a node more than its share.
    seen.check(
        "p/DBIRTH/a/x",
        &payload(1, &metrics),
        &["p:a:x = online", "! birth all"],
    );
    seen.seconds = 100;
    seen.check("p/NDATA/a", &payload(9, &[]), &[]);
    for node in ["b", "c", "d"] {
        seen.check(
            &format!("p/NDEATH/{node}"),
            &death,
            &[&format!("p:{node} = offline")],
        );
    }
    check(&seen, "e", &["p:e = online".to_owned()]);
    for node in ["a", "e"] {
        seen.check(
            &format!("p/NDEATH/{node}"),
            &death,
            &[&format!("p:{node} = offline")],
        );
    }
    seen.check_empty();
    // No birth is built that is larger than a share.
    let metrics = [metrics.clone(), metrics].concat();
    let expected = ["p:a = online", "! birth all"];
    seen.check("p/NBIRTH/a", &payload(0, &metrics), &expected);
}

#[test]
fn names_that_somebody_made_up_make_room_again() {
    let mut seen = Seen::default();
    let data = payload(1, &[]);
    let mut asked = 0;
    for number in 0..100_000 {
        let name = format!("p/NDATA/{}{number}", "x".repeat(150));
        let message = message(&name, &data, "client", seen.now());
        asked += usize::from(seen.nodes.take(&message).request.is_some());
    }
    assert!((50_000..80_000).contains(&asked), "{asked}");
    seen.check(
        "p/NBIRTH/n",
        &payload(0, &[]),
        &["p:n = online", "! birth all"],
    );
    seen.seconds = 10;
    seen.check("p/NBIRTH/n", &payload(0, &[]), &["p:n = online"]);
    assert!(format!("{:?}", seen.nodes).len() < 1000);
}

#[test]
fn what_is_no_sparkplug_is_rejected() {
    let seen = Seen::default();
    seen.check("p/NDATA/n", b"", &["! empty all"]);
    seen.check("p/NDATA/n", br#"{"value":1}"#, &["! syntax all"]);
    let compressed = Payload {
        uuid: Some(COMPRESSED.to_owned()),
        ..Payload::default()
    };
    seen.check("p/NDATA/n", &compressed.encode_to_vec(), &["! syntax all"]);
    let good = payload(0, &[named("a", 10, DoubleValue(1.0))]);
    let long = format!("p/NDATA/{}", "n".repeat(255));
    let topics = [
        "p/NDATA",
        "p/NDATA/n/d",
        "p/DDATA/n",
        "p/DDATA/n/d/e",
        "p/NOTE/n",
        "/NDATA/n",
        "p/DDATA/n/",
        &long,
    ];
    for topic in topics {
        seen.check(topic, &good, &["! topic all"]);
    }
    let fits = format!("p/NBIRTH/{}", "n".repeat(254));
    let status = format!("p:{} = online", "n".repeat(254));
    seen.check(&fits, &good, &[&status, "! sensor part"]);
}

#[test]
fn any_bytes_are_read_to_their_end() {
    let metrics = [
        with_alias(1, named("a", 1, IntValue(1))),
        named("b", 10, DoubleValue(2.0)),
        session(1),
    ];
    let good = payload(3, &metrics);
    let topics = [
        "p/NBIRTH/n",
        "p/DBIRTH/n/d",
        "p/NDATA/n",
        "p/DDATA/n/d",
        "p/DDEATH/n/d",
        "p/NDEATH/n",
    ];
    let mut draw = fastrand::Rng::with_seed(7);
    let nodes = Nodes::default();
    for round in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..draw.usize(1..4) {
            let at = draw.usize(..bytes.len());
            bytes[at] = draw.u8(..);
        }
        bytes.truncate(draw.usize(1..=bytes.len()));
        let topic = draw.choice(&topics).unwrap();
        let message = message(topic, &bytes, "client", Timestamp::from_millis(NOW + round));
        let decoded = nodes.take(&message);
        let mut values = decoded.readings.iter().map(|reading| reading.value);
        assert!(values.all(f64::is_finite));
        nodes.read(&bytes, Origin::of(&message));
    }
}
