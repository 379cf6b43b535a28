//! Faults as compilers tell them: with file, rule, line and column, the line itself, and a mark under what is meant.

use std::fs;

use serde_json::{Value, json};

use crate::support::http::put;
use crate::support::program::{finish, run_with};
use crate::support::{Site, command, signal, wait_until};

const RULES: &str = "/api/v1/rules";

/// A file with one fault a rule, in each way to write a text.
const FILE: &str = r#"[[rule]]
name = "high"
when = "valeu > 75"
actions = ["alert"]
[[rule]]
name = "escaped"
when = "topic == \"k\u00fcche\" && tpoic == 'x'"
actions = ["alert"]
[[rule]]
name = "literal"
when = 'sensor_id == "kü" &&	value >'
actions = ["alert"]
[[rule]]
name = "lines"
when = """
  value > 1 \
    && siez(topic) > 1"""
actions = ["alert"]
[[rule]]
name = "grouped"
when = "value > 1"
clear = '''
value + 1.0
'''
group_by = "sensor_id.matches('(')"
actions = ["alert"]
[[rule]]
name = "worded"
when = "value > 1"
for = "soon"
colour = "red"
actions = ["alert", "explode"]
"#;

/// What is told of each: place, rule, key and the beginning of the message; the line; and the mark.
const TOLD: &[(&str, &str, &str)] = &[
    (
        "3:9: rule `high`: when: unknown name `valeu`, did you mean `value`? Known are value, ",
        " 3 | when = \"valeu > 75\"",
        "   |         ^^^^^",
    ),
    (
        "7:36: rule `escaped`: when: unknown name `tpoic`, did you mean `topic`?",
        " 7 | when = \"topic == \\\"k\\u00fcche\\\" && tpoic == 'x'\"",
        "   |                                    ^^^^^",
    ),
    (
        "11:37: rule `literal`: when: ends too early: expected a value",
        "11 | when = 'sensor_id == \"kü\" &&    value >'",
        "   |                                        ^",
    ),
    (
        "17:8: rule `lines`: when: unknown function `siez`, did you mean `size`?",
        "17 |     && siez(topic) > 1\"\"\"",
        "   |        ^^^^",
    ),
    (
        "23:1: rule `grouped`: clear: gives float and not a bool",
        "23 | value + 1.0",
        "   | ^^^^^^^^^^^",
    ),
    (
        "25:31: rule `grouped`: group_by: is no pattern: unclosed group",
        "25 | group_by = \"sensor_id.matches('(')\"",
        "   |                               ^^^",
    ),
    (
        "30:7: rule `worded`: for: expected a duration from ",
        "30 | for = \"soon\"",
        "   |       ^^^^^^",
    ),
    (
        "31:1: rule `worded`: colour: unknown key",
        "31 | colour = \"red\"",
        "   | ^^^^^^",
    ),
    (
        "32:21: rule `worded`: actions: expected \"alert\", ",
        "32 | actions = [\"alert\", \"explode\"]",
        "   |                     ^^^^^^^^^",
    ),
];

/// Checks that `told` is every fault of [`FILE`], which is called `name`, and nothing else.
#[track_caller]
fn check_told(told: &str, name: &str) {
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 4 * TOLD.len(), "{told}");
    for (lines, (start, shown, mark)) in lines.chunks(4).zip(TOLD) {
        assert!(lines[0].starts_with(&format!("{name}:{start}")), "{told}");
        // The gutter is as wide as the number.
        let is_short = lines[1] == "  |";
        let of_number = |line: &str| line[usize::from(is_short)..].to_owned();
        assert_eq!(lines[1], of_number("   |"), "{told}");
        assert_eq!(lines[2], of_number(shown), "{told}");
        assert_eq!(lines[3], of_number(mark), "{told}");
    }
}

#[test]
fn each_fault_of_a_rule_is_told_with_its_line_and_a_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    fs::write(&path, FILE).unwrap();
    for arguments in [&["check"][..], &["run"], &[], &["rules", "test"]] {
        let ended = run_with(&path, arguments);
        assert_eq!(ended.code, Some(64), "{ended:?}");
        check_told(&ended.stderr, &path.display().to_string());
    }
    let sound = Site::new();
    let rules = sound.path("new.toml");
    fs::write(&rules, FILE).unwrap();
    let rules = rules.display().to_string();
    let ended = run_with(&sound.config(), &["rules", "test", "--rules", &rules]);
    assert_eq!(ended.code, Some(64), "{ended:?}");
    check_told(&ended.stderr, &rules);
}

#[test]
fn an_expression_of_a_variable_is_shown_itself() {
    let mut command = command();
    command.arg("check").env(
        "EDGE_GATEWAY_RULE",
        "[{ name = \"r\", when = \"value > 1 and value < 5\", actions = [\"alert\"] }]",
    );
    let ended = finish(command);
    assert_eq!(ended.code, Some(64));
    let expected = "environment EDGE_GATEWAY_RULE: rule `r`: when: unexpected `and`: write `&&`\n  |\n  \
                    | value > 1 and value < 5\n  |           ^^^\n";
    assert_eq!(ended.stderr, expected);
}

#[test]
fn rules_that_are_sent_are_answered_with_each_fault_in_its_parts() {
    let site = Site::new().environment("EDGE_GATEWAY_RULES_FILE", "rules.toml");
    let gateway = site.start();
    let answer = put(&gateway, RULES, "application/toml", FILE);
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(answer.content_type(), "application/problem+json");
    let problem = answer.json();
    check_told(problem["detail"].as_str().unwrap(), "rules");
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), TOLD.len());
    let of_escaped = json!({
        "line": 7, "column": 36, "rule": "escaped", "key": "when",
        "message": errors[1]["message"],
        "excerpt": "  |\n7 | when = \"topic == \\\"k\\u00fcche\\\" && tpoic == 'x'\"\n  |                                    ^^^^^",
    });
    assert_eq!(errors[1], of_escaped);
    let message = errors[1]["message"].as_str().unwrap();
    assert!(message.starts_with("unknown name `tpoic`, did you mean `topic`?"));
    assert_eq!(problem["faults"].as_array().unwrap().len(), TOLD.len());
    assert_eq!(problem["faults"][1]["line"], 7);

    gateway.stop();
}

#[test]
fn who_sends_json_gets_no_lines_but_the_expression() {
    let site = Site::new().environment("EDGE_GATEWAY_RULES_FILE", "rules.toml");
    let gateway = site.start();
    let rules = json!([
        {"name": "r", "when": "value > 1", "for": "soon", "actions": ["alert"]},
        {"name": "s", "when": "value > 1 &&\n valeu < 5", "actions": ["alert"]},
        {"when": "true", "actions": ["alert"]},
    ]);
    let answer = put(&gateway, RULES, "application/json", &rules.to_string());
    assert_eq!(answer.status, 422, "{answer:?}");
    let problem = answer.json();
    let parts = |error: &Value| -> Value {
        let names = ["line", "column", "rule", "key", "excerpt"];
        names.iter().map(|name| error[name].clone()).collect()
    };
    let found: Vec<Value> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(parts)
        .collect();
    let expected = [
        json!([null, null, "r", "for", null]),
        json!([null, null, null, "rule[3].name", null]),
        json!([null, null, "s", "when", "  |\n  |  valeu < 5\n  |  ^^^^^"]),
    ];
    assert_eq!(found, expected, "{problem}");
    assert_eq!(problem["faults"][0]["line"], Value::Null);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("rules: rule `r`: for: expected a duration"),
        "{detail}"
    );
    gateway.stop();
}

#[test]
fn rules_that_cannot_be_reloaded_are_told_in_the_log() {
    let site = Site::new()
        .environment("EDGE_GATEWAY_RULES_FILE", "rules.toml")
        .allow(&["rules stay as they were"]);
    let gateway = site.start();
    fs::write(site.path("rules.toml"), FILE).unwrap();
    signal(gateway.pid(), "HUP");
    wait_until("the faults are told", || {
        gateway.log().contains("rules stay as they were")
    });
    let log = gateway.log();
    let line = log
        .lines()
        .find(|line| line.contains("rules stay as they were"));
    let entry: Value = serde_json::from_str(line.unwrap()).unwrap();
    let path = site.path("rules.toml").display().to_string();
    check_told(entry["faults"].as_str().unwrap(), &path);
    gateway.stop();
}

#[test]
fn a_fault_beside_a_secret_does_not_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let text = "[cloud]\nurl = \"https://user:s3cr3t@x/\"\ntimeout = 5\nulr = \"s3cr3t\"\n\
                [cloud.headers]\nauthorization = \"s3cr3t\"\n";
    fs::write(&path, text).unwrap();
    let ended = run_with(&path, &["check"]);
    ended.is_refused(
        64,
        &[
            "toml:2:7: cloud.url: ",
            "3 | timeout = 5\n",
            "4 | ulr…\n",
            "toml:6:17: ",
        ],
    );
    assert!(!ended.stderr.contains("s3cr3t"), "{}", ended.stderr);
}
