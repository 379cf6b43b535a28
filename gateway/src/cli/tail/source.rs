//! Pages of readings and alerts, as the API has them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::follow::{Item, List, Page, Source};
use crate::cli::ask::{Door, Trouble};
use crate::domain::sensor::SensorId;

/// The running gateway.
#[derive(Debug)]
pub(super) struct Api(Door);

#[derive(Deserialize)]
struct Listed {
    items: Vec<Box<RawValue>>,
    next: Option<i64>,
}

/// What has to be known of a reading.
#[derive(Deserialize)]
struct Reading {
    id: i64,
    sensor_id: String,
}

/// What has to be known of an alert.
#[derive(Deserialize)]
struct Alert {
    alert_id: i64,
    sensor_id: String,
    reading_id: i64,
}

impl Api {
    pub(super) const fn new(door: Door) -> Self {
        Self(door)
    }
}

impl Source for Api {
    fn page(
        &mut self,
        list: List,
        sensor: Option<&SensorId>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Page, Trouble> {
        let path = match list {
            List::Readings => "readings",
            List::Alerts => "alerts",
        };
        let mut start = format!("GET /api/v1/{path}?limit={limit}");
        if let Some(after) = after {
            start += &format!("&after={after}");
        }
        if let Some(sensor) = sensor {
            let sensor = utf8_percent_encode(sensor.as_str(), NON_ALPHANUMERIC);
            start += &format!("&sensor={sensor}");
        }
        let body = self.0.get(&start)?;
        let read = || -> serde_json::Result<Page> {
            let Listed { items, next } = serde_json::from_str(&body)?;
            let items: Result<Vec<Item>, _> =
                items.into_iter().map(|raw| item(list, raw)).collect();
            Ok(Page {
                items: items?,
                next,
            })
        };
        read().map_err(|_| Trouble::Lasting(self.0.stranger()))
    }
}

fn item(list: List, raw: Box<RawValue>) -> serde_json::Result<Item> {
    Ok(match list {
        List::Readings => {
            let Reading { id, sensor_id } = serde_json::from_str(raw.get())?;
            Item {
                list,
                id,
                reading_id: id,
                sensor_id,
                raw,
            }
        }
        List::Alerts => {
            let Alert {
                alert_id,
                sensor_id,
                reading_id,
            } = serde_json::from_str(raw.get())?;
            Item {
                list,
                id: alert_id,
                reading_id,
                sensor_id,
                raw,
            }
        }
    })
}
