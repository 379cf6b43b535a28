//! The limits of MQTT clients, by their keys in the configuration.

/// A limit of `[mqtt]` or `[mqtt.limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    MaxConnections,
    ConnectionsPerAddress,
    ConnectTimeout,
    MaxPacket,
    ClientIdBytes,
    TopicBytes,
    TopicLevels,
    WillBytes,
    PublishRate,
    Subscriptions,
    QueueMessages,
    QueueBytes,
    InFlight,
    Sessions,
    SessionsPerUser,
    SessionsBytes,
    RetainedMessages,
    RetainedBytes,
    Devices,
}

impl Limit {
    /// All of them.
    pub(super) const ALL: [Self; 19] = [
        Self::MaxConnections,
        Self::ConnectionsPerAddress,
        Self::ConnectTimeout,
        Self::MaxPacket,
        Self::ClientIdBytes,
        Self::TopicBytes,
        Self::TopicLevels,
        Self::WillBytes,
        Self::PublishRate,
        Self::Subscriptions,
        Self::QueueMessages,
        Self::QueueBytes,
        Self::InFlight,
        Self::Sessions,
        Self::SessionsPerUser,
        Self::SessionsBytes,
        Self::RetainedMessages,
        Self::RetainedBytes,
        Self::Devices,
    ];

    /// Its key.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::MaxConnections => "max_connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::ConnectTimeout => "connect_timeout",
            Self::MaxPacket => "max_packet",
            Self::ClientIdBytes => "client_id_bytes",
            Self::TopicBytes => "topic_bytes",
            Self::TopicLevels => "topic_levels",
            Self::WillBytes => "will_bytes",
            Self::PublishRate => "publish_rate",
            Self::Subscriptions => "subscriptions",
            Self::QueueMessages => "queue_messages",
            Self::QueueBytes => "queue_bytes",
            Self::InFlight => "in_flight",
            Self::Sessions => "sessions",
            Self::SessionsPerUser => "sessions_per_user",
            Self::SessionsBytes => "sessions_bytes",
            Self::RetainedMessages => "retained_messages",
            Self::RetainedBytes => "retained_bytes",
            Self::Devices => "devices",
        }
    }
}
