//! What is wrong with a configuration: every fault with its place, and the list of them all.

use std::{collections::BTreeSet, fmt, io, ops::Range, path::Path, sync::Arc};

use crate::config::excerpt::Excerpt;
use crate::config::{AccessFiles, Config, Tls, Uplink, literal, secrecy};
use crate::domain::place::Place;
use crate::domain::rule::{Expression, RuleDefinition};

/// So many faults are told with their excerpts.
const MOST_EXCERPTS: usize = 100;

/// One thing that the operator has to put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where the value stands.
    pub place: Place,
    /// The rule that it is in, if that has a name.
    pub rule: Option<Arc<str>>,
    /// The path of the key, `mqtt.listen`; within `rule`, if there is one. Empty where no key is at fault.
    pub key: String,
    /// What was expected and what was found instead, or what is the cure.
    pub message: String,
    /// The line, unless there is none, or it may hold a secret.
    pub excerpt: Option<Box<Excerpt>>,
}

impl Fault {
    /// A fault whose line is not shown.
    pub fn new(place: Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place,
            rule: None,
            key: key.into(),
            message: message.into(),
            excerpt: None,
        }
    }

    /// The fault of a file that `key` names and that cannot be read.
    pub fn unreadable(path: &Path, key: &str, error: &io::Error) -> Self {
        let place = Place::File {
            path: path.display().to_string().into(),
            line: 0,
        };
        Self::new(place, key, format!("cannot be read: {error}"))
    }

    /// A fault of an expression of `rule`: of the bytes `meant` of its text, or of all of it.
    pub fn of_expression(
        rule: &Arc<str>,
        key: &str,
        expression: &Expression,
        meant: Option<Range<usize>>,
        message: impl Into<String>,
    ) -> Self {
        let text = &*expression.text;
        let meant = meant.unwrap_or(0..text.len());
        let part = expression.place.part();
        let written = part.and_then(|literal| literal::part_of(literal, text, &meant));
        let (place, excerpt) = match written {
            Some(part) => {
                let excerpt = Excerpt::of(&part);
                (Place::Part(part), excerpt)
            }
            None => (expression.place.clone(), Excerpt::of_text(text, &meant)),
        };
        Self {
            rule: Some(Arc::clone(rule)),
            excerpt: Some(Box::new(excerpt)),
            ..Self::new(place, key, message)
        }
    }

    /// The same with its whole line.
    pub(super) fn with_line(mut self) -> Self {
        self.excerpt = self.place.part().map(Excerpt::of).map(Box::new);
        self
    }

    /// All of it but the line.
    pub fn headline(&self) -> String {
        let mut parts = vec![self.place.to_string()];
        parts.extend(self.rule.as_ref().map(|rule| format!("rule `{rule}`")));
        parts.extend(Some(self.key.clone()).filter(|key| !key.is_empty()));
        parts.push(self.message.clone());
        parts.join(": ")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        match &self.excerpt {
            Some(excerpt) => write!(f, "\n{excerpt}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// Faults one below the other.
pub fn listed(faults: &[Fault]) -> String {
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    faults.join("\n")
}

/// Those of files first: one file after the other, by their lines. So that nobody's mistakes become a flood, only the
/// first of many keep their excerpts.
pub fn in_order(mut faults: Vec<Fault>) -> Vec<Fault> {
    let mut files: Vec<String> = Vec::new();
    for path in faults.iter().filter_map(|fault| fault.place.path()) {
        if !files.iter().any(|file| file == path) {
            files.push(path.to_owned());
        }
    }
    faults.sort_by_key(|Fault { place, .. }| {
        let file = files.iter().position(|file| place.path() == Some(file));
        match place {
            Place::Environment(name) => (1, 0, 0, name.to_string()),
            Place::Defaults => (2, 0, 0, String::new()),
            place => (
                0,
                file.unwrap_or_default(),
                place.line().unwrap_or_default(),
                String::new(),
            ),
        }
    });
    for fault in faults.iter_mut().skip(MOST_EXCERPTS) {
        fault.excerpt = None;
    }
    faults
}

/// Every fault of a configuration, those of the file first and in its order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    pub list: Vec<Fault>,
    /// The rules that have none of them: whether their conditions compile is for `rules` to say.
    pub rules: Vec<RuleDefinition>,
    /// What could be read of them: whether their files hold what they should is for each uplink to say.
    pub uplinks: Box<[Uplink]>,
    /// The files whose faults are for `access` to find.
    pub access_files: Box<AccessFiles>,
    /// The certificates of broker and API, whose faults are for `tls` to find.
    pub tls: Box<[Option<Tls>; 2]>,
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self {
            list: vec![fault],
            rules: Vec::new(),
            uplinks: Box::default(),
            access_files: Box::default(),
            tls: Box::default(),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&listed(&self.list))
    }
}

impl std::error::Error for Faults {}

/// The faults found so far.
#[derive(Default)]
pub(super) struct Findings {
    faults: Vec<Fault>,
    /// Lines that are not TOML: what the parser guessed there deserves no second fault.
    broken_lines: BTreeSet<usize>,
}

impl Findings {
    /// Takes the first syntax fault of each line; those after it only follow from it.
    pub(super) fn add_syntax(&mut self, fault: Fault) {
        let line = fault.place.line();
        if line.is_none_or(|line| self.broken_lines.insert(line)) {
            self.faults.push(fault);
        }
    }

    /// Whether a syntax fault was found in `line` of the file.
    pub(super) fn is_broken(&self, line: usize) -> bool {
        self.broken_lines.contains(&line)
    }

    /// Takes a fault of a value.
    pub(super) fn add(&mut self, fault: Fault) {
        let line = fault.place.line();
        if !line.is_some_and(|line| self.is_broken(line)) {
            self.faults.push(fault);
        }
    }

    /// Takes the fault of a key that is absent, unless it may stand in a line that could not be read.
    pub(super) fn add_missing(&mut self, fault: Fault) {
        if self.broken_lines.is_empty() {
            self.faults.push(fault);
        }
    }

    /// Gives `checked` out if nothing was found.
    pub(super) fn into_result(self, checked: Config) -> Result<Config, Faults> {
        let list = self.into_list();
        if list.is_empty() {
            return Ok(checked);
        }
        Err(Faults {
            list,
            rules: checked.rules,
            uplinks: checked.uplinks.into(),
            access_files: Box::new(checked.mqtt.access_files),
            tls: Box::new([checked.mqtt.tls, checked.http.tls]),
        })
    }

    /// The rules of a text or file that has nothing else of interest, unless something was found.
    pub(super) fn into_rules(
        self,
        rules: Vec<RuleDefinition>,
    ) -> Result<Vec<RuleDefinition>, Faults> {
        let list = self.into_list();
        if list.is_empty() {
            return Ok(rules);
        }
        Err(Faults {
            list,
            rules,
            uplinks: Box::default(),
            access_files: Box::default(),
            tls: Box::default(),
        })
    }

    /// All that was found, in the order of the file.
    pub(super) fn into_list(self) -> Vec<Fault> {
        let mut faults = in_order(self.faults);
        if self.broken_lines.is_empty() {
            return faults;
        }
        for fault in &mut faults {
            let is_shown = fault.excerpt.is_some();
            if is_shown && !fault.place.part().is_some_and(secrecy::is_harmless) {
                fault.excerpt = None;
            }
        }
        faults
    }
}
