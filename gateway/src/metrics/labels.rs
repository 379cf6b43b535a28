//! The values of labels that are known beforehand. Their series are there from the start, at zero: a rate or an alert that
//! waits for the first of a kind sees it.

pub(super) const TRANSPORTS: &[&str] = &["http", "mqtt"];

/// Why something is no reading and no status: what `ingest::decode` finds, and what there are too many of.
pub(super) const REJECTED: &[&str] = &[
    "birth", "devices", "empty", "encoding", "sensor", "sensors", "status", "syntax", "time",
    "topic", "value",
];

/// `rule`: a rule said so. `overload`: QoS 0 while the committer was behind. `alert`: nothing more can be stored of a sensor.
/// `undelivered`: there was no room for what an uplink had not got.
pub(super) const LOST: &[&str] = &["alert", "overload", "rule", "undelivered"];

/// `store::Removed`.
pub(super) const REMOVED: &[&str] = &["aged", "dropped", "thinned", "undelivered"];

pub(super) const VERDICTS: &[&str] = &["delivered", "held", "refused", "retry", "too_large"];

pub(super) const DIRECTIONS: &[&str] = &["in", "out"];
pub(super) const QOS: &[&str] = &["0", "1", "2"];

/// Why a message was not delivered or not taken.
pub(super) const DROPPED: &[&str] = &[
    "not_authorized",
    "not_sendable",
    "overload",
    "queue_full",
    "retained_full",
    "will",
];

pub(super) const QUEUES: &[&str] = &["submissions"];

pub(super) const ALERT_STATES: &[&str] = &["acknowledged", "cleared", "raised"];

/// Why an MQTT client was not let in.
pub(super) const REFUSED: &[&str] = &[
    "authentication_method",
    "busy",
    "client_id",
    "connections",
    "credentials",
    "not_authorized",
    "sessions",
    "will",
];
