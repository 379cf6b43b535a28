//! What devices said last.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use crate::domain::reading::Reading;

/// By their names.
#[derive(Debug, Default)]
pub(super) struct Devices {
    said: HashMap<Box<str>, Box<str>>,
}

impl Devices {
    /// What a device says when it goes, or its last will.
    pub(super) const OFFLINE: &'static str = "offline";

    /// Takes what a device says.
    pub(super) fn hear(&mut self, device: &str, status: &str) {
        match self.said.get_mut(device) {
            Some(said) => *said = status.into(),
            None => drop(self.said.insert(device.into(), status.into())),
        }
    }

    /// Those that are offline.
    pub(super) fn offline(&self) -> impl Iterator<Item = &str> {
        let said = self.said.iter();
        said.filter(|(_, said)| &***said == Self::OFFLINE)
            .map(|(device, _)| &**device)
    }

    /// What the reading's device said: the one that its attribute `device_id` names, else the one that is called as the
    /// sensor or as the levels that the sensor's id begins with. Empty if none is known.
    pub(super) fn status_for(&self, reading: &Reading) -> &str {
        #[derive(Deserialize)]
        struct Named<'n> {
            #[serde(borrow)]
            device_id: Option<Cow<'n, str>>,
        }
        let attributes = reading.attributes.as_json();
        if attributes.contains("\"device_id\"")
            && let Ok(Named {
                device_id: Some(device),
            }) = serde_json::from_str(attributes)
        {
            return self.said.get(&*device).map_or("", |status| status);
        }
        self.status_named(reading.sensor_id.as_str())
    }

    /// The same for a sensor of this name.
    pub(super) fn status_named(&self, sensor: &str) -> &str {
        let mut name = sensor;
        loop {
            if let Some(status) = self.said.get(name) {
                return status;
            }
            match name.rsplit_once('/') {
                Some((levels, _)) => name = levels,
                None => return "",
            }
        }
    }
}
