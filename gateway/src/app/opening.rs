//! Opening the store, with what is read of it at once.

use std::sync::Arc;

use super::{StartError, clock};
use crate::config::Config;
use crate::domain::{alert::Alert, uplink::CLOUD};
use crate::ingest::Decoder;
use crate::store::{Damage, StoreError, Writer, risks, sessions::BrokerState};

/// What the file system under the store cannot promise.
pub fn store_risks(config: &Config) -> Vec<String> {
    risks(&config.store.path)
}

/// What is known from the store at the start.
pub(super) struct Known {
    /// What is owed to clients.
    pub(super) state: BrokerState,
    /// What reads what they send.
    pub(super) decoder: Arc<Decoder>,
}

/// Opens the store, and tells of readings that wait for nobody.
pub(super) fn open_store(config: &Config) -> Result<(Writer, Known), StartError> {
    let (writer, known) = read(config).map_err(|source| fault(config, source))?;
    for risk in store_risks(config) {
        tracing::warn!(risk, "the file system under the store is a risk");
    }
    for forsaken in writer.reader().forsaken().unwrap_or_default() {
        let (uplink, readings) = (&forsaken.name, forsaken.pending);
        tracing::warn!(%uplink, readings, "readings wait for an uplink that is not configured");
    }
    Ok((writer, known))
}

/// Moves the store aside: a part of the gateway that has ended met damage.
pub fn put_aside(config: &Config, damage: &Damage) -> Result<(), StartError> {
    Writer::put_aside(&config.store.path, damage).map_err(|source| fault(config, source))
}

pub(super) fn fault(config: &Config, source: StoreError) -> StartError {
    StartError::Store {
        path: config.store.path.display().to_string(),
        source,
    }
}

fn read(config: &Config) -> Result<(Writer, Known), StoreError> {
    let names = config.uplinks.iter().map(|uplink| Arc::clone(&uplink.name));
    let mut names: Vec<_> = names.collect();
    if names.is_empty() {
        names.push(CLOUD.into());
    }
    let path = &config.store.path;
    let mut is_suspected = false;
    loop {
        let mut writer = Writer::open_for(path, &names)?;
        let error = match known(config, &mut writer) {
            Ok(known) => return Ok((writer, known)),
            Err(error) => error,
        };
        // It could be opened, and shows its damage now; or the disk gave nothing for a moment.
        let damage = writer.damage_of(&error).ok_or(error)?;
        drop(writer);
        if is_suspected {
            Writer::put_aside(path, &damage)?;
            break;
        }
        is_suspected = true;
    }
    let mut writer = Writer::open_for(path, &names)?;
    let known = known(config, &mut writer)?;
    Ok((writer, known))
}

/// Of what is owed to clients the last alert of each sensor stands for what its topic retains.
fn known(config: &Config, writer: &mut Writer) -> Result<Known, StoreError> {
    clock::start(writer, &config.store)?;
    writer.set_budget(config.store.max_size)?;
    let most = config.mqtt.limits.retained_messages;
    let mut state = writer.broker_state()?;
    let alerts = writer.last_alerts(&config.gateway_id, most)?;
    state
        .retained
        .extend(alerts.iter().filter_map(Alert::message));
    let decoder = Arc::new(Decoder::open(&config.ingest, &writer.reader())?);
    Ok(Known { state, decoder })
}
