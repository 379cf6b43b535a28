//! Alerts: a row for each, and the last one of each sensor, which is what its topic retains.

use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::{Group, StoreError, blocks, rows};
use crate::domain::{
    alert::{Alert, AlertState},
    reading::{Attributes, ReadingId},
    rule::Severity,
    sensor::SensorId,
    timestamp::Timestamp,
};

/// Events, in the columns of [`read_alert`]; which of them is to follow.
pub(super) const EVENTS: &str = "\
    SELECT a.id, a.episode, a.rule, a.state, s.name, a.value, a.ts, a.reading, r.attributes, a.severity, a.message, \
    a.subject_group, a.sensor, r.id \
    FROM alert a CROSS JOIN sensor s ON s.key = a.sensor LEFT JOIN reading r ON r.id = a.reading";

/// Writes the alerts of a group.
pub(super) fn write(connection: &Connection, group: &Group) -> Result<(), StoreError> {
    let columns =
        "episode, rule, state, sensor, value, ts, reading, severity, message, subject_group";
    rows::insert_numbered(
        connection,
        ("alert", columns),
        &group.alerts,
        |(_, alert)| alert.alert_id,
        |row, (sensor, alert)| {
            row.bind(alert.episode)?;
            row.bind(&alert.rule)?;
            row.bind(alert.state.as_str())?;
            row.bind(sensor)?;
            row.bind(alert.value)?;
            row.bind(alert.ts.millis())?;
            row.bind(alert.reading_id.0)?;
            row.bind(alert.severity.map(Severity::as_str))?;
            row.bind(&alert.message)?;
            row.bind(&alert.group)
        },
    )
}

/// Reads alerts by their ids, as this gateway's; one that is not there is left out.
pub(super) fn read(
    connection: &Connection,
    ids: &[i64],
    gateway_id: &Arc<str>,
) -> Result<Vec<Alert>, StoreError> {
    let mut select = connection.prepare(&format!("{EVENTS} WHERE a.id = ?1"))?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let mut rows = select.query([id])?;
        if let Some(row) = rows.next()? {
            found.extend(read_alert(connection, row, gateway_id)?);
        }
    }
    Ok(found)
}

/// `None`: it is in a state that this version does not know.
pub(super) fn read_alert(
    connection: &Connection,
    row: &Row<'_>,
    gateway_id: &Arc<str>,
) -> Result<Option<Alert>, StoreError> {
    let state: Box<str> = row.get(3)?;
    let Some(state) = AlertState::from_stored(&state) else {
        return Ok(None);
    };
    let is_row: bool = row.get::<_, Option<i64>>(13)?.is_some();
    let attributes = if is_row {
        row.get::<_, Option<String>>(8)?
    } else {
        let packed = blocks::find(connection, row.get(12)?, row.get(7)?)?;
        packed.and_then(|stored| stored.columns.attributes.map(String::from))
    };
    let severity: Option<Box<str>> = row.get(9)?;
    Ok(Some(Alert {
        gateway_id: Arc::clone(gateway_id),
        alert_id: row.get(0)?,
        episode: row.get(1)?,
        rule: row.get(2)?,
        state,
        sensor_id: SensorId::from_stored(row.get(4)?),
        value: row.get(5)?,
        ts: Timestamp::from_millis(row.get(6)?),
        reading_id: ReadingId(row.get(7)?),
        severity: severity.and_then(|name| Severity::from_stored(&name)),
        message: row.get(10)?,
        group: row.get(11)?,
        attributes: attributes.map(Attributes::from_json).unwrap_or_default(),
    }))
}
