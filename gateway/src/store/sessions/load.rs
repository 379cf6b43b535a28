//! Reading what is owed, once, at start. A row that cannot be understood is left out and said.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::{Connection, Row};

use super::{BrokerState, StoredRetained, StoredSession, StoredSubscription};
use crate::clock;
use crate::domain::{
    message::{Delivery, Message, Qos, Will},
    subscription::{Interest, SubscriptionOptions},
    timestamp::Timestamp,
    topic::TopicName,
};
use crate::store::StoreError;

/// Reads all of it.
pub(in crate::store) fn load(connection: &Connection) -> Result<BrokerState, StoreError> {
    let mut sessions: HashMap<i64, StoredSession> = HashMap::new();
    each(connection, "SELECT * FROM session", |row| {
        let session = read_session(row)?;
        sessions.insert(session.session, session);
        Ok(Some(()))
    })?;
    each(connection, "SELECT * FROM subscription", |row| {
        let session: i64 = row.get("session")?;
        let subscription = read_subscription(row)?;
        Ok(subscription.map(|subscription| {
            if let Some(session) = sessions.get_mut(&session) {
                session.subscriptions.push(subscription);
            }
        }))
    })?;
    each(
        connection,
        "SELECT * FROM queued ORDER BY session, seq",
        |row| {
            let Some(delivery) = read_delivery(row)? else {
                return Ok(None);
            };
            let (seq, is_received) = (row.get::<_, i64>("seq")?, row.get("received")?);
            if let Some(session) = sessions.get_mut(&row.get("session")?) {
                let seq = seq.unsigned_abs();
                session.queued.push((seq, is_received, delivery));
            }
            Ok(Some(()))
        },
    )?;
    each(connection, "SELECT * FROM exchange", |row| {
        let packet_id = row.get("packet_id")?;
        if let Some(session) = sessions.get_mut(&row.get("session")?) {
            session.exchanges.push(packet_id);
        }
        Ok(Some(()))
    })?;
    each(connection, "SELECT * FROM will", |row| {
        let Some(session) = sessions.get_mut(&row.get("session")?) else {
            return Ok(Some(()));
        };
        let message = read_message(row, Timestamp::MIN, Arc::clone(&session.client_id))?;
        let delay = row.get("delay")?;
        session.will = message.map(|message| Will { message, delay });
        Ok(session.will.as_ref().map(|_| ()))
    })?;
    let mut retained = Vec::new();
    each(connection, "SELECT *, 1 AS retain FROM retained", |row| {
        let at = Timestamp::from_millis(row.get("received_at")?);
        let publisher: Box<str> = row.get("publisher")?;
        let message = read_message(row, at, publisher.into())?;
        Ok(message.map(|message| retained.push(message)))
    })?;
    Ok(BrokerState {
        sessions: sessions.into_values().collect(),
        retained,
    })
}

/// Reads each row; `None` is one that cannot be understood.
fn each(
    connection: &Connection,
    query: &str,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<()>>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if read(row)?.is_none() {
            tracing::warn!(
                query,
                "a row of the broker's state cannot be understood and is left out"
            );
        }
    }
    Ok(())
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<StoredSession> {
    let left_at: Option<i64> = row.get("left_at")?;
    Ok(StoredSession {
        session: row.get("key")?,
        client_id: row.get("client_id")?,
        user: row.get("user")?,
        expiry: row.get("expiry")?,
        left_at: left_at.map(Timestamp::from_millis),
        sent_upto: row.get::<_, i64>("sent_upto")?.unsigned_abs(),
        will: None,
        subscriptions: Vec::new(),
        queued: Vec::new(),
        exchanges: Vec::new(),
    })
}

fn read_subscription(row: &Row<'_>) -> rusqlite::Result<Option<StoredSubscription>> {
    let filter: Box<str> = row.get("filter")?;
    let qos = Qos::from_number(row.get("qos")?);
    let (Ok(interest), Some(qos)) = (Interest::new(&filter), qos) else {
        return Ok(None);
    };
    let options = SubscriptionOptions {
        qos,
        no_local: row.get("no_local")?,
        retain_as_published: row.get("retain_as_published")?,
        id: row.get("id")?,
    };
    let after: Option<Box<str>> = row.get("retained_after")?;
    let retained = match after.as_deref() {
        None => StoredRetained::None,
        // What cannot be understood is sent again rather than not at all.
        Some(topic) => TopicName::new(topic).map_or(StoredRetained::All, StoredRetained::After),
    };
    Ok(Some(StoredSubscription {
        interest,
        options,
        retained,
    }))
}

fn read_delivery(row: &Row<'_>) -> rusqlite::Result<Option<Delivery>> {
    let at = Timestamp::from_millis(row.get("received_at")?);
    let publisher: Box<str> = row.get("publisher")?;
    let Some(mut message) = read_message(row, at, publisher.into())? else {
        return Ok(None);
    };
    let qos = message.qos;
    let Some(publish_qos) = Qos::from_number(row.get("publish_qos")?) else {
        return Ok(None);
    };
    message.qos = publish_qos;
    let shared: Option<Box<str>> = row.get("shared")?;
    let Ok(shared) = shared.map(|text| Interest::new(&text)).transpose() else {
        return Ok(None);
    };
    let ids: Option<Box<str>> = row.get("subscription_ids")?;
    let ids = ids.map(|json| serde_json::from_str(&json));
    Ok(Some(Delivery {
        retain: message.retain,
        message: Arc::new(message),
        qos,
        subscription_ids: ids.and_then(Result::ok).unwrap_or_default(),
        shared: shared.map(Arc::new),
    }))
}

fn read_message(
    row: &Row<'_>,
    received_at: Timestamp,
    publisher: Arc<str>,
) -> rusqlite::Result<Option<Message>> {
    let topic: Box<str> = row.get("topic")?;
    let payload: Vec<u8> = row.get("payload")?;
    let properties: Option<Box<str>> = row.get("properties")?;
    let properties = properties
        .map(|json| serde_json::from_str(&json))
        .transpose();
    let qos = Qos::from_number(row.get("qos")?);
    let (Ok(topic), Ok(properties), Some(qos)) = (TopicName::new(&topic), properties, qos) else {
        return Ok(None);
    };
    let mut message = Message {
        topic,
        payload: payload.into(),
        qos,
        retain: row.get("retain")?,
        received_at,
        publisher,
        properties: properties.map(Arc::new),
    };
    message.count_expiry(Instant::now(), clock::gone_since(received_at));
    Ok(Some(message))
}
