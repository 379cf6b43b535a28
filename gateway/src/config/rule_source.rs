//! Where rules come from while the gateway runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::fault::{Faults, Findings};
use crate::config::section::Section;
use crate::config::value::Table;
use crate::config::{Config, document, environment, rules};
use crate::domain::place::Place;
use crate::domain::rule::RuleDefinition;

/// What rules that were sent are called in faults.
const SENT: &str = "rules";

/// The files and variables that a configuration was read from, and what its rules may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSource {
    path: Option<PathBuf>,
    environment: Vec<(String, String)>,
    uplinks: Vec<Arc<str>>,
    rules_file: Option<PathBuf>,
}

/// Rules that somebody sent, as they will stand in the rules file.
#[derive(Debug)]
pub struct SentRules {
    toml: String,
    /// Whether it is the very text that was sent, so that its lines mean something to who sent it.
    is_verbatim: bool,
}

impl SentRules {
    /// Those of a TOML text.
    pub fn from_toml(toml: String) -> Self {
        Self {
            toml,
            is_verbatim: true,
        }
    }

    /// Those of JSON: a list of objects with the keys of `[[rule]]`, alone or as `items` or `rules`.
    pub fn from_json(mut json: serde_json::Value) -> Result<Self, String> {
        let list = match &mut json {
            serde_json::Value::Object(object) => {
                let named = ["items", "rules", "rule"]
                    .iter()
                    .find_map(|name| object.remove(*name));
                named.ok_or("expected a list of rules, or one as `items`")?
            }
            other => other.take(),
        };
        if !list.is_array() {
            return Err("expected a list of rules".to_owned());
        }
        let toml = toml::to_string(&serde_json::json!({ "rule": list }));
        Ok(Self {
            toml: toml.map_err(|error| error.to_string())?,
            is_verbatim: false,
        })
    }

    /// The text for the rules file.
    pub fn into_toml(self) -> String {
        self.toml
    }
}

impl RuleSource {
    /// That of `config`, which was read from `path` and `environment`.
    pub(super) fn new(
        path: Option<&Path>,
        environment: Vec<(String, String)>,
        config: &Config,
    ) -> Self {
        Self {
            path: path.map(Path::to_owned),
            environment,
            uplinks: config
                .uplinks
                .iter()
                .map(|uplink| Arc::clone(&uplink.name))
                .collect(),
            rules_file: config.rules_file.clone(),
        }
    }

    /// The file that may be replaced.
    pub fn rules_file(&self) -> Option<&Path> {
        self.rules_file.as_deref()
    }

    /// The rules as they stand there now. Of other sections nothing is looked at.
    pub fn read(&self) -> Result<Vec<RuleDefinition>, Faults> {
        let mut findings = Findings::default();
        let mut root = match &self.path {
            Some(path) => document::read(path, &mut findings).map_err(Faults::from)?,
            None => Table::new(),
        };
        let environment = self.environment.iter().cloned();
        environment::merge(&mut root, environment, &mut findings);
        let file = self.rules_file();
        let rules = rules::read(
            &mut Section::root(root, &mut findings),
            &self.uplinks(),
            file,
        );
        findings.into_rules(rules)
    }

    /// The rules of the text of a file, which is called `name`.
    pub fn parse(&self, text: &str, name: &Arc<str>) -> Result<Vec<RuleDefinition>, Faults> {
        let mut findings = Findings::default();
        let table = document::parse(text, name, &mut findings);
        self.check(table, findings)
    }

    /// The rules that somebody sent.
    pub fn parse_sent(&self, sent: &SentRules) -> Result<Vec<RuleDefinition>, Faults> {
        let name: Arc<str> = SENT.into();
        if sent.is_verbatim {
            return self.parse(&sent.toml, &name);
        }
        let mut findings = Findings::default();
        let place = Place::File {
            path: name,
            line: 0,
        };
        let table = document::parse_made(&sent.toml, &place, &mut findings);
        self.check(table, findings)
    }

    fn check(&self, table: Table, mut findings: Findings) -> Result<Vec<RuleDefinition>, Faults> {
        let rules = rules::read_alone(table, &self.uplinks(), &mut findings);
        findings.into_rules(rules)
    }

    fn uplinks(&self) -> Vec<&str> {
        self.uplinks.iter().map(|name| &**name).collect()
    }
}
