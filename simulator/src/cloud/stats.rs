//! What the cloud has seen so far.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

/// A moment's counts. Only requests to `/api/sync` are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    pub requests: u64,
    /// Those of them that came over HTTP/2.
    pub requests_over_http2: u64,
    /// Connections over which requests came.
    pub connections: u64,
    /// Requests whose readings were stored, duplicates included; also single readings.
    pub accepted_batches: u64,
    /// Readings of the accepted requests, duplicates included.
    pub readings_received: u64,
    /// Readings stored: each counted once.
    pub distinct: u64,
    /// Readings of accepted requests that were stored before.
    pub duplicates: u64,
    /// Requests that bore the key of an earlier one and had another body.
    pub key_conflicts: u64,
    /// Readings that bore the id of an earlier one and had another sensor or value; only looked
    /// for while values are remembered.
    pub id_conflicts: u64,
    /// Answers by HTTP status.
    pub by_status: BTreeMap<u16, u64>,
    /// Requests whose connection was dropped instead of an answer, as the script said.
    pub dropped: u64,
    /// Requests that hang at this moment, as the script said.
    pub hanging: u64,
    /// Size of the bodies as they came.
    pub bytes: u64,
    /// Size of the bodies without their content encoding.
    pub decoded_bytes: u64,
}

/// A reading that the cloud has stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered {
    /// Empty for a reading of format `single`, as is `store_id`; its `id` counts from 1.
    pub gateway_id: Arc<str>,
    pub store_id: Arc<str>,
    pub id: i64,
    pub sensor_id: Arc<str>,
    pub value: f64,
    /// The attribute `seq` that simulated sensors send.
    pub seq: Option<u64>,
}
