use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::*;
use crate::domain::place::Source;

/// Finds `wanted` in the text of the string `written`, and checks where that was written.
#[track_caller]
fn check(written: &str, wanted: &str, expected: &str) {
    let document = format!("# ü\nwhen = {written} # x");
    let (root, errors) = DeTable::parse_recoverable(&document);
    assert!(errors.is_empty(), "{written}: {errors:?}");
    let value = &root.get_ref()["when"];
    let DeValue::String(text) = value.get_ref() else {
        panic!("{written} is no string");
    };
    let source = Arc::new(Source::new("f".into(), &document));
    let literal = Part::new(source, value.span());
    let start = text.find(wanted).unwrap();
    let part = part_of(&literal, text, &(start..start + wanted.len())).unwrap();
    assert_eq!(part.text(), expected, "{written}");
}

#[test]
fn a_part_is_found_in_strings_of_every_kind() {
    check(r#""value > 1""#, "value", "value");
    check(r#""'ü' == valeu""#, "valeu", "valeu");
    check("'value > \"\\u0041\" + x'", "x", "x");
    check("'value\t> ü'", "ü", "ü");
    check("\"\"\"\nvalue\n  > x\"\"\"", "x", "x");
    check("\"\"\"value > x\"\"\"", "value", "value");
    check("'''\r\nvalue\r\n > x'''", "x", "x");
    check("'''\nit's x'''", "x", "x");
    check("''''x' == y'''", "y", "y");
}

#[test]
fn an_escape_counts_as_what_it_stands_for() {
    check(r#""topic == \"a\" && x""#, "x", "x");
    check(r#""'\u00fc\U0001F600\x41\t\\' == x""#, "x", "x");
    check(r#""'\u00fc' == 1""#, "ü", r"\u00fc");
    check(r#""\u0078 > 1""#, "x", r"\u0078");
    check(r#""a\nb""#, "b", "b");
}

#[test]
fn lines_that_are_joined_count_as_one() {
    check("\"\"\"\nvalue \\\n    > x\"\"\"", "x", "x");
    check("\"\"\"\nvalue \\  \n\n  \\\n  > x\"\"\"", "> x", "> x");
    check("\"\"\"\\\n  value\"\"\"", "value", "value");
    check("\"\"\"val\\\n  eu\"\"\"", "valeu", "val\\\n  eu");
    check("'''\nvalue \\\n > x'''", "x", "x");
}

#[test]
fn nothing_at_the_end_stands_before_the_quotes() {
    let source = Arc::new(Source::new("f".into(), "\"\\u0041 >\""));
    let literal = Part::new(source, 0..10);
    let part = part_of(&literal, "A >", &(3..3)).unwrap();
    assert_eq!((part.text(), part.column()), ("", 10));
    let part = part_of(&literal, "A >", &(0..0)).unwrap();
    assert_eq!(part.column(), 2);
}

#[test]
fn what_is_no_string_has_no_parts() {
    let source = Arc::new(Source::new("f".into(), "value"));
    assert_eq!(part_of(&Part::new(source, 0..5), "value", &(0..5)), None);
}
