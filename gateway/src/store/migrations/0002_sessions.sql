-- What the broker owes to clients that are away: sessions that outlive their connections, and retained messages.

-- expiry: seconds after the connection's end, 4294967295 for never. left_at: NULL while connected.
-- sent_upto: the last entry of its queue that may have been sent, known at the end of a connection.
CREATE TABLE session (
    key INTEGER PRIMARY KEY,
    client_id TEXT NOT NULL UNIQUE,
    user TEXT,
    expiry INTEGER NOT NULL,
    left_at INTEGER,
    sent_upto INTEGER NOT NULL
);

CREATE TABLE subscription (
    session INTEGER NOT NULL,
    filter TEXT NOT NULL,
    qos INTEGER NOT NULL,
    no_local INTEGER NOT NULL,
    retain_as_published INTEGER NOT NULL,
    id INTEGER,
    PRIMARY KEY (session, filter)
) WITHOUT ROWID;

-- QoS 1 and 2 messages that a session has not acknowledged, in their order. `received`: its PUBREC has come.
-- properties and subscription_ids: JSON, NULL for none.
CREATE TABLE queued (
    session INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    received INTEGER NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    publish_qos INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    publisher TEXT NOT NULL,
    properties TEXT,
    subscription_ids TEXT,
    PRIMARY KEY (session, seq)
) WITHOUT ROWID;

-- Packet identifiers of QoS 2 publishes that came from a session and are not released.
CREATE TABLE exchange (
    session INTEGER NOT NULL,
    packet_id INTEGER NOT NULL,
    PRIMARY KEY (session, packet_id)
) WITHOUT ROWID;

-- delay: seconds after the connection's end.
CREATE TABLE will (
    session INTEGER PRIMARY KEY,
    delay INTEGER NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    properties TEXT
);

CREATE TABLE retained (
    topic TEXT PRIMARY KEY,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    publisher TEXT NOT NULL,
    properties TEXT
) WITHOUT ROWID;
