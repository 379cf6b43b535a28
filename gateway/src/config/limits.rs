//! The section `[mqtt.limits]`: what one client, and all of them together, may cost.

use std::{num::NonZeroUsize, ops::RangeInclusive, time::Duration};

use crate::config::kinds::{duration, size, whole};
use crate::config::quantity::LONGEST;
use crate::config::section::Section;
use crate::config::value::Value;
use crate::domain::topic;

/// Every server takes client ids of so many bytes (MQTT 5.0, section 3.1.3.1).
const CLIENT_ID_BYTES: RangeInclusive<u32> = 23..=65_535;

/// What one client, and all of them together, may cost. `None` is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections from one address at the same time. Default: none, for a whole site may be behind one address.
    pub connections_per_address: Option<NonZeroUsize>,
    /// A client has so long to shake hands, and again to send its CONNECT. Default: 10 s.
    pub connect_timeout: Duration,
    /// The longest client id. Default: 256 bytes.
    pub client_id_bytes: usize,
    /// The longest topic name or filter of a client. Default: as long as MQTT has them.
    pub topic_bytes: usize,
    /// The most levels of such. Default: 200.
    pub topic_levels: usize,
    /// Payload and properties of a will. Default: 64 KiB.
    pub will_bytes: usize,
    /// PUBLISH packets a second from one client; the rest is not read yet. Default: none.
    pub publish_rate: Option<NonZeroUsize>,
    /// Subscriptions of one session. Default: 1,000.
    pub subscriptions: usize,
    /// Messages that may wait for one session, beside those unacknowledged. Default: 1,000.
    pub queue_messages: usize,
    /// Memory that they may take. Default: 4 MiB.
    pub queue_bytes: usize,
    /// QoS 1 and 2 messages that one session may have unacknowledged. Default: 64.
    pub in_flight: usize,
    /// Sessions that outlive their connections. Default: 10,000.
    pub sessions: usize,
    /// Those of one user; who has no name is one user with all others who have none. Default: as many as `sessions`.
    pub sessions_per_user: usize,
    /// Memory that what waits for all of these, their filters and their wills may take. Default: 64 MiB.
    pub sessions_bytes: usize,
    /// The longest that a session is kept after its connection. Default: 30 days.
    pub session_expiry: Duration,
    /// Topics with a retained message. Default: 100,000.
    pub retained_messages: usize,
    /// Memory that these may take. Default: 64 MiB.
    pub retained_bytes: usize,
    /// Devices whose status is stored. Default: 100,000.
    pub devices: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_address: None,
            connect_timeout: Duration::from_secs(10),
            client_id_bytes: 256,
            topic_bytes: topic::MAX_BYTES,
            topic_levels: topic::MAX_LEVELS,
            will_bytes: 64 << 10,
            publish_rate: None,
            subscriptions: 1000,
            queue_messages: 1000,
            queue_bytes: 4 << 20,
            in_flight: 64,
            sessions: 10_000,
            sessions_per_user: 10_000,
            sessions_bytes: 64 << 20,
            session_expiry: Duration::from_secs(30 * 24 * 3600),
            retained_messages: 100_000,
            retained_bytes: 64 << 20,
            devices: 100_000,
        }
    }
}

impl Limits {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let default = Self::default();
        let mut read = |key, value, kind: &dyn Fn(&Value) -> Result<usize, String>| {
            section.setting(key, value, kind).value
        };
        let million = whole(1..=1_000_000);
        let sessions = read("sessions", default.sessions, &million);
        let limits = Self {
            client_id_bytes: read(
                "client_id_bytes",
                default.client_id_bytes,
                &bytes(CLIENT_ID_BYTES),
            ),
            topic_bytes: read(
                "topic_bytes",
                default.topic_bytes,
                &bytes(1..=topic::MAX_BYTES as u32),
            ),
            topic_levels: read(
                "topic_levels",
                default.topic_levels,
                &whole(1..=topic::MAX_LEVELS),
            ),
            will_bytes: read("will_bytes", default.will_bytes, &bytes(1..=1 << 20)),
            subscriptions: read("subscriptions", default.subscriptions, &million),
            queue_messages: read("queue_messages", default.queue_messages, &million),
            queue_bytes: read(
                "queue_bytes",
                default.queue_bytes,
                &bytes(1 << 10..=1 << 30),
            ),
            in_flight: read("in_flight", default.in_flight, &whole(1..=65_535)),
            sessions,
            sessions_per_user: read("sessions_per_user", sessions, &million),
            sessions_bytes: read(
                "sessions_bytes",
                default.sessions_bytes,
                &bytes(1 << 10..=2 << 30),
            ),
            retained_messages: read(
                "retained_messages",
                default.retained_messages,
                &whole(1..=10_000_000),
            ),
            retained_bytes: read(
                "retained_bytes",
                default.retained_bytes,
                &bytes(1 << 10..=2 << 30),
            ),
            devices: read("devices", default.devices, &whole(1..=10_000_000)),
            connections_per_address: NonZeroUsize::new(read(
                "connections_per_address",
                0,
                &whole(0..=1_000_000),
            )),
            publish_rate: NonZeroUsize::new(read("publish_rate", 0, &whole(0..=1_000_000))),
            session_expiry: section
                .setting(
                    "session_expiry",
                    default.session_expiry,
                    duration(Duration::from_secs(1)..=LONGEST),
                )
                .value,
            connect_timeout: section
                .setting(
                    "connect_timeout",
                    default.connect_timeout,
                    duration(Duration::from_millis(100)..=Duration::from_secs(3600)),
                )
                .value,
        };
        section.finish();
        limits
    }
}

/// A size in bytes within `range`, as the number that counts them in memory.
fn bytes(range: RangeInclusive<u32>) -> impl Fn(&Value) -> Result<usize, String> {
    move |value| size(range.clone())(value).map(|size| size as usize)
}
