//! What the operator decided, read and checked before anything starts: one file a section, raw in, checked out.
//! A room receives its own section, never the whole.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use crate::domain::{rule::RuleDefinition, topic::TopicFilter};

/// The whole configuration, free of faults.
#[derive(Clone, Debug)]
pub struct Config {
    pub gateway_id: Arc<str>,
    pub shutdown_grace: Duration,
    pub mqtt: Mqtt,
    pub http: Http,
    pub ingest: Ingest,
    pub store: Store,
    pub cloud: Option<Cloud>,
    pub rules: Vec<RuleDefinition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anonymous { Never, Loopback, Always }

#[derive(Clone, Debug)]
pub struct Mqtt {
    pub listen: SocketAddr,
    pub max_connections: usize,
    /// Bytes.
    pub max_packet: u32,
    pub anonymous: Anonymous,
}

#[derive(Clone, Debug)]
pub struct Http {
    pub listen: SocketAddr,
    pub anonymous: Anonymous,
}

#[derive(Clone, Debug)]
pub struct Ingest {
    pub readings: Vec<TopicFilter>,
    pub statuses: Vec<TopicFilter>,
}

#[derive(Clone, Debug)]
pub struct Store {
    pub path: PathBuf,
    pub group_commit: Duration,
}

#[derive(Clone, Debug)]
pub struct Cloud {
    /// Normalised absolute URL text, `https://…` or allowed `http://…`.
    pub url: Box<str>,
    pub format: Format,
    pub compression: Compression,
    pub batch_max_readings: usize,
    pub batch_max_bytes: usize,
    pub batch_linger: Duration,
    pub timeout: Duration,
    pub retry_initial: Duration,
    pub retry_max: Duration,
    pub ca_file: Option<PathBuf>,
    pub bearer_token_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format { Batch, Single }

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression { None, Gzip }
