//! What the broker owes to clients that are away: their sessions, and retained messages. Changes are plain data that
//! travel in a group; at start all of it is read once.

mod load;
mod state;

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::StoreError;
use crate::domain::{
    message::{Delivery, Message, Properties, Will},
    subscription::{Interest, SubscriptionOptions},
    timestamp::Timestamp,
    topic::TopicName,
};

/// One change of what is owed. Sessions are named by numbers that the broker gives.
#[derive(Clone, Debug)]
pub enum Change {
    /// A session begins, or goes on: its client is connected.
    Open {
        session: i64,
        client_id: Arc<str>,
        user: Option<Arc<str>>,
        /// Seconds that it is kept after its connection's end; `u32::MAX` for ever.
        expiry: u32,
        will: Option<Will>,
    },
    /// Its connection ended.
    Left {
        session: i64,
        at: Timestamp,
        expiry: u32,
        /// Its last message that may have been sent.
        sent_upto: u64,
        /// Whether its will is still to come.
        has_will: bool,
    },
    /// Its will has been published.
    ForgetWill {
        session: i64,
    },
    /// It ended; nothing of it is kept.
    End {
        session: i64,
    },
    Subscribe {
        session: i64,
        interest: Interest,
        options: SubscriptionOptions,
        /// Whether all retained messages of it are to be sent. If not, those that are still to be sent for a former one are.
        wants_retained: bool,
    },
    /// Retained messages of a subscription have places in its queue up to this topic; `None`: all have.
    RetainedUpto {
        session: i64,
        interest: Interest,
        topic: Option<TopicName>,
    },
    Unsubscribe {
        session: i64,
        interest: Interest,
    },
    /// A message waits for it.
    Queue(Queued),
    /// It has a QoS 2 message of ours; PUBREL may go out.
    Received {
        session: i64,
        seq: u64,
    },
    /// It is done with a message.
    Done {
        session: i64,
        seq: u64,
    },
    /// A QoS 2 publish came from it; the same packet identifier is the same publish from now on.
    OpenExchange {
        session: i64,
        packet_id: u16,
    },
    /// PUBREL came.
    CloseExchange {
        session: i64,
        packet_id: u16,
    },
    /// The last message of its topic.
    Retain(Arc<Message>),
    /// The topic has none any more.
    Forget(TopicName),
}

/// Tables of what belongs to a session.
pub(super) const PARTS: [&str; 4] = ["subscription", "queued", "exchange", "will"];

impl Change {
    /// The session that it is about, if it is about one.
    pub fn session(&self) -> Option<i64> {
        match self {
            Self::Open { session, .. }
            | Self::Left { session, .. }
            | Self::ForgetWill { session }
            | Self::End { session }
            | Self::Subscribe { session, .. }
            | Self::RetainedUpto { session, .. }
            | Self::Unsubscribe { session, .. }
            | Self::Queue(Queued { session, .. })
            | Self::Received { session, .. }
            | Self::Done { session, .. }
            | Self::OpenExchange { session, .. }
            | Self::CloseExchange { session, .. } => Some(*session),
            Self::Retain(_) | Self::Forget(_) => None,
        }
    }

    /// Whether it only takes away what is on disk, or marks it, and could have come at any time.
    pub fn gives_room(&self) -> bool {
        matches!(
            self,
            Self::Received { .. } | Self::Done { .. } | Self::CloseExchange { .. }
        )
    }

    /// About how many bytes it takes in memory.
    pub fn size(&self) -> usize {
        let texts = match self {
            Self::Open {
                client_id, will, ..
            } => client_id.len() + will.as_ref().map_or(0, |will| will.message.size()),
            Self::Subscribe { interest, .. }
            | Self::Unsubscribe { interest, .. }
            | Self::RetainedUpto { interest, .. } => interest.size(),
            Self::Queue(queued) => queued.delivery.message.size(),
            Self::Retain(message) => message.size(),
            _ => 0,
        };
        size_of::<Self>() + texts
    }
}

/// A message that waits for a session.
#[derive(Clone, Debug)]
pub struct Queued {
    pub session: i64,
    /// Its place among those of the session.
    pub seq: u64,
    pub delivery: Delivery,
}

pub use state::{BrokerState, StoredRetained, StoredSession, StoredSubscription};

pub(super) use load::load;

/// Writes one change.
pub(super) fn write(connection: &Connection, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Open {
            session,
            client_id,
            user,
            expiry,
            will,
        } => {
            end_others(connection, *session, client_id)?;
            connection
                .prepare_cached(
                    "INSERT INTO session (key, client_id, user, expiry, left_at, sent_upto) VALUES (?1, ?2, ?3, ?4, NULL, 0) \
                     ON CONFLICT (key) DO UPDATE SET expiry = excluded.expiry, left_at = NULL",
                )?
                .execute(params![session, client_id, user, expiry])?;
            forget_will(connection, *session)?;
            if let Some(will) = will {
                write_will(connection, *session, will)?;
            }
        }
        Change::Left {
            session,
            at,
            expiry,
            sent_upto,
            has_will,
        } => {
            connection
                .prepare_cached(
                    "UPDATE session SET left_at = ?2, expiry = ?3, sent_upto = ?4 WHERE key = ?1",
                )?
                .execute(params![session, at.millis(), expiry, number(*sent_upto)])?;
            if !has_will {
                forget_will(connection, *session)?;
            }
        }
        Change::ForgetWill { session } => forget_will(connection, *session)?,
        Change::End { session } => end(connection, *session)?,
        Change::Subscribe {
            session,
            interest,
            options,
            wants_retained,
        } => {
            connection
                .prepare_cached(
                    "INSERT INTO subscription VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
                     ON CONFLICT (session, filter) DO UPDATE SET qos = excluded.qos, no_local = excluded.no_local, \
                     retain_as_published = excluded.retain_as_published, id = excluded.id, \
                     retained_after = coalesce(excluded.retained_after, retained_after)",
                )?
                .execute(params![
                    session,
                    interest.to_string(),
                    options.qos as u8,
                    options.no_local,
                    options.retain_as_published,
                    options.id,
                    wants_retained.then_some("")
                ])?;
        }
        Change::RetainedUpto {
            session,
            interest,
            topic,
        } => {
            connection
                .prepare_cached(
                    "UPDATE subscription SET retained_after = ?3 WHERE session = ?1 AND filter = ?2",
                )?
                .execute(params![
                    session,
                    interest.to_string(),
                    topic.as_ref().map(TopicName::as_str)
                ])?;
        }
        Change::Unsubscribe { session, interest } => {
            connection
                .prepare_cached("DELETE FROM subscription WHERE session = ?1 AND filter = ?2")?
                .execute(params![session, interest.to_string()])?;
        }
        Change::Queue(queued) => write_queued(connection, queued)?,
        Change::Received { session, seq } => {
            connection
                .prepare_cached("UPDATE queued SET received = 1 WHERE session = ?1 AND seq = ?2")?
                .execute(params![session, number(*seq)])?;
        }
        Change::Done { session, seq } => {
            connection
                .prepare_cached("DELETE FROM queued WHERE session = ?1 AND seq = ?2")?
                .execute(params![session, number(*seq)])?;
        }
        Change::OpenExchange { session, packet_id } => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO exchange VALUES (?1, ?2)")?
                .execute(params![session, packet_id])?;
        }
        Change::CloseExchange { session, packet_id } => {
            connection
                .prepare_cached("DELETE FROM exchange WHERE session = ?1 AND packet_id = ?2")?
                .execute(params![session, packet_id])?;
        }
        Change::Retain(message) => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO retained VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute(params![
                    message.topic.as_str(),
                    message.payload.as_slice(),
                    message.qos as u8,
                    message.received_at.millis(),
                    message.publisher,
                    encode(message.properties.as_deref())
                ])?;
        }
        Change::Forget(topic) => {
            connection
                .prepare_cached("DELETE FROM retained WHERE topic = ?1")?
                .execute([topic.as_str()])?;
        }
    }
    Ok(())
}

fn end(connection: &Connection, session: i64) -> Result<(), StoreError> {
    for table in PARTS {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE session = ?1"))?
            .execute([session])?;
    }
    connection
        .prepare_cached("DELETE FROM session WHERE key = ?1")?
        .execute([session])?;
    Ok(())
}

/// A client id has one session: what is left of a former one, whose end is still to be written, goes first.
fn end_others(connection: &Connection, session: i64, client_id: &str) -> Result<(), StoreError> {
    let mut others =
        connection.prepare_cached("SELECT key FROM session WHERE client_id = ?1 AND key <> ?2")?;
    let others = others.query_map(params![client_id, session], |row| row.get(0))?;
    for other in others.collect::<Result<Vec<i64>, _>>()? {
        end(connection, other)?;
    }
    Ok(())
}

/// Removes what belongs to no session: rows that were written behind a session's end.
pub(super) fn remove_orphans(connection: &Connection) -> Result<(), StoreError> {
    for table in PARTS {
        let delete = format!("DELETE FROM {table} WHERE session NOT IN (SELECT key FROM session)");
        connection.execute(&delete, [])?;
    }
    Ok(())
}

fn forget_will(connection: &Connection, session: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM will WHERE session = ?1")?
        .execute([session])?;
    Ok(())
}

fn write_will(connection: &Connection, session: i64, will: &Will) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO will VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            session,
            will.delay,
            will.message.topic.as_str(),
            will.message.payload.as_slice(),
            will.message.qos as u8,
            will.message.retain,
            encode(will.message.properties.as_deref())
        ])?;
    Ok(())
}

fn write_queued(connection: &Connection, queued: &Queued) -> Result<(), StoreError> {
    let delivery = &queued.delivery;
    let message = &delivery.message;
    let ids = &delivery.subscription_ids;
    let ids = (!ids.is_empty()).then(|| serde_json::json!(ids).to_string());
    let shared = delivery
        .shared
        .as_ref()
        .map(|interest| interest.to_string());
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO queued VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            queued.session,
            number(queued.seq),
            message.topic.as_str(),
            message.payload.as_slice(),
            delivery.qos as u8,
            message.qos as u8,
            delivery.retain,
            message.received_at.millis(),
            message.publisher,
            encode(message.properties.as_deref()),
            ids,
            shared
        ])?;
    Ok(())
}

/// SQLite has no unsigned numbers; these count messages.
fn number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn encode(properties: Option<&Properties>) -> Option<String> {
    properties.and_then(|properties| serde_json::to_string(properties).ok())
}
