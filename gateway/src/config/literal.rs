//! A string of TOML as it was written: which part of it became which part of its text.

use std::ops::Range;

use crate::domain::place::Part;

/// The part of `literal`, a string with its quotes, that became the bytes `wanted` of `text`. `None` if it is no such
/// string.
pub(super) fn part_of(literal: &Part, text: &str, wanted: &Range<usize>) -> Option<Part> {
    let written = literal.text();
    let quotes = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quotes| written.starts_with(quotes))?;
    let mut walk = Walk {
        written,
        at: quotes.len(),
        has_escapes: quotes.starts_with('"'),
    };
    if quotes.len() == 3 {
        walk.skip_newline();
    }
    let (mut start, mut end) = (None, None);
    for (byte, c) in text.char_indices() {
        if wanted.end <= byte && end.is_some() {
            break;
        }
        walk.skip_joined_lines();
        if wanted.start <= byte {
            start.get_or_insert(walk.at);
        }
        walk.skip(c);
        end = Some(walk.at);
    }
    // What is wanted at the end of the text stands before the quotes.
    let start = start.unwrap_or(walk.at);
    let end = if wanted.is_empty() {
        start
    } else {
        end.unwrap_or(start)
    };
    Some(literal.within(start..end))
}

/// A walk along a string, one character of its text at a time.
struct Walk<'w> {
    written: &'w str,
    at: usize,
    has_escapes: bool,
}

impl Walk<'_> {
    fn rest(&self) -> &str {
        &self.written[self.at..]
    }

    /// The newline right after three quotes is not of the text.
    fn skip_newline(&mut self) {
        let rest = self.rest();
        if rest.starts_with("\r\n") {
            self.at += 2;
        } else if rest.starts_with('\n') {
            self.at += 1;
        }
    }

    /// A backslash at the end of a line takes the blanks after it, and before the next text, out of it.
    fn skip_joined_lines(&mut self) {
        while self.has_escapes
            && let Some(blank) = self.rest().strip_prefix('\\')
            && blank.starts_with([' ', '\t', '\r', '\n'])
        {
            let text = blank.trim_start_matches([' ', '\t', '\r', '\n']);
            self.at = self.written.len() - text.len();
        }
    }

    /// Skips what became `c`.
    fn skip(&mut self, c: char) {
        let rest = self.rest();
        let escape = rest.strip_prefix('\\').filter(|_| self.has_escapes);
        let length = match escape.and_then(|escape| escape.chars().next()) {
            Some('u') => "\\u0000".len(),
            Some('U') => "\\U00000000".len(),
            Some('x') => "\\x00".len(),
            Some(other) => 1 + other.len_utf8(),
            None => c.len_utf8(),
        };
        let end = (self.at + length).min(self.written.len());
        if self.written.is_char_boundary(end) {
            self.at = end;
        }
    }
}

#[cfg(test)]
mod tests;
