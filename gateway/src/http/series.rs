//! `GET /api/v1/series`: what the readings of a sensor come to, bucket by bucket, for charts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::parameters::{Pairs, moment, number, sensor, take_each};
use super::{Shared, problem::Problem};
use crate::clock;
use crate::domain::timestamp::Timestamp;
use crate::store::{Bucket, Reader, SeriesQuery, Thinned};

const MAX_POINTS: i64 = 10_000;
const DEFAULT_POINTS: usize = 500;

/// How far back it goes if nobody says.
const DEFAULT_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Serialize, ToSchema)]
struct Point {
    #[schema(value_type = i64)]
    ts: Timestamp,
    min: f64,
    avg: f64,
    max: f64,
    count: u64,
}

impl From<Bucket> for Point {
    fn from(bucket: Bucket) -> Self {
        Self {
            ts: bucket.ts,
            min: bucket.min,
            avg: bucket.avg,
            max: bucket.max,
            count: bucket.count,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Series {
    items: Vec<Point>,
    /// Null: there are never more.
    #[schema(required = true)]
    next: Option<i64>,
    /// Parts of the time that were thinned; the rest is as it came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    thinned: Vec<Part>,
}

/// A time of which only min, avg, max and count of each interval are left, but for readings that are tagged or wait.
#[derive(Serialize, ToSchema)]
pub(super) struct Part {
    #[schema(value_type = i64)]
    from: Timestamp,
    #[schema(value_type = i64)]
    to: Timestamp,
    interval_ms: i64,
}

impl From<Thinned> for Part {
    fn from(thinned: Thinned) -> Self {
        Self {
            from: thinned.from,
            to: thinned.to,
            interval_ms: thinned.interval_ms,
        }
    }
}

/// All of them at once: there are no more than were asked for.
#[utoipa::path(
    get, path = "/api/v1/series", tag = "readings",
    params(
        ("sensor" = String, Query, pattern = r"^[^+#$/\x00-\x1f\x7f-\x9f][^+#/\x00-\x1f\x7f-\x9f]*(/[^+#/\x00-\x1f\x7f-\x9f]+)*$", max_length = 256),
        ("from" = Option<i64>, Query, description = "A day before `to` if not given", minimum = 0, maximum = 7_258_118_399_999_i64),
        ("to" = Option<i64>, Query, description = "Now if not given", minimum = 0, maximum = 7_258_118_399_999_i64),
        ("points" = Option<i64>, Query, description = "At most so many; 500 if not given", minimum = 1, maximum = 10000),
    ),
    responses(
        (status = 200, description = "Oldest first, without empty ones", body = Series),
        (status = 400, description = "A parameter is bad"),
    ),
)]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, Problem> {
    let query = parse(&pairs, clock::now())?;
    let look = move |reader: &Reader| {
        let buckets = reader.series(&query)?;
        Ok((buckets, reader.thinned(Some(query.from), Some(query.to))?))
    };
    let (buckets, thinned) = shared.look(look).await?;
    let series = Series {
        items: buckets.into_iter().map(Point::from).collect(),
        next: None,
        thinned: thinned.into_iter().map(Part::from).collect(),
    };
    Ok(Json(series).into_response())
}

fn parse(pairs: &[(String, String)], now: Timestamp) -> Result<SeriesQuery, Problem> {
    let (mut of, mut from, mut to, mut points) = (None, None, None, DEFAULT_POINTS);
    take_each(pairs, |name, value| {
        match name {
            "sensor" => of = Some(sensor(value)?),
            "from" => from = Some(moment(value)?),
            "to" => to = Some(moment(value)?),
            "points" => points = number(value, MAX_POINTS)? as usize,
            _ => return Err("unknown; there are sensor, from, to and points".to_owned()),
        }
        Ok(())
    })?;
    let missing = || Problem::bad_parameter("sensor", "expected the id of a sensor, found nothing");
    let to = to.unwrap_or(now);
    let a_day_before = Timestamp::from_millis(to.millis() - DEFAULT_MS);
    Ok(SeriesQuery {
        sensor_id: of.ok_or_else(missing)?,
        from: from.unwrap_or(a_day_before.max(Timestamp::MIN)),
        to,
        points,
    })
}
