//! Topic names and topic filters, with the matching rules of MQTT 5.0, section 4.7 (the same in 3.1.1).

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// The most levels of a topic name or filter: what walks them recurses, and remembers each.
pub const MAX_LEVELS: usize = 200;

/// The longest topic name or filter, in bytes (a UTF-8 string of MQTT, section 1.5.4).
pub const MAX_BYTES: usize = 65_535;

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A topic that messages are published to: no wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TopicName(Arc<str>);

/// A pattern of topics: `+` stands for one level, a last `#` for the rest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TopicFilter(Arc<str>);

/// Why a text is no topic name or no topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("has more than {MAX_LEVELS} levels")]
    TooManyLevels,
    /// U+0000 is forbidden (MQTT 5.0, section 1.5.4); the others may be refused there, and clients do refuse them.
    #[error("contains a control character")]
    ControlCharacter,
    #[error("contains a wildcard")]
    Wildcard,
    #[error("has `+` beside other characters of its level")]
    MisplacedPlus,
    #[error("has `#` elsewhere than alone in the last level")]
    MisplacedHash,
    /// MQTT 5.0, section 4.8.2.
    #[error("has no group without wildcards and a filter after `$share/`")]
    ShareName,
}

impl TopicName {
    /// Checks `text`: not empty, at most [`MAX_BYTES`] and [`MAX_LEVELS`], no control character, no wildcard.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check_text(text)?;
        if text.contains(['+', '#']) {
            return Err(TopicError::Wildcard);
        }
        Ok(Self(text.into()))
    }

    /// The text of the topic.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether only the gateway itself speaks there: under `alerts` and `$SYS`.
    pub fn is_own(text: &str) -> bool {
        let first = text.split('/').next();
        matches!(first, Some("alerts" | "$SYS"))
    }

    /// What stands after the last `/`.
    pub fn last_level(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl TopicFilter {
    /// Checks `text` (MQTT 5.0, section 4.7.1).
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check_text(text)?;
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            let last = levels.peek().is_none();
            if level.contains('#') && (level != "#" || !last) {
                return Err(TopicError::MisplacedHash);
            }
            if level.contains('+') && level != "+" {
                return Err(TopicError::MisplacedPlus);
            }
        }
        Ok(Self(text.into()))
    }

    /// The text of the filter.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What all of its topics begin with: the text before the first wildcard, without the `/` that a last `#` makes
    /// optional.
    pub fn literal_prefix(&self) -> &str {
        let wildcard = self.0.find(['+', '#']).unwrap_or(self.0.len());
        let prefix = &self.0[..wildcard];
        if self.0[wildcard..].starts_with('#') {
            prefix.strip_suffix('/').unwrap_or(prefix)
        } else {
            prefix
        }
    }

    /// Whether `topic` is one of this filter's. A wildcard in the first level does not stand for a
    /// level that begins with `$` (MQTT 5.0, section 4.7.2).
    pub fn matches(&self, topic: &TopicName) -> bool {
        let topic = topic.as_str();
        if topic.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = topic.split('/');
        for wanted in self.0.split('/') {
            if wanted == "#" {
                return true;
            }
            match levels.next() {
                Some(level) if wanted == "+" || wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// Whether every topic that `other` matches is one of this filter's.
    pub fn covers(&self, other: &Self) -> bool {
        if other.0.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        // No topic is empty, so that these are the same.
        let other = match &*other.0 {
            "#" => "+/#",
            "/#" => "/+/#",
            other => other,
        };
        let mut levels = other.split('/');
        for wanted in self.0.split('/') {
            if wanted == "#" {
                return true;
            }
            match levels.next() {
                Some("#") | None => return false,
                Some(level) if wanted == "+" || wanted == level => {}
                Some(_) => return false,
            }
        }
        levels.next().is_none()
    }
}

fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if MAX_BYTES < text.len() {
        return Err(TopicError::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(TopicError::ControlCharacter);
    }
    if MAX_LEVELS < text.split('/').count() {
        return Err(TopicError::TooManyLevels);
    }
    Ok(())
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_specification_says() {
        let check = |filter: &str, topic: &str, expected: bool| {
            let matched = TopicFilter::new(filter)
                .unwrap()
                .matches(&TopicName::new(topic).unwrap());
            assert_eq!(matched, expected, "{filter} and {topic}");
        };
        check("sport/tennis/player1/#", "sport/tennis/player1", true);
        check(
            "sport/tennis/player1/#",
            "sport/tennis/player1/ranking",
            true,
        );
        check("sport/#", "sport", true);
        check("#", "a/b/c", true);
        check("sport/+", "sport", false);
        check("sport/+", "sport/", true);
        check("+/+", "/finance", true);
        check("/+", "/finance", true);
        check("+", "/finance", false);
        check("#", "$SYS/broker", false);
        check("+/broker", "$SYS/broker", false);
        check("$SYS/#", "$SYS/broker", true);
        check("a/b", "a/b/c", false);
        check("传感器/+", "传感器/1", true);
    }

    /// All texts of up to `most` levels out of `levels`.
    fn texts(levels: &[&str], most: usize) -> Vec<String> {
        let mut all: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
        let mut longest = all.clone();
        for _ in 1..most {
            let longer = longest.iter().flat_map(|start| {
                let extend = move |level: &&str| format!("{start}/{level}");
                levels.iter().map(extend)
            });
            longest = longer.collect();
            all.extend_from_slice(&longest);
        }
        all
    }

    /// Topics one level deeper than the filters, with a level that no filter names, tell all filters apart.
    #[test]
    fn a_filter_covers_another_if_it_matches_all_its_topics() {
        let filters: Vec<TopicFilter> = texts(&["a", "", "$x", "+", "#"], 3)
            .iter()
            .filter_map(|text| TopicFilter::new(text).ok())
            .collect();
        let topics: Vec<TopicName> = texts(&["a", "", "$x", "$other", "other"], 4)
            .iter()
            .filter_map(|text| TopicName::new(text).ok())
            .collect();
        let matched: Vec<Vec<bool>> = filters
            .iter()
            .map(|filter| topics.iter().map(|topic| filter.matches(topic)).collect())
            .collect();
        for (filter, ours) in filters.iter().zip(&matched) {
            for (other, theirs) in filters.iter().zip(&matched) {
                let expected = ours.iter().zip(theirs).all(|(ours, theirs)| ours >= theirs);
                assert_eq!(filter.covers(other), expected, "{filter} and {other}");
            }
        }
    }

    #[test]
    fn malformed_filters_and_names_are_refused() {
        let filter = |text: &str| TopicFilter::new(text).map(drop);
        assert_eq!(filter(""), Err(TopicError::Empty));
        assert_eq!(filter("a/#/b"), Err(TopicError::MisplacedHash));
        assert_eq!(filter("a#"), Err(TopicError::MisplacedHash));
        assert_eq!(filter("a/b+"), Err(TopicError::MisplacedPlus));
        assert_eq!(filter("a\0"), Err(TopicError::ControlCharacter));
        assert_eq!(filter(&"/".repeat(200)), Err(TopicError::TooManyLevels));
        assert_eq!(filter(&"/".repeat(199)), Ok(()));
        assert_eq!(filter(&"x".repeat(65_536)), Err(TopicError::TooLong));
        let name = |text: &str| TopicName::new(text).map(drop);
        assert_eq!(name("a/+"), Err(TopicError::Wildcard));
        assert_eq!(name("étage/1"), Ok(()));
    }
}
