//! What there was no room for, as it goes to the rejects.

use serde_json::value::RawValue;

use crate::domain::{reading::Reading, status::DeviceStatus};
use crate::store::NewReject;

/// A reading of a sensor too many, as it goes to the rejects.
pub(super) fn too_many_sensors(reading: Reading) -> NewReject {
    let payload = serde_json::json!({
        "sensor_id": reading.sensor_id,
        "value": reading.value,
        "ts": reading.ts,
        "attributes": RawValue::from_string(reading.attributes.as_json().to_owned()).ok(),
    });
    NewReject {
        topic: reading.topic,
        payload: payload.to_string().into_bytes().into_boxed_slice(),
        reason: "there are more sensors than the gateway can hold".into(),
        received_at: reading.received_at,
    }
}

/// The word of a device too many.
pub(super) fn too_many_devices(status: DeviceStatus) -> NewReject {
    let payload = serde_json::json!({ "status": status.status });
    NewReject {
        topic: status.topic,
        payload: payload.to_string().into_bytes().into_boxed_slice(),
        reason: "there are more devices than the gateway can hold".into(),
        received_at: status.ts,
    }
}
