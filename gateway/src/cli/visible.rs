//! Text of others on a terminal: whatever a sensor calls itself, it moves no cursor and turns no line around.

use std::fmt::Write as _;

/// The text with what is not seen, or changes how other text is seen, written as JSON escapes it.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            escape(&mut shown, c);
        } else {
            shown.push(c);
        }
    }
    shown
}

/// JSON on one line, with the same characters escaped: they can stand only in texts, where that means the same. What JSON
/// allows between its parts becomes a space.
pub(super) fn visible_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' | '\r' | '\t' => shown.push(' '),
            c if is_hidden(c) => escape(&mut shown, c),
            c => shown.push(c),
        }
    }
    shown
}

fn escape(shown: &mut String, c: char) {
    let mut units = [0; 2];
    for unit in c.encode_utf16(&mut units) {
        // Writing into a text does not fail.
        write!(shown, "\\u{unit:04x}").ok();
    }
}

/// Controls, line and paragraph separators, and what sets the direction of text (UAX #9).
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_obey() {
        let check = |text: &str, expected: &str| assert_eq!(visible(text), expected, "{text:?}");
        check("étage/1 传感器", "étage/1 传感器");
        check("a\u{1b}[2Jb", "a\\u001b[2Jb");
        check("a\u{9b}2J\u{7f}", "a\\u009b2J\\u007f");
        check("\u{202e}abc\u{feff}", "\\u202eabc\\ufeff");
    }

    #[test]
    fn json_stays_the_same_on_one_line() {
        let json = "{\"a\":\r\n\t\"\u{9b}2J\u{202e}\", \"b\": 80.0}";
        let shown = visible_json(json);
        assert_eq!(shown, "{\"a\":   \"\\u009b2J\\u202e\", \"b\": 80.0}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&shown), read(json));
    }
}
