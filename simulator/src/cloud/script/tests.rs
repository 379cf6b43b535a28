//! Tests of the script.

use std::time::Duration;

use super::*;

fn plan(json: &str) -> Plan {
    serde_json::from_str(json).unwrap()
}

#[test]
fn steps_are_taken_in_order_and_then_the_default() {
    let script = Script::new();
    script.push(Step::status(503).times(NonZeroU32::new(2).unwrap()));
    script.push(Step::status(429).retry_after("2"));
    script.set_default(Step::status(204));
    assert_eq!(script.remaining(), 3);
    let statuses: Vec<u16> = (0..5).map(|_| script.next().status).collect();
    assert_eq!(statuses, [503, 503, 429, 204, 204]);
    script.clear();
    assert_eq!(script.next(), Step::default());
}

#[test]
fn a_plan_is_read_from_json() {
    let script = Script::new();
    script
        .replace(plan(
            r#"{"steps":[{"status":503,"retry_after":"2","delay_ms":100,"times":3,"body":"later"},
                {"hang":true},{"close":true},{"store_then_fail":true}],"default":{"status":202}}"#,
        ))
        .unwrap();
    let expected = Step::status(503)
        .retry_after("2")
        .delay(Duration::from_millis(100))
        .body("later");
    let first = script.next();
    assert_eq!(first, expected.times(NonZeroU32::new(3).unwrap()));
    script.next();
    script.next();
    assert_eq!(script.next(), Step::hang());
    assert_eq!(script.next(), Step::close());
    assert_eq!(script.next(), Step::store_then_fail());
    assert_eq!(script.next(), Step::status(202));
}

#[test]
fn what_cannot_be_done_is_refused() {
    let refusal = |json: &str| plan(json).check().unwrap_err();
    assert_eq!(
        refusal(r#"{"default":{"status":99}}"#),
        PlanError::Status(99)
    );
    assert_eq!(
        refusal(r#"{"steps":[{"hang":true,"close":true}]}"#),
        PlanError::Contradiction
    );
    assert_eq!(
        refusal(r#"{"steps":[{"retry_after":"1\r\nx"}]}"#),
        PlanError::RetryAfter("1\r\nx".to_owned())
    );
    assert!(serde_json::from_str::<Plan>(r#"{"steps":[{"times":0}]}"#).is_err());
    assert!(serde_json::from_str::<Plan>(r#"{"step":[]}"#).is_err());
}

#[test]
fn refusals_depend_on_the_readings() {
    let script = Script::new();
    let of = |sensors: &[&'static str]| script.refusal(sensors.iter().copied());
    assert_eq!(of(&["s1", "bad"]), None);
    script.set_poison_sensors(["bad"]);
    assert_eq!(of(&["s1", "bad"]), Some(422));
    assert_eq!(of(&["s1", "s2"]), None);
    script.set_max_readings(Some(1));
    assert_eq!(of(&["s1", "bad"]), Some(413));
    assert_eq!(of(&["bad"]), Some(422));
}

#[test]
fn a_change_is_told() {
    let script = Script::new();
    let changes = script.changes();
    assert!(!changes.has_changed().unwrap());
    script.push(Step::hang());
    assert!(changes.has_changed().unwrap());
}
