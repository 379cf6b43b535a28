//! What the rules remember. What it means is theirs to say.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::StoreError;
use crate::domain::alert::{AlertState, PastAlert};
use crate::domain::timestamp::Timestamp;

/// What one rule remembers of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleState {
    /// Empty for what is remembered of a sensor for all rules.
    pub rule: Arc<str>,
    /// A sensor, a group or a device.
    pub subject: Arc<str>,
    /// `None`: nothing any more.
    pub state: Option<Box<[u8]>>,
}

/// The rules that there are now, with all that the memory of each depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleNames {
    pub now: Vec<(Arc<str>, Box<str>)>,
    /// Those of which nothing is to be remembered any more.
    pub forgotten: Vec<Arc<str>>,
}

/// All that the rules remember.
#[derive(Debug, Default)]
pub struct RuleMemory {
    /// Milliseconds for which the rules have run.
    pub clock: i64,
    pub names: Vec<(Arc<str>, Box<str>)>,
    pub states: Vec<RuleState>,
    /// Those that came since the states that follow from them were written, in their order.
    pub alerts: Vec<PastAlert>,
    /// What each device said last.
    pub devices: Vec<(Box<str>, Box<str>)>,
}

/// Writes what has changed.
pub(super) fn write_states(
    connection: &Connection,
    states: &[RuleState],
) -> Result<(), StoreError> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO rule_state (rule, subject, state) VALUES (?1, ?2, ?3) \
         ON CONFLICT (rule, subject) DO UPDATE SET state = excluded.state",
    )?;
    let mut delete =
        connection.prepare_cached("DELETE FROM rule_state WHERE rule = ?1 AND subject = ?2")?;
    for RuleState {
        rule,
        subject,
        state,
    } in states
    {
        match state {
            Some(state) => upsert.execute(params![rule, subject, state])?,
            None => delete.execute(params![rule, subject])?,
        };
    }
    Ok(())
}

/// Writes which rules there are, and removes what is to be forgotten.
pub(super) fn write_names(connection: &Connection, names: &RuleNames) -> Result<(), StoreError> {
    for rule in &names.forgotten {
        connection.execute("DELETE FROM rule_state WHERE rule = ?1", [rule])?;
    }
    connection.execute("DELETE FROM rule", [])?;
    let mut insert = connection.prepare("INSERT INTO rule (name, fingerprint) VALUES (?1, ?2)")?;
    for (name, fingerprint) in &names.now {
        insert.execute(params![name, fingerprint])?;
    }
    Ok(())
}

/// Reads it all.
pub(super) fn load(connection: &Connection) -> Result<RuleMemory, StoreError> {
    let clock = connection.query_row("SELECT rules_clock FROM counter", [], |row| row.get(0))?;
    let mut names = connection.prepare("SELECT name, fingerprint FROM rule")?;
    let names = names.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut states =
        connection.prepare("SELECT rule, subject, state FROM rule_state ORDER BY rule, subject")?;
    let states = states.query_map([], |row| {
        let state: Vec<u8> = row.get(2)?;
        Ok(RuleState {
            rule: row.get(0)?,
            subject: row.get(1)?,
            state: Some(state.into()),
        })
    })?;
    let mut alerts = connection.prepare(
        "SELECT a.episode, a.rule, coalesce(a.subject_group, s.name), a.state, a.ts \
         FROM alert a CROSS JOIN sensor s ON s.key = a.sensor \
         WHERE (SELECT rules_saved_upto FROM counter) < a.id ORDER BY a.id",
    )?;
    let alerts = alerts.query_map([], read_alert)?;
    let mut devices = connection.prepare("SELECT device_id, status FROM device_status")?;
    let devices = devices.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(RuleMemory {
        clock,
        names: names.collect::<Result<_, _>>()?,
        states: states.collect::<Result<_, _>>()?,
        alerts: alerts
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?,
        devices: devices.collect::<Result<_, _>>()?,
    })
}

/// `None`: it is in a state that this version does not know.
fn read_alert(row: &Row<'_>) -> rusqlite::Result<Option<PastAlert>> {
    let state: Box<str> = row.get(3)?;
    let Some(state) = AlertState::from_stored(&state) else {
        return Ok(None);
    };
    Ok(Some(PastAlert {
        episode: row.get(0)?,
        rule: row.get(1)?,
        subject: row.get(2)?,
        state,
        ts: Timestamp::from_millis(row.get(4)?),
    }))
}
