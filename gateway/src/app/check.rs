//! What is checked before anything is opened: rules, users and ACL, certificates, uplinks.

use std::sync::Arc;

use super::StartError;
use crate::access::Access;
use crate::config::{self, Anonymous, Config, Fault, Faults, Tls, in_order, listed};
use crate::domain::rule::RuleDefinition;
use crate::forwarder::{Uplink, UplinkError};
use crate::rules::RuleSet;
use crate::tls::{self, FileFault};

/// What is checked before anything is opened.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) rules: RuleSet,
    pub(super) access: Arc<Access>,
    pub(super) tls: Option<Arc<tls::Server>>,
    pub(super) http_tls: Option<Arc<tls::Server>>,
    pub(super) uplinks: Vec<Uplink>,
}

/// Compiles the rules, reads users, ACL and certificates and sets up the uplink, as a start would, without opening anything.
pub fn check(config: &Config) -> Result<(), StartError> {
    prepare(config).map(drop)
}

/// Every fault of a configuration, those of its rules' conditions and of the files that it names with them.
pub fn explain(faults: &Faults) -> String {
    let mut list = faults.list.clone();
    let access = Access::open((*faults.access_files).clone(), Anonymous::Never);
    if let Err(more) = examine(
        &faults.rules,
        &faults.uplinks,
        access,
        faults.tls.each_ref().map(Option::as_ref),
    ) {
        list.extend(more);
    }
    listed(&in_order(list))
}

/// Checks all of a configuration that has no faults of its own.
pub(super) fn prepare(config: &Config) -> Result<Checked, StartError> {
    let mqtt = &config.mqtt;
    let access = Access::open(mqtt.access_files.clone(), mqtt.anonymous);
    let tls = [mqtt.tls.as_ref(), config.http.tls.as_ref()];
    examine(&config.rules, &config.uplinks, access, tls).map_err(StartError::Configuration)
}

fn examine(
    rules: &[RuleDefinition],
    uplinks: &[config::Uplink],
    access: Result<Access, Vec<Fault>>,
    tls: [Option<&Tls>; 2],
) -> Result<Checked, Vec<Fault>> {
    let (mut ready, mut unready) = (Vec::new(), Vec::new());
    for config in uplinks {
        match Uplink::new(config) {
            Ok(uplink) => ready.push(uplink),
            Err(error) => unready.push(uplink_fault(config, &error)),
        }
    }
    let uplinks = if unready.is_empty() {
        Ok(ready)
    } else {
        Err(unready)
    };
    let open = |door: &str, tls: Option<&Tls>| {
        let server = tls.map(|tls| {
            let server = tls::Server::open(tls.files.clone());
            server.map_err(|fault| certificate_fault(door, tls, &fault))
        });
        server.transpose().map(|server| server.map(Arc::new))
    };
    let [mqtt, http] = tls;
    let (tls, http_tls) = (open("mqtt", mqtt), open("http", http));
    match (RuleSet::compile(rules), uplinks, access, tls, http_tls) {
        (Ok(rules), Ok(uplinks), Ok(access), Ok(tls), Ok(http_tls)) => Ok(Checked {
            rules,
            access: Arc::new(access),
            tls,
            http_tls,
            uplinks,
        }),
        (engine, uplinks, access, tls, http_tls) => {
            let mut faults = engine.err().unwrap_or_default();
            faults.extend(uplinks.err().into_iter().flatten());
            faults.extend(tls.err().into_iter().chain(http_tls.err()));
            faults.extend(access.err().into_iter().flatten());
            Err(faults)
        }
    }
}

fn uplink_fault(config: &config::Uplink, error: &UplinkError) -> Fault {
    let section = &config.name;
    match error {
        UplinkError::File(fault) => {
            let place = config.files.place_of(fault.key);
            Fault::new(place, format!("{section}.{}", fault.key), fault.to_string())
        }
        other => Fault::new(config.place.clone(), &**section, other.to_string()),
    }
}

fn certificate_fault(door: &str, tls: &Tls, fault: &FileFault) -> Fault {
    let key = format!("{door}.tls.{}", fault.key);
    Fault::new(tls.place.clone(), key, fault.to_string())
}
