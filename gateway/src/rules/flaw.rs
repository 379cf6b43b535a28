//! What is wrong with an expression, in words for who wrote it, and which part of it is meant.

use std::ops::Range;

use cel::ParseErrors;

/// One thing that is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// Bytes of its text; `None` for all of it.
    pub(super) meant: Option<Range<usize>>,
    pub(super) message: String,
}

impl Flaw {
    pub(super) fn of_all(message: impl Into<String>) -> Self {
        Self {
            meant: None,
            message: message.into(),
        }
    }

    pub(super) fn at(meant: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self {
            meant,
            message: message.into(),
        }
    }

    /// The first fault of the syntax of `text`: those after it often only follow from it.
    pub(super) fn of_syntax(text: &str, errors: &ParseErrors) -> Self {
        let is_of_grammar = |message: &str| message.starts_with(GRAMMAR);
        let mut all = errors.errors.iter();
        let first = all.find(|error| is_of_grammar(&error.msg));
        let Some(error) = first.or(errors.errors.first()) else {
            return Self::of_all("is no expression");
        };
        let message = error.msg.strip_prefix(GRAMMAR).unwrap_or(&error.msg);
        let meant = if message.contains("'<EOF>'") && !message.contains("expecting <EOF>") {
            let end = text.trim_end().len();
            Some(end..end)
        } else {
            bytes_at(text, error.pos)
        };
        Self::at(meant, in_words(message))
    }
}

/// How the parser begins what it says of tokens in wrong places.
const GRAMMAR: &str = "Syntax error: ";

/// The word, or else the character, at a line and column, which both count from 1; columns count characters.
fn bytes_at(text: &str, (line, column): (isize, isize)) -> Option<Range<usize>> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let begin: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = &text[begin..];
    let from = rest
        .char_indices()
        .nth(column)
        .map_or(rest.len(), |at| at.0);
    let rest = &rest[from..];
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
    let length = rest.chars().next().map_or(0, |c| word.max(c.len_utf8()));
    let start = begin + from;
    Some(start..start + length)
}

/// What the parser says of tokens, without its names for them; what is not known here stays as it is.
fn in_words(message: &str) -> String {
    let quoted = |start: &str| message.strip_prefix(start)?.strip_suffix('\'');
    if message.contains("Recursion limit") {
        return "is nested too deeply: make several rules of it".to_owned();
    }
    if let Some(found) = quoted("token recognition error at: '") {
        return match found.trim() {
            "=" => "`=` compares nothing: write `==`".to_owned(),
            "&" | "|" => format!("`{0}` means nothing: write `{0}{0}`", found.trim()),
            found if found.starts_with(['"', '\'']) => "a text without an end".to_owned(),
            found => format!("`{found}` means nothing here"),
        };
    }
    if let Some(found) = quoted("no viable alternative at input '") {
        return format!("unexpected `{found}`");
    }
    if let Some((missing, found)) = message
        .strip_prefix("missing ")
        .and_then(|rest| rest.split_once(" at "))
    {
        let missing = missing.trim_matches('\'');
        return match found.trim_matches('\'') {
            "<EOF>" => format!("ends too early: expected `{missing}`"),
            found => format!("unexpected `{found}`: expected `{missing}`"),
        };
    }
    let met = ["mismatched input '", "extraneous input '"]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.split_once("' expecting "));
    match met {
        Some(("<EOF>", expected)) => format!("ends too early: {}", expectation(expected)),
        Some((found, expected)) => match OPERATORS.iter().find(|(word, _)| *word == found) {
            Some((_, operator)) => format!("unexpected `{found}`: write `{operator}`"),
            None => format!("unexpected `{found}`: {}", expectation(expected)),
        },
        None => message.to_owned(),
    }
}

/// Words that other languages have for operators.
const OPERATORS: &[(&str, &str)] = &[("and", "&&"), ("or", "||"), ("not", "!")];

/// The parser lists every token that could follow.
fn expectation(tokens: &str) -> String {
    if tokens.contains("IDENTIFIER") {
        return "expected a value".to_owned();
    }
    let closing = [")", "]", "}", ":"]
        .iter()
        .find(|closing| tokens.contains(&format!("'{closing}'")));
    match closing {
        Some(closing) => format!("expected `{closing}`"),
        None if tokens.contains("<EOF>") => "expected an operator or the end".to_owned(),
        None => format!("expected {tokens}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_that_of_the_word_in_bytes() {
        let text = "'é' == x\n\tand ü > 'ü'";
        let check = |position, expected: &str| {
            let meant = bytes_at(text, position).map(|bytes| &text[bytes]);
            assert_eq!(meant, Some(expected), "{position:?}");
        };
        check((1, 1), "'");
        check((1, 8), "x");
        check((2, 2), "and");
        check((2, 6), "ü");
        check((2, 99), "");
        check((99, 1), "");
        assert_eq!(bytes_at(text, (0, 0)), None);
    }

    #[test]
    fn what_the_parser_says_is_said_in_words() {
        let check = |message: &str, expected: &str| assert_eq!(in_words(message), expected);
        check(
            "token recognition error at: '= '",
            "`=` compares nothing: write `==`",
        );
        check("token recognition error at: '@'", "`@` means nothing here");
        check(
            "token recognition error at: ''abc'",
            "a text without an end",
        );
        check(
            "mismatched input 'and' expecting {<EOF>, '=='}",
            "unexpected `and`: write `&&`",
        );
        check(
            "extraneous input ')' expecting <EOF>",
            "unexpected `)`: expected an operator or the end",
        );
        check(
            "mismatched input '<EOF>' expecting {'==', ')'}",
            "ends too early: expected `)`",
        );
        check(
            "mismatched input '<EOF>' expecting {'(', IDENTIFIER}",
            "ends too early: expected a value",
        );
        check("missing ')' at '<EOF>'", "ends too early: expected `)`");
        check("missing ']' at 'x'", "unexpected `x`: expected `]`");
        check("reserved identifier: for", "reserved identifier: for");
    }
}
