//! `single`: a JSON object with sensor and value, one reading a request.

use serde::Serialize;

use crate::domain::reading::StoredReading;

#[derive(Serialize)]
struct Single<'s> {
    sensor_id: &'s str,
    value: f64,
}

pub(super) fn encode(readings: &[StoredReading]) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::new();
    for reading in readings {
        serde_json::to_writer(
            &mut json,
            &Single {
                sensor_id: reading.sensor_id.as_str(),
                value: reading.value,
            },
        )?;
    }
    Ok(json)
}
