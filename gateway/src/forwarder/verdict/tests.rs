use super::*;

/// 2026-11-23T12:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_435_200_000);

fn label(status: u16) -> &'static str {
    let answer = Answer {
        status,
        ..Answer::default()
    };
    judge(&answer, &Expect::default(), NOW).label()
}

#[test]
fn every_status_has_its_verdict() {
    let check = |statuses: &[u16], expected: &str| {
        for status in statuses {
            assert_eq!(label(*status), expected, "{status}");
        }
    };
    check(&[200, 201, 202, 204, 207], "delivered");
    check(&[408, 409, 425, 429, 500, 502, 503, 504, 599], "retry");
    check(
        &[
            301, 302, 307, 308, 401, 402, 403, 404, 405, 406, 407, 410, 415, 418, 451,
        ],
        "held",
    );
    check(&[400, 422], "refused");
    check(&[413], "too_large");
}

#[test]
fn retry_after_is_read_as_seconds_and_as_date() {
    let judged = |text: &str, date: Option<&str>, now: Timestamp| {
        let answer = Answer {
            status: 503,
            retry_after: Some(text),
            date,
            ..Answer::default()
        };
        match judge(&answer, &Expect::default(), now) {
            Verdict::Retry { retry_after, .. } => retry_after.map(|wait| wait.as_secs()),
            other => panic!("{other:?}"),
        }
    };
    let check =
        |text: &str, expected: Option<u64>| assert_eq!(judged(text, None, NOW), expected, "{text}");
    check("120", Some(120));
    check(" 0 ", Some(0));
    check("Mon, 23 Nov 2026 12:02:00 GMT", Some(120));
    check("Thu, 01 Jan 1970 00:02:00 GMT", Some(0));
    check("soon", None);
    check("-5", None);
    check("+5", None);
    check("", None);
    check("18446744073709551616", Some(u64::MAX));
    check(&"9".repeat(100), Some(u64::MAX));
    // The receiver's clock counts, not the one here.
    let date = Some("Mon, 23 Nov 2026 12:00:00 GMT");
    for now in [NOW, Timestamp::MIN] {
        assert_eq!(judged("Mon, 23 Nov 2026 12:00:30 GMT", date, now), Some(30));
        assert_eq!(judged("Mon, 23 Nov 2026 11:00:00 GMT", date, now), Some(0));
        assert_eq!(judged("7", Some("soon"), now), Some(7));
    }
    // One that has not been set tells nothing.
    let unset = Timestamp::from_millis(5000);
    assert_eq!(judged("Mon, 23 Nov 2026 12:02:00 GMT", None, unset), None);
    assert_eq!(
        judged("Mon, 23 Nov 2026 12:02:00 GMT", Some("soon"), unset),
        None
    );
}

#[test]
fn an_answer_must_have_what_is_expected() {
    let check = |status: Option<u16>, pointer: Option<&str>, body: &str, expected: &str| {
        let expect = Expect {
            status,
            pointer: pointer.map(Into::into),
        };
        let answer = Answer {
            status: 200,
            body: body.as_bytes(),
            ..Answer::default()
        };
        assert_eq!(judge(&answer, &expect, NOW).label(), expected, "{body}");
    };
    check(None, None, "<html>", "delivered");
    check(Some(200), None, "<html>", "delivered");
    check(Some(201), None, "{}", "retry");
    check(None, Some("/ok"), "<html>", "retry");
    check(None, Some("/ok"), "{}", "retry");
    check(None, Some("/ok"), r#"{"ok":null}"#, "retry");
    check(None, Some("/ok"), r#"{"ok":false}"#, "retry");
    check(None, Some("/ok"), r#"{"ok":true}"#, "delivered");
    check(None, Some("/ok"), r#"{"ok":0}"#, "delivered");
    check(None, Some("/a/0/b"), r#"{"a":[{"b":"x"}]}"#, "delivered");
    check(Some(200), Some("/ok"), r#"{"ok":1}"#, "delivered");
    check(Some(202), Some("/ok"), r#"{"ok":1}"#, "retry");
}

#[test]
fn rejected_readings_are_named_by_their_ids() {
    let judged = |status: u16, body: &str, is_encoded: bool| {
        let answer = Answer {
            status,
            body: body.as_bytes(),
            is_encoded,
            ..Answer::default()
        };
        judge(&answer, &Expect::default(), NOW)
    };
    let check = |body: &str, expected: &[i64]| match judged(207, body, false) {
        Verdict::Delivered { rejected, refusal } => {
            assert_eq!((refusal.status, &*refusal.body), (207, body));
            assert!(rejected.iter().map(|id| id.0).eq(expected.iter().copied()));
        }
        other => panic!("{other:?}"),
    };
    check(r#"{"rejected":[5,3]}"#, &[3, 5]);
    check(r#"{"rejected":["7",7,5,7]}"#, &[5, 7]);
    for nothing in ["", "{}", r#"{"rejected":0}"#, r#"{"rejected":null}"#] {
        check(nothing, &[]);
    }
    // What cannot be read may name some.
    for unclear in [
        "rejected",
        r#"{"rejected":7}"#,
        r#"{"rejected":["x"]}"#,
        r#"{"rejected":[3.5]}"#,
        r#"{"rejected":[{"id":3}]}"#,
        r#"{"results":[{"id":1,"status":400}]}"#,
        r#"[{"rejected":1}]"#,
    ] {
        assert_eq!(judged(207, unclear, false).label(), "held", "{unclear}");
    }
    check("\u{feff}{\"rejected\":[3]}", &[3]);
    for unclear in [r#"{"rejected":[3,"#, "{\"rejected\":[3]}\n{}"] {
        assert_eq!(judged(200, unclear, false).label(), "held", "{unclear}");
    }
    assert_eq!(judged(200, "<html>rejected", false).label(), "delivered");
    assert_eq!(judged(200, "\u{1f}packed", true).label(), "held");
    let cut = |body: &[u8]| {
        let answer = Answer {
            status: 200,
            body,
            is_cut: true,
            ..Answer::default()
        };
        judge(&answer, &Expect::default(), NOW)
    };
    assert_eq!(cut(b" {\"results\":[1,2,").label(), "held");
    assert_eq!(cut(b"<html>").label(), "delivered");
}

#[test]
fn who_names_readings_of_another_batch_means_something_else() {
    let delivered = |rejected: &[i64]| Verdict::Delivered {
        rejected: rejected.iter().copied().map(ReadingId).collect(),
        refusal: Words::default(),
    };
    let batch: Vec<ReadingId> = (5..8).map(ReadingId).collect();
    assert_eq!(delivered(&[5, 7]).of(&batch), delivered(&[5, 7]));
    assert_eq!(delivered(&[0]).of(&batch).label(), "held");
    assert_eq!(delivered(&[5, 8]).of(&batch).label(), "held");
}

#[test]
fn of_a_long_answer_the_beginning_is_kept() {
    let body = "é".repeat(2000);
    let answer = Answer {
        status: 422,
        body: body.as_bytes(),
        ..Answer::default()
    };
    let Verdict::Refused(words) = judge(&answer, &Expect::default(), NOW) else {
        panic!("422 refuses");
    };
    assert_eq!((words.status, &*words.body), (422, &*"é".repeat(512)));
}
