//! The line of a fault, with a mark under what is meant, in the style of compilers.
//!
//! Every character counts as one column, and a tab as those of [`TAB`]: what a terminal shows wider or narrower
//! (Chinese, combining accents) moves the mark by as much. Nothing that would move the cursor, or turn the line around,
//! is repeated.

use std::fmt;
use std::ops::Range;

use crate::domain::place::Part;

/// The most columns that are shown of a line, and of what stands before the mark where it is cut.
const WIDTH: usize = 100;
const BEFORE: usize = 40;

/// What is shown for a tab.
const TAB: &str = "    ";

/// Stands for what is left out.
const CUT: char = '…';

/// A line and what of it is marked, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// `None` where the line is of no file.
    number: Option<usize>,
    text: String,
    /// Columns before the mark, and those under which it stands; at least one of these.
    indent: usize,
    width: usize,
}

impl Excerpt {
    /// The line in which `part` begins.
    pub(super) fn of(part: &Part) -> Self {
        Self::new(Some(part.line()), part.whole_line(), part.in_line())
    }

    /// The same up to the end of `part`: what follows is not shown.
    pub(super) fn up_to_end_of(part: &Part) -> Self {
        let (line, marked) = (part.whole_line(), part.in_line());
        let mut excerpt = Self::new(Some(part.line()), &line[..marked.end], marked.clone());
        if marked.end < line.len() {
            excerpt.text.push(CUT);
        }
        excerpt
    }

    /// A text that stands in no file, with the line in which the bytes `marked` begin.
    pub(super) fn of_text(text: &str, marked: &Range<usize>) -> Self {
        let begin = text[..marked.start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[begin..].split('\n').next().unwrap_or_default();
        let at = |byte: usize| (byte - begin).min(line.len());
        Self::new(None, line, at(marked.start)..at(marked.end))
    }

    fn new(number: Option<usize>, line: &str, marked: Range<usize>) -> Self {
        let (before, after) = line.split_at(marked.start);
        let is_long = |text: &str, most: usize| most < text.chars().take(most + 1).count();
        let mut columns = Columns::default();
        if is_long(line, WIDTH) && is_long(before, BEFORE) {
            let (from, _) = before
                .char_indices()
                .rev()
                .nth(BEFORE - 1)
                .unwrap_or_default();
            columns.text.push(CUT);
            columns.count += 1;
            columns.push(&before[from..]);
        } else {
            columns.push(before);
        }
        let indent = columns.count;
        let (meant, rest) = after.split_at(marked.len());
        columns.push(meant);
        let width = columns.count - indent;
        columns.push(rest);
        Self {
            number,
            text: columns.text,
            indent,
            width: width.max(1),
        }
    }
}

/// A line as it is shown, so far.
#[derive(Default)]
struct Columns {
    text: String,
    count: usize,
    is_full: bool,
}

impl Columns {
    /// Takes `text` up to the width of a line.
    fn push(&mut self, text: &str) {
        for c in text.chars() {
            if self.is_full {
                return;
            }
            if WIDTH <= self.count {
                self.text.push(CUT);
                self.is_full = true;
                return;
            }
            match c {
                '\t' => {
                    self.text.push_str(TAB);
                    self.count += TAB.len();
                }
                '\u{feff}' if self.count == 0 => {}
                c => {
                    let is_harmless = !c.is_control() && !turns_the_line(c);
                    self.text.push(if is_harmless { c } else { '\u{fffd}' });
                    self.count += 1;
                }
            }
        }
    }
}

/// Whether what follows `c` would be shown in another order.
fn turns_the_line(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number.map(|number| number.to_string());
        let number = number.unwrap_or_default();
        let gutter = number.len().max(1);
        let Self { indent, width, .. } = self;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(
            f,
            "{}",
            format!("{number:gutter$} | {}", self.text).trim_end()
        )?;
        write!(f, "{:gutter$} | {:indent$}{:^<width$}", "", "", "")
    }
}

#[cfg(test)]
mod tests;
