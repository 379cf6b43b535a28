-- What the gateway remembers. Tables are in the singular and may change; the views below them are the contract.

-- The numbers that only grow, and who this store is. One row, written with every commit.
CREATE TABLE counter (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    store_id TEXT NOT NULL,
    commit_group INTEGER NOT NULL,
    reading INTEGER NOT NULL,
    alert INTEGER NOT NULL,
    reject INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    sensors_saved_upto INTEGER NOT NULL
);

-- Names of sensors. The last three columns are written behind: they hold up to counter.sensors_saved_upto.
CREATE TABLE sensor (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    readings INTEGER NOT NULL,
    last_reading INTEGER,
    last_value REAL
);

-- The hot table: appended to, never updated, no second index. `delay` is received_at - ts in milliseconds;
-- NULL stands for no tags and no attributes.
CREATE TABLE reading (
    id INTEGER PRIMARY KEY,
    sensor INTEGER NOT NULL,
    value REAL NOT NULL,
    ts INTEGER NOT NULL,
    delay INTEGER NOT NULL,
    tags TEXT,
    attributes TEXT
);

CREATE TABLE alert (
    id INTEGER PRIMARY KEY,
    episode INTEGER NOT NULL,
    rule TEXT NOT NULL,
    state TEXT NOT NULL,
    sensor INTEGER NOT NULL,
    value REAL NOT NULL,
    ts INTEGER NOT NULL,
    reading INTEGER NOT NULL
);

CREATE TABLE reject (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    reason TEXT NOT NULL,
    received_at INTEGER NOT NULL
);

CREATE TABLE device_status (
    device_id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    ts INTEGER NOT NULL
) WITHOUT ROWID;

-- Readings that the cloud has not confirmed.
CREATE TABLE outbox_entry (
    reading INTEGER PRIMARY KEY
);

-- Batches that were recorded and not yet confirmed. `readings` is the list of ids as LEB128 differences;
-- gateway_id, format and compression belong to it, because the same key must be the same bytes.
CREATE TABLE batch (
    id INTEGER PRIMARY KEY,
    gateway_id TEXT NOT NULL,
    format TEXT NOT NULL,
    compression TEXT NOT NULL,
    readings BLOB NOT NULL
);

CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY,
    reading INTEGER NOT NULL,
    status INTEGER NOT NULL,
    answer TEXT NOT NULL,
    at INTEGER NOT NULL
);

CREATE VIEW readings AS
SELECT r.id, s.name AS sensor_id, r.value, r.ts, r.ts + r.delay AS received_at,
       coalesce(r.tags, '[]') AS tags, coalesce(r.attributes, '{}') AS attributes
FROM reading r CROSS JOIN sensor s ON s.key = r.sensor;

CREATE VIEW alerts AS
SELECT a.id, a.rule, a.state, s.name AS sensor_id, a.value, a.ts, a.reading AS reading_id
FROM alert a CROSS JOIN sensor s ON s.key = a.sensor;

CREATE VIEW rejects AS
SELECT id, topic, payload, reason, received_at FROM reject;

CREATE VIEW dead_letters AS
SELECT id, reading AS reading_id, status, answer, at FROM dead_letter;

CREATE VIEW outbox AS
SELECT reading AS reading_id FROM outbox_entry;

CREATE VIEW statuses AS
SELECT device_id, status, ts FROM device_status;
