//! What is wrong with a configuration: every fault with its place, and the list of them all.

use std::{collections::BTreeSet, fmt, io, path::Path};

use crate::config::{AccessFiles, Config, Tls, Uplink};
use crate::domain::place::Place;
use crate::domain::rule::RuleDefinition;

/// One thing that the operator has to put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where the value stands. Line 0 means the file as a whole.
    pub place: Place,
    /// The path of the key, `mqtt.listen`; empty where no key is at fault.
    pub key: String,
    /// What was expected and what was found instead, or what is the cure.
    pub message: String,
}

impl Fault {
    /// The fault of a file that `key` names and that cannot be read.
    pub fn unreadable(path: &Path, key: &str, error: &io::Error) -> Self {
        Self {
            place: Place::File {
                path: path.display().to_string().into(),
                line: 0,
            },
            key: key.to_owned(),
            message: format!("cannot be read: {error}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { path, line: 0 } => write!(f, "{path}: ")?,
            place => write!(f, "{place}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// Every fault of a configuration, those of the file first and in its order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    pub list: Vec<Fault>,
    /// The rules that have none of them: whether their conditions compile is for `rules` to say.
    pub rules: Vec<RuleDefinition>,
    /// What could be read of them: whether their files hold what they should is for each uplink to say.
    pub uplinks: Box<[Uplink]>,
    /// The files whose faults are for `access` to find.
    pub access_files: AccessFiles,
    /// The certificates whose faults are for `tls` to find.
    pub tls: Option<Box<Tls>>,
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self {
            list: vec![fault],
            rules: Vec::new(),
            uplinks: Box::default(),
            access_files: AccessFiles::default(),
            tls: None,
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.list.iter().enumerate() {
            if 0 < index {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
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
        let first = match fault.place {
            Place::File { line, .. } => self.broken_lines.insert(line),
            _ => true,
        };
        if first {
            self.faults.push(fault);
        }
    }

    /// Whether a syntax fault was found in `line` of the file.
    pub(super) fn is_broken(&self, line: usize) -> bool {
        self.broken_lines.contains(&line)
    }

    /// Takes a fault of a value.
    pub(super) fn add(&mut self, fault: Fault) {
        let guessed = match fault.place {
            Place::File { line, .. } => self.is_broken(line),
            _ => false,
        };
        if !guessed {
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
            access_files: checked.mqtt.access_files,
            tls: checked.mqtt.tls.map(Box::new),
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
            access_files: AccessFiles::default(),
            tls: None,
        })
    }

    /// All that was found, in the order of the file.
    pub(super) fn into_list(mut self) -> Vec<Fault> {
        self.faults.sort_by_key(|fault| match &fault.place {
            Place::Environment(name) => (1, 0, name.to_string()),
            Place::Defaults => (2, 0, String::new()),
            place => (0, place.line().unwrap_or_default(), String::new()),
        });
        self.faults
    }
}
