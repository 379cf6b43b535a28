use super::{json::RequestFault, *};

const NOW: Timestamp = Timestamp::from_millis(1_764_000_000_000);

fn topic() -> TopicName {
    TopicName::new("sensors/hall/s9").unwrap()
}

/// The readings as `sensor value ts attributes`, then the labels of the faults.
#[track_caller]
fn check(payload: &str, expected: &[&str]) {
    let topic = topic();
    let decoded = decode_auto(
        payload.as_bytes(),
        Origin {
            topic: Some(&topic),
            now: NOW,
        },
    );
    let mut found: Vec<String> = decoded.readings.iter().map(described).collect();
    found.extend(
        decoded
            .faults
            .iter()
            .map(|(fault, _)| format!("! {}", fault.label())),
    );
    assert_eq!(found, expected, "{payload}");
}

fn described(reading: &Reading) -> String {
    let later = reading.ts.millis() - NOW.millis();
    let attributes = reading.attributes.as_json();
    format!(
        "{} {} {later} {attributes}",
        reading.sensor_id, reading.value
    )
}

#[test]
fn an_object_with_value_is_one_reading() {
    check(
        r#"{"sensor_id":"s1","value":80.0,"seq":7}"#,
        &[r#"s1 80 0 {"seq":7}"#],
    );
    check(r#"{"id":"s1","value":80}"#, &["s1 80 0 {}"]);
    check(r#"{"id":7,"value":80}"#, &["7 80 0 {}"]);
    check(r#"{"value":-1.5e3}"#, &["s9 -1500 0 {}"]);
    check(
        r#"{"sensor_id":"a","id":"b","value":1}"#,
        &[r#"a 1 0 {"id":"b"}"#],
    );
    check(r#"{"value":1,"ts":1764000000500}"#, &["s9 1 500 {}"]);
    check(
        r#"{"value":1,"ts":"2025-11-24T16:00:01Z"}"#,
        &["s9 1 1000 {}"],
    );
    check(r#" {"value":1} "#, &["s9 1 0 {}"]);
    check(
        r#"{"value":1,"unit":"°C","deep":{"a":[1, 2]},"big":12345678901234567890123}"#,
        &[r#"s9 1 0 {"unit":"°C","deep":{"a":[1, 2]},"big":12345678901234567890123}"#],
    );
    check(r#"{"value":1,"a\"b\n":1}"#, &[r#"s9 1 0 {"a\"b\n":1}"#]);
}

#[test]
fn an_object_without_value_is_a_reading_for_each_number() {
    check(
        r#"{"temperature":21.5,"humidity":40,"ts":1764000000001,"unit":"C"}"#,
        &[
            r#"s9/temperature 21.5 1 {"unit":"C"}"#,
            r#"s9/humidity 40 1 {"unit":"C"}"#,
        ],
    );
    check(r#"{"sensor_id":"b","t":1}"#, &["b/t 1 0 {}"]);
    check(r#"{"id":3,"t":1}"#, &["3/t 1 0 {}"]);
}

#[test]
fn a_bare_number_is_a_reading_of_the_topics_last_level() {
    check("80.5", &["s9 80.5 0 {}"]);
    check(" 80.5\n", &["s9 80.5 0 {}"]);
    check("-3", &["s9 -3 0 {}"]);
    check("\u{feff}1", &["s9 1 0 {}"]);
}

#[test]
fn of_an_array_the_bad_elements_are_rejected_alone() {
    check(
        r#"[{"value":1},{"value":"2"},{"value":3},4,null,[],"x"]"#,
        &[
            "s9 1 0 {}",
            "s9 3 0 {}",
            "! value",
            "! syntax",
            "! syntax",
            "! syntax",
            "! syntax",
        ],
    );
    check("[]", &["! empty"]);
    check(r#"[{"value":1},"#, &["! syntax"]);
}

#[test]
fn what_cannot_be_read_is_rejected_with_its_reason() {
    check("", &["! empty"]);
    check("  ", &["! empty"]);
    check("NaN", &["! value"]);
    check("inf", &["! value"]);
    check("-Infinity", &["! value"]);
    check("1e999", &["! value"]);
    check("hello", &["! value"]);
    check("true", &["! value"]);
    check(r#""80""#, &["! value"]);
    check(r#"{"value":"80"}"#, &["! value"]);
    check(r#"{"value":null}"#, &["! value"]);
    check(r#"{"value":true}"#, &["! value"]);
    check(r#"{"value":1e999}"#, &["! value"]);
    check(r#"{"value":NaN}"#, &["! syntax"]);
    check(r#"{"sensor_id":"s1"}"#, &["! value"]);
    check("{}", &["! value"]);
    check(r#"{"value":1"#, &["! syntax"]);
    check(r#"{"value":1}}"#, &["! syntax"]);
    check(r#"{"value":1,"value":2}"#, &["! syntax"]);
    check(r#"{"sensor_id":"","value":1}"#, &["! sensor"]);
    check(r#"{"sensor_id":"a+b","value":1}"#, &["! sensor"]);
    check(r#"{"sensor_id":"$SYS","value":1}"#, &["! sensor"]);
    check(r#"{"sensor_id":null,"value":1}"#, &["! sensor"]);
    check(r#"{"sensor_id":["a"],"value":1}"#, &["! sensor"]);
    check(
        &format!(r#"{{"sensor_id":"{}","value":1}}"#, "x".repeat(257)),
        &["! sensor"],
    );
    check(r#"{"a+b":1}"#, &["! sensor"]);
    check(r#"{"value":1,"ts":"soon"}"#, &["! time"]);
    check(r#"{"value":1,"ts":9999999999999}"#, &["! time"]);
    check(r#"{"value":1,"ts":-1}"#, &["! time"]);
    check(&"[".repeat(100_000), &["! syntax"]);
    check(
        &format!(
            "{{\"value\":1,\"deep\":{}{}}}",
            "[".repeat(200),
            "]".repeat(200)
        ),
        &["! syntax"],
    );
}

#[test]
fn a_small_payload_cannot_become_a_large_one() {
    let numbers: String = (0..10_000).map(|n| format!(",\"n{n}\":1")).collect();
    let text = "x".repeat(100_000);
    check(&format!(r#"{{"text":"{text}"{numbers}}}"#), &["! syntax"]);
    let object = format!(r#"{{"text":"{}","a":1,"b":2}}"#, &text[..60_000]);
    let reading = |name: &str| format!(r#"s9/{name} 0 {{"text":"{}"}}"#, &text[..60_000]);
    let (a, b) = (reading("a 1"), reading("b 2"));
    check(
        &format!("[{object},{object},{object}]"),
        &[&a, &b, &a, &b, "! syntax"],
    );
    let ones = "1,".repeat(10_000);
    check(
        &format!(r#"[{ones}{{"value":2}}]"#),
        &["s9 2 0 {}", "! syntax"],
    );
}

#[test]
fn attributes_that_nobody_could_read_are_rejected() {
    check(r#"{"value":1,"x":"\ud800"}"#, &["! syntax"]);
    check(r#"{"value":1,"x":1e999}"#, &["! syntax"]);
    let fine = r#"{"x":"\u00e9","y":1e9}"#;
    check(
        r#"{"value":1,"x":"\u00e9","y":1e9}"#,
        &[&format!("s9 1 0 {fine}")],
    );
}

#[test]
fn bytes_that_are_no_text_are_rejected() {
    let topic = topic();
    let origin = Origin {
        topic: Some(&topic),
        now: NOW,
    };
    let decoded = decode_auto(&[0xff, 0x00], origin);
    assert_eq!(decoded.faults, [(Fault::NotUtf8, None)]);
}

#[test]
fn a_request_is_taken_whole_or_not_at_all() {
    let check = |body: &str, expected: Result<usize, usize>| {
        let found = decode_request(body.as_bytes(), NOW);
        match (&found, expected) {
            (Ok(readings), Ok(count)) => assert_eq!(readings.len(), count, "{body}"),
            (Err(RequestFault::Bad { index, .. }), Err(at)) => assert_eq!(*index, at, "{body}"),
            _ => panic!("{body}: {found:?}"),
        }
    };
    check(r#"{"id":"s1","value":80}"#, Ok(1));
    check(
        r#"[{"id":"s1","value":80},{"sensor_id":"s2","value":1}]"#,
        Ok(2),
    );
    check(
        r#"[{"id":"s1","value":80},{"id":"s2","value":"x"}]"#,
        Err(1),
    );
    check(r#"{"value":80}"#, Err(0));
    check("80", Err(0));
    check("[]", Err(0));
    for broken in ["", "{", "[1,", "nonsense"] {
        let found = decode_request(broken.as_bytes(), NOW);
        assert!(matches!(found, Err(RequestFault::NotJson(_))), "{broken}");
    }
}

#[test]
fn statuses_are_text_or_an_object() {
    let topic = TopicName::new("status/d1").unwrap();
    let origin = Origin {
        topic: Some(&topic),
        now: NOW,
    };
    let read = |payload: &[u8]| decode_status(payload, origin).map(|status| status.status);
    assert_eq!(read(b"online"), Ok("online".into()));
    assert_eq!(read(br#"{"status":"offline","x":1}"#), Ok("offline".into()));
    for bad in [&b""[..], b"\xff", b"{}", br#"{"status":1}"#, b"a\x07b"] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
}
