//! What the operator decided, read and checked before anything starts: one file a section, raw in, checked out.
//! A room receives its own section, never the whole. All faults are reported at once, each with its place;
//! what a value means is never guessed, and no key is silently ignored.

mod acl;
mod document;
mod doors;
mod environment;
mod excerpt;
mod fault;
mod gateway_id;
mod http;
mod ingest;
mod kinds;
mod leftover;
mod limits;
mod listener;
mod literal;
mod mqtt;
mod quantity;
mod rule_source;
mod rules;
mod secrecy;
mod section;
mod store;
mod suggestion;
mod tls;
mod uplink;
mod uplink_url;
mod value;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::config::doors::Doors;
use crate::config::fault::Findings;
use crate::config::quantity::LONGEST;
use crate::config::section::Section;
use crate::config::value::Table;
use crate::domain::rule::RuleDefinition;

pub use crate::config::acl::{AccessList, AccessRule, Effect, Operation};
pub use crate::config::excerpt::Excerpt;
pub use crate::config::fault::{Fault, Faults, in_order, listed};
pub use crate::config::http::Http;
pub use crate::config::ingest::{Ingest, PayloadFormat};
pub use crate::config::kinds::is_name;
pub use crate::config::limits::Limits;
pub use crate::config::listener::Anonymous;
pub use crate::config::mqtt::{AccessFiles, Mqtt};
pub use crate::config::quantity::parse_duration;
pub use crate::config::rule_source::{RuleSource, SentRules};
pub use crate::config::store::{Store, WhenFull};
pub use crate::config::suggestion::nearest;
pub use crate::config::tls::{Tls, TlsFiles};
pub use crate::config::uplink::{
    Compression, Expect, Format, Header, HeaderValue, MqttUplink, Uplink, UplinkFiles,
};
pub use crate::config::uplink_url::Broker;

/// The whole configuration, free of faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// 1 to 64 of `[A-Za-z0-9._-]`. Default: the host name, made to fit.
    pub gateway_id: Arc<str>,
    /// How long a stop may take before what is still running is cut off. Default: 10 s.
    pub shutdown_grace: Duration,
    /// How the broker is reached and what a client may cost.
    pub mqtt: Mqtt,
    /// How the API is reached.
    pub http: Http,
    /// Which topics are readings and statuses.
    pub ingest: Ingest,
    /// Where and how often is written.
    pub store: Store,
    /// `[cloud]` first. None: readings to forward wait in the outbox.
    pub uplinks: Vec<Uplink>,
    /// If it is there, its rules stand in the place of those of the configuration.
    pub rules_file: Option<PathBuf>,
    /// In the order of the file; no two have the same name. Their conditions are not compiled yet.
    pub rules: Vec<RuleDefinition>,
    /// Where they are read from again.
    pub rule_source: RuleSource,
}

impl Config {
    /// Reads the file at `path` (none: the defaults), puts the variables `EDGE_GATEWAY_…` over it and checks it all.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Faults> {
        let mut findings = Findings::default();
        let root = match path {
            Some(path) => document::read(path, &mut findings).map_err(Faults::from)?,
            None => Table::new(),
        };
        let folder = path.and_then(Path::parent).unwrap_or(Path::new(""));
        let environment: Vec<_> = environment.collect();
        let mut config = Self::check(root, environment.iter().cloned(), folder, findings)?;
        config.rule_source = RuleSource::new(path, environment, &config);
        Ok(config)
    }

    fn check(
        mut root: Table,
        environment: impl Iterator<Item = (String, String)>,
        folder: &Path,
        mut findings: Findings,
    ) -> Result<Self, Faults> {
        environment::merge(&mut root, environment, &mut findings);
        let config = Self::read(Section::root(root, &mut findings), folder);
        findings.into_result(config)
    }

    fn read(mut root: Section<'_>, folder: &Path) -> Self {
        let grace = Duration::from_secs(10);
        let gateway_id = gateway_id::read(&mut root);
        let mut mqtt = Mqtt::read(root.section_or_empty("mqtt"), folder);
        let http = Http::read(root.section_or_empty("http"), folder);
        mqtt.access_files.tokens.clone_from(&http.token_file);
        let doors = Doors::of(&mqtt, &http);
        let uplinks = uplink::read(&mut root, folder, &gateway_id, &doors);
        let names: Vec<_> = uplinks.iter().map(|uplink| &*uplink.name).collect();
        let rules_file = root.setting("rules_file", None, kinds::path(folder)).value;
        let rules = rules::read(&mut root, &names, rules_file.as_deref());
        let config = Self {
            gateway_id,
            shutdown_grace: root
                .setting(
                    "shutdown_grace",
                    grace,
                    kinds::duration(Duration::ZERO..=LONGEST),
                )
                .value,
            mqtt,
            http,
            ingest: Ingest::read(root.section_or_empty("ingest")),
            store: Store::read(root.section_or_empty("store")),
            uplinks,
            rules_file,
            rules,
            rule_source: RuleSource::default(),
        };
        root.finish();
        config
    }
}

#[cfg(test)]
mod tests;
