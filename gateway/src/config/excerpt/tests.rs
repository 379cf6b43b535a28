use std::sync::Arc;

use super::*;
use crate::domain::place::Source;

/// Shows the part of `text` between `«` and `»`.
fn shown(text: &str) -> String {
    let start = text.find('«').unwrap();
    let end = text.find('»').unwrap() - '«'.len_utf8();
    let text = text.replace(['«', '»'], "");
    Excerpt::of(&Part::new(
        Arc::new(Source::new("f".into(), &text)),
        start..end,
    ))
    .to_string()
}

#[test]
fn the_mark_stands_under_what_is_meant() {
    let check = |text: &str, expected: [&str; 3]| {
        assert_eq!(shown(text), expected.join("\n"), "{text:?}");
    };
    check(
        "when = \"«valeu» > 75\"",
        ["  |", "1 | when = \"valeu > 75\"", "  |         ^^^^^"],
    );
    let after_eleven = "\n".repeat(11) + "a = «1»\nb = 2";
    check(&after_eleven, ["   |", "12 | a = 1", "   |     ^"]);
    // A character is a column, whatever its bytes; a tab is four.
    check(
        "\tü = \t«'é'»",
        ["  |", "1 |     ü =     'é'", "  |             ^^^"],
    );
    check("a = '«\t»'", ["  |", "1 | a = '    '", "  |      ^^^^"]);
    check("\u{feff}«a» = 1", ["  |", "1 | a = 1", "  | ^"]);
    // Where something is missing at the end, or the line is empty, one mark is enough.
    check("a =«»", ["  |", "1 | a =", "  |    ^"]);
    check("a =«»\r\nb", ["  |", "1 | a =", "  |    ^"]);
    check("a\n«»\nb", ["  |", "2 |", "  | ^"]);
    check("«»", ["  |", "1 |", "  | ^"]);
    // What goes on in other lines is marked up to the end of its first.
    check("a = «[1,\n2]»", ["  |", "1 | a = [1,", "  |     ^^^"]);
}

#[test]
fn a_place_past_the_end_is_the_end() {
    let source = Arc::new(Source::new("f".into(), "a = 1\nb"));
    let excerpt = Excerpt::of(&Part::new(source, 90..95));
    assert_eq!(excerpt.to_string(), "  |\n2 | b\n  |  ^");
}

#[test]
fn a_long_line_is_cut_around_the_mark() {
    let check = |before: usize, meant: usize, after: usize, expected: &str| {
        let line = "a".repeat(before) + "«" + &"b".repeat(meant) + "»" + &"c".repeat(after);
        let shown = shown(&line);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1], format!("1 | {expected}"));
        let place = |of: &str, mark: char| of.chars().position(|c| c == mark);
        assert_eq!(place(lines[1], 'b'), place(lines[2], '^'), "{shown}");
        let count = |of: &str, mark: char| of.matches(mark).count();
        assert_eq!(count(lines[1], 'b'), count(lines[2], '^'), "{shown}");
    };
    let (a, b, c) = (|n| "a".repeat(n), |n| "b".repeat(n), |n| "c".repeat(n));
    check(60, 5, 35, &(a(60) + &b(5) + &c(35)));
    check(60, 5, 36, &format!("…{}{}{}", a(40), b(5), c(36)));
    check(60, 5, 99, &format!("…{}{}{}…", a(40), b(5), c(54)));
    check(10, 5, 1000, &format!("{}{}{}…", a(10), b(5), c(85)));
    check(2000, 5, 0, &format!("…{}{}", a(40), b(5)));
    check(2000, 500, 9, &format!("…{}{}…", a(40), b(59)));
    check(0, 500, 0, &format!("{}…", b(100)));
}

#[test]
fn what_tabs_push_beyond_the_width_is_marked_at_its_end() {
    let check = |before: String, columns: usize, cut: &str| {
        let shown = shown(&(before + "«x» y"));
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[1].starts_with(&format!("1 | {cut}")), "{shown}");
        assert_eq!(lines[2], format!("  | {}^", " ".repeat(columns)), "{shown}");
    };
    check("\t".repeat(25), 100, "    ");
    check("a".to_owned() + &"\t".repeat(30), 101, "a    ");
    check("a".repeat(100) + &"\t".repeat(40), 101, "…    ");
}

#[test]
fn nothing_moves_the_cursor_or_turns_the_line() {
    let shown = shown("a\u{1b}[2J\u{202e} «b» \r c");
    assert_eq!(
        shown,
        "  |\n1 | a\u{fffd}[2J\u{fffd} b \u{fffd} c\n  |        ^"
    );
}

#[test]
fn a_text_of_no_file_is_shown_without_a_number() {
    let check = |text: &str, marked: Range<usize>, expected: &str| {
        assert_eq!(Excerpt::of_text(text, &marked).to_string(), expected);
    };
    check("valeu > 1", 0..5, "  |\n  | valeu > 1\n  | ^^^^^");
    check("'ü' == x", 8..9, "  |\n  | 'ü' == x\n  |        ^");
    check("a &&\n  b\n", 7..8, "  |\n  |   b\n  |   ^");
    check("a &&\n  b", 0..8, "  |\n  | a &&\n  | ^^^^");
}

#[test]
fn what_follows_may_be_left_out() {
    let text = "password = 's3cr3t'";
    let source = Arc::new(Source::new("f".into(), text));
    let excerpt = Excerpt::up_to_end_of(&Part::new(source, 0..8)).to_string();
    assert_eq!(excerpt, "  |\n1 | password…\n  | ^^^^^^^^");
}
