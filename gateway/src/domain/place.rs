//! Where something was written: in which part of a text, on which line of a file, in which variable.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text with a name, as a file has them.
#[derive(PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    text: Box<str>,
    /// Where each line begins; never empty, and only growing.
    lines: Box<[usize]>,
}

impl Source {
    /// Takes in a text. Whoever reads of a fault knows it by `name`.
    pub fn new(name: Arc<str>, text: &str) -> Self {
        let ends = text.bytes().enumerate();
        let after = ends.filter_map(|(at, byte)| (byte == b'\n').then_some(at + 1));
        Self {
            name,
            text: text.into(),
            lines: std::iter::once(0).chain(after).collect(),
        }
    }

    /// The line with this number, which counts from 1, without its end. Empty beyond the text.
    pub fn line(&self, number: usize) -> &str {
        let begin = number.checked_sub(1).and_then(|at| self.lines.get(at));
        let begin = begin.map_or(self.text.len(), |begin| *begin);
        let line = self.text[begin..].split('\n').next().unwrap_or_default();
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// The number of the line in which a byte lies.
    fn line_at(&self, byte: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= byte)
    }
}

/// Without the text: it may hold secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name).finish()
    }
}

/// A part of a text. It may be empty, as at the end of a line where something is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    source: Arc<Source>,
    bytes: Range<usize>,
}

impl Part {
    /// The part of these bytes, cut to what there is of them.
    pub fn new(source: Arc<Source>, bytes: Range<usize>) -> Self {
        let text = &source.text;
        let whole = |byte: usize| {
            let mut byte = byte.min(text.len());
            while !text.is_char_boundary(byte) {
                byte -= 1;
            }
            byte
        };
        let (start, end) = (whole(bytes.start), whole(bytes.end));
        Self {
            bytes: start..end.max(start),
            source,
        }
    }

    /// The text that it is a part of.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// What stands there.
    pub fn text(&self) -> &str {
        &self.source.text[self.bytes.clone()]
    }

    /// A part of this one; `bytes` count from its beginning.
    pub fn within(&self, bytes: Range<usize>) -> Self {
        let begin = self.bytes.start;
        Self::new(
            Arc::clone(&self.source),
            begin + bytes.start..begin + bytes.end,
        )
    }

    /// The number of the line in which it begins, from 1 on.
    pub fn line(&self) -> usize {
        self.source.line_at(self.bytes.start)
    }

    /// The whole line in which it begins.
    pub fn whole_line(&self) -> &str {
        self.source.line(self.line())
    }

    /// The bytes of that line that belong to it.
    pub fn in_line(&self) -> Range<usize> {
        let begin = self.source.lines[self.line() - 1];
        let length = self.whole_line().len();
        let at = |byte: usize| (byte - begin).min(length);
        at(self.bytes.start)..at(self.bytes.end)
    }

    /// Where it begins in that line, in characters from 1 on, as editors count them: a tab is one.
    pub fn column(&self) -> usize {
        let before = &self.whole_line()[..self.in_line().start];
        before.trim_start_matches('\u{feff}').chars().count() + 1
    }
}

/// Where something was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    #[default]
    Defaults,
    /// A line of a file; 0 is the file as a whole.
    File {
        path: Arc<str>,
        line: usize,
    },
    /// A part of a file that was read as a text.
    Part(Part),
    Environment(Box<str>),
}

impl Place {
    /// The number of the line, if there is one.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::File { line, .. } => Some(*line).filter(|line| 0 < *line),
            Self::Part(part) => Some(part.line()),
            Self::Defaults | Self::Environment(_) => None,
        }
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Part(part) => Some(&part.source.name),
            Self::Defaults | Self::Environment(_) => None,
        }
    }

    /// The part of a text that it is, if that is known.
    pub fn part(&self) -> Option<&Part> {
        match self {
            Self::Part(part) => Some(part),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("defaults"),
            Self::File { path, line: 0 } => f.write_str(path),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Part(part) => {
                write!(f, "{}:{}:{}", part.source.name, part.line(), part.column())
            }
            Self::Environment(name) => write!(f, "environment {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\u{feff}a = 1\r\n\n\tü = 'x'\nlast";

    #[track_caller]
    fn check(what: &str, line: usize, column: usize, in_line: Range<usize>, whole: &str) {
        let source = Arc::new(Source::new("f".into(), TEXT));
        let begin = TEXT.find(what).unwrap();
        let part = Part::new(source, begin..begin + what.len());
        assert_eq!(
            Place::Part(part.clone()).to_string(),
            format!("f:{line}:{column}")
        );
        assert_eq!((part.in_line(), part.whole_line()), (in_line, whole));
        assert_eq!(part.text(), what);
    }

    #[test]
    fn a_part_knows_its_line_and_column() {
        check("a = 1", 1, 1, 3..8, "\u{feff}a = 1");
        check("1\r\n\n", 1, 5, 7..8, "\u{feff}a = 1");
        check("'x'", 3, 6, 6..9, "\tü = 'x'");
        check("ast", 4, 2, 1..4, "last");
    }

    #[test]
    fn what_is_beyond_the_text_or_within_a_character_is_cut() {
        let source = Arc::new(Source::new("f".into(), TEXT));
        let part = |bytes| Part::new(Arc::clone(&source), bytes);
        let end = part(500..900);
        assert_eq!((end.text(), end.line(), end.column()), ("", 4, 5));
        assert_eq!(part(1..2).text(), "");
        assert_eq!(source.line(99), "");
        assert_eq!(part(3..8).within(4..99).text(), &TEXT[7..]);
    }

    #[test]
    fn the_text_is_not_in_what_developers_print() {
        let part = Part::new(Arc::new(Source::new("f".into(), "secret")), 0..6);
        assert!(!format!("{part:?}").contains("secret"), "{part:?}");
    }
}
