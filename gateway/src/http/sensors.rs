//! `GET /api/v1/sensors`: each sensor, how many readings it has, and the last of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::parameters::{Pairs, number, take_each};
use super::{Shared, problem::Problem};
use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::sensor::SensorId;
use crate::store::Reader;

const MAX_LIMIT: i64 = 1000;
const DEFAULT_LIMIT: usize = 100;

#[derive(Serialize)]
struct Page {
    items: Vec<Sensor>,
    next: Option<i64>,
}

#[derive(Serialize)]
struct Sensor {
    sensor_id: SensorId,
    /// Readings that were stored of it.
    count: u64,
    last: Option<StoredReading>,
}

/// A page of them, in the order in which they first came.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, Problem> {
    let (mut after, mut limit) = (0, DEFAULT_LIMIT);
    take_each(&pairs, |name, value| {
        match name {
            "after" => after = number(value, i64::MAX)?,
            "limit" => limit = number(value, MAX_LIMIT)? as usize,
            _ => return Err("unknown; there are after and limit".to_owned()),
        }
        Ok(())
    })?;
    let page = shared
        .look(move |reader| read(reader, after, limit))
        .await?;
    Ok(Json(page).into_response())
}

fn read(reader: &Reader, after: i64, limit: usize) -> Result<Page, Problem> {
    let totals = reader.sensor_totals(after, limit);
    let next = totals.last().map(|last| last.key);
    let next = next.filter(|key| !reader.sensor_totals(*key, 1).is_empty());
    let ids: Vec<ReadingId> = totals.iter().filter_map(|sensor| sensor.last).collect();
    let mut last = reader.readings_by_id(&ids)?.into_iter().peekable();
    let items = totals.into_iter().map(|sensor| Sensor {
        last: last.next_if(|reading| Some(reading.id) == sensor.last),
        sensor_id: sensor.sensor_id,
        count: sensor.readings,
    });
    Ok(Page {
        items: items.collect(),
        next,
    })
}
