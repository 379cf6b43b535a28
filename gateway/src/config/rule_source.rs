//! Where rules come from while the gateway runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::fault::{Faults, Findings};
use crate::config::section::Section;
use crate::config::value::Table;
use crate::config::{Config, document, environment, rules};
use crate::domain::rule::RuleDefinition;

/// The files and variables that a configuration was read from, and what its rules may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSource {
    path: Option<PathBuf>,
    environment: Vec<(String, String)>,
    uplinks: Vec<Arc<str>>,
    rules_file: Option<PathBuf>,
}

/// The TOML text of rules in JSON: a list of objects with the keys of `[[rule]]`, alone or as `items` or `rules`.
pub fn rules_to_toml(mut json: serde_json::Value) -> Result<String, String> {
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
    let text = toml::to_string(&serde_json::json!({ "rule": list }));
    text.map_err(|error| error.to_string())
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

    /// The rules of a text, which `name` stands for in faults.
    pub fn parse(&self, text: &str, name: &Arc<str>) -> Result<Vec<RuleDefinition>, Faults> {
        let mut findings = Findings::default();
        let rules = rules::parse(text, name, &self.uplinks(), &mut findings);
        findings.into_rules(rules)
    }

    fn uplinks(&self) -> Vec<&str> {
        self.uplinks.iter().map(|name| &**name).collect()
    }
}
