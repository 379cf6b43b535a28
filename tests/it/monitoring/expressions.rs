//! What a PromQL expression names: metrics, and the labels and values that it asks for.

use std::collections::BTreeSet;

use super::exposition::{Exposition, Series};

/// Labels that Prometheus adds.
const ADDED: &[&str] = &["instance", "job", "le"];
/// Metrics of Prometheus itself.
const FOREIGN: &[&str] = &["up", "ALERTS"];
const WORDS: &[&str] = &["and", "or", "unless", "bool", "offset", "inf", "nan"];
/// They have a list of labels behind them.
const LISTING: &[&str] = &[
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

/// Label, operator and value.
type Matcher<'e> = (&'e str, &'e str, &'e str);

#[derive(Debug, Default, PartialEq, Eq)]
struct Named<'e> {
    metrics: Vec<(&'e str, Vec<Matcher<'e>>)>,
    listed: BTreeSet<&'e str>,
}

/// What is named and not there.
pub(super) fn faults(expression: &str, found: &Exposition) -> Vec<String> {
    let named = read(expression);
    let mut faults = Vec::new();
    let mut labels: BTreeSet<&str> = ADDED.iter().copied().collect();
    let mut has_foreign = false;
    for (metric, matchers) in &named.metrics {
        if FOREIGN.contains(metric) {
            has_foreign = true;
            continue;
        }
        let Some(family) = found.family_of(metric) else {
            faults.push(format!("there is no {metric}"));
            continue;
        };
        let family = &found.families[&family];
        labels.extend(family.labels());
        for (label, operator, value) in matchers {
            if ADDED.contains(label) {
                continue;
            }
            if !family.labels().contains(label) {
                faults.push(format!("{metric} has no label {label}"));
            }
            let is_pattern = operator.contains('~');
            let wanted = value
                .split('|')
                .filter(|_| is_pattern)
                .chain((!is_pattern).then_some(*value));
            for value in wanted {
                let meets = |found: &str| match value.strip_suffix(".*") {
                    Some(start) if is_pattern => found.starts_with(start),
                    _ => found == value,
                };
                let has =
                    |(_, labels): &Series| labels.get(*label).is_some_and(|found| meets(found));
                // Uplinks and rules have any names.
                let is_free = ["uplink", "rule"].contains(label);
                if !is_free && !family.series.iter().any(has) {
                    faults.push(format!("{metric} has no {label}={value}"));
                }
            }
        }
    }
    if !has_foreign {
        let strange = named.listed.difference(&labels);
        faults.extend(strange.map(|label| format!("none of these has a label {label}")));
    }
    faults
}

fn read(expression: &str) -> Named<'_> {
    let mut named = Named::default();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = &rest[..rest.find(|c| !is_of_word(c)).unwrap_or(rest.len())];
        if first == '"' {
            let end = rest[1..].find('"').expect(expression);
            rest = &rest[end + 2..];
        } else if first == '[' {
            rest = &rest[rest.find(']').expect(expression) + 1..];
        } else if word.is_empty() {
            rest = &rest[first.len_utf8()..];
        } else {
            rest = rest[word.len()..].trim_start();
            if first.is_ascii_digit() {
                // `1h` and `200e6` are no names.
            } else if LISTING.contains(&word) {
                if let Some((list, behind)) =
                    rest.strip_prefix('(').and_then(|list| list.split_once(')'))
                {
                    let labels = list.split(',').map(str::trim);
                    named
                        .listed
                        .extend(labels.filter(|label| !label.is_empty()));
                    rest = behind;
                }
            } else if rest.starts_with('{') {
                let (matchers, behind) = matchers(&rest[1..]);
                named.metrics.push((word, matchers));
                rest = behind;
            } else if !rest.starts_with('(')
                && !WORDS.contains(&word)
                && !is_aggregation(word, rest)
            {
                named.metrics.push((word, Vec::new()));
            }
        }
        rest = rest.trim_start();
    }
    named
}

/// `sum by (x) (…)`: its parentheses come later.
fn is_aggregation(word: &str, rest: &str) -> bool {
    ["sum", "min", "max", "avg", "count"].contains(&word)
        && ["by", "without"]
            .iter()
            .any(|listing| rest.starts_with(listing))
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Up to the brace that closes, and what comes behind it. No value of ours has a quotation mark in it.
fn matchers(mut rest: &str) -> (Vec<Matcher<'_>>, &str) {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\n']);
        if let Some(behind) = rest.strip_prefix('}') {
            return (found, behind);
        }
        let (label, behind) = rest.split_at(rest.find(|c| !is_of_word(c)).expect(rest));
        let (operator, behind) = behind.split_once('"').expect(rest);
        let (value, behind) = behind.split_once('"').expect(rest);
        found.push((label.trim(), operator.trim(), value));
        rest = behind;
    }
}

#[test]
fn names_are_told_from_words_functions_labels_and_texts() {
    let text = r#"sum by (le, a) (rate(x_bucket{b!~"c|{d}", e="f"}[5m])) > 1e3 and on (g) y offset 1h or label_replace(z, "h", "$1", "i", "(.*)") unless w{}"#;
    let named = read(text);
    assert_eq!(named.listed, BTreeSet::from(["a", "g", "le"]));
    let x = ("x_bucket", vec![("b", "!~", "c|{d}"), ("e", "=", "f")]);
    let others = ["y", "z", "w"].map(|name| (name, Vec::new()));
    assert_eq!(named.metrics[0], x);
    assert_eq!(named.metrics[1..], others);
}

#[test]
fn what_is_not_there_is_found() {
    let text = "# HELP x_total X.\n# TYPE x_total counter\nx_total{a=\"1\"} 0\nx_total{a=\"uplink:c\"} 0\n\
                # HELP h H.\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n";
    let found = Exposition::read(text);
    let check = |expression: &str, expected: &[&str]| {
        assert_eq!(faults(expression, &found), expected, "{expression}");
    };
    check(
        r#"rate(x_total{a="1"}[1m]) + on (a) x_total{a!~"uplink:.*",job="j"}"#,
        &[],
    );
    check(
        "histogram_quantile(0.5, sum by (le) (h_bucket)) / h_sum / h_count",
        &[],
    );
    check("h + x", &["there is no h", "there is no x"]);
    check("x_total_sum", &["there is no x_total_sum"]);
    check(
        r#"x_total{b="1"}"#,
        &["x_total has no label b", "x_total has no b=1"],
    );
    check(r#"x_total{a=~"1|2"}"#, &["x_total has no a=2"]);
    check("sum by (b) (x_total)", &["none of these has a label b"]);
}
