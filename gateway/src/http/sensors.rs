//! `GET /api/v1/sensors`: each sensor, how many readings it has, and the last of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::shapes;
use super::parameters::{Pairs, after_and_limit};
use super::{Page, Shared, problem::Problem};
use crate::domain::reading::StoredReading;
use crate::domain::sensor::SensorId;
use crate::store::Reader;

#[derive(Serialize, ToSchema)]
pub(super) struct Sensor {
    #[schema(value_type = String)]
    sensor_id: SensorId,
    /// Readings that were stored of it.
    count: u64,
    #[schema(value_type = Option<shapes::Reading>)]
    last: Option<StoredReading>,
}

/// A page of them, in the order in which they first came.
#[utoipa::path(
    get, path = "/api/v1/sensors", tag = "readings",
    params(("limit" = Option<i64>, Query, description = "Items of a page; 100 if not given", minimum = 1, maximum = 1000), ("after" = Option<i64>, Query, description = "`next` of the page before", minimum = 1)),
    responses((status = 200, description = "A page", body = Page<Sensor>), (status = 400, description = "A parameter is bad")),
)]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, Problem> {
    let (after, limit) = after_and_limit(&pairs)?;
    let page = shared
        .look(move |reader| read(reader, after, limit))
        .await?;
    Ok(Json(page).into_response())
}

fn read(reader: &Reader, after: i64, limit: usize) -> Result<Page<Sensor>, Problem> {
    let totals = reader.sensor_totals(after, limit);
    let next = totals.last().map(|last| last.key);
    let next = next.filter(|key| !reader.sensor_totals(*key, 1).is_empty());
    let mut last = reader.newest_of(&totals)?.into_iter().peekable();
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
