-- Several uplinks, each with its own part of the outbox. An entry moves into its batch when that is recorded, so that what
-- is left is what is still to be sent for the first time, in whatever order.

-- refused: readings in a row that the receiver refused alone; bytes: sent on `day` (days since 1970).
CREATE TABLE uplink (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    refused INTEGER NOT NULL DEFAULT 0,
    day INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
);
INSERT INTO uplink (key, name) VALUES (1, 'cloud');

DROP VIEW outbox;
ALTER TABLE outbox_entry RENAME TO former_entry;
CREATE TABLE outbox_entry (
    uplink INTEGER NOT NULL,
    reading INTEGER NOT NULL,
    PRIMARY KEY (uplink, reading)
) WITHOUT ROWID;
INSERT INTO outbox_entry SELECT 1, reading FROM former_entry;
DROP TABLE former_entry;

-- readings: their ids, growing, as a JSON array of the differences. A batch recorded by an older version is recorded anew.
DROP TABLE batch;
CREATE TABLE batch (
    id INTEGER PRIMARY KEY,
    uplink INTEGER NOT NULL,
    gateway_id TEXT NOT NULL,
    format TEXT NOT NULL,
    compression TEXT NOT NULL,
    tries INTEGER NOT NULL,
    count INTEGER NOT NULL,
    first INTEGER NOT NULL,
    readings TEXT NOT NULL
);

CREATE VIEW outbox AS
SELECT reading AS reading_id FROM outbox_entry
UNION
SELECT sum(part.value) OVER (PARTITION BY batch.id ORDER BY part.key) FROM batch, json_each(batch.readings) part;

-- tries: refusals of the batches it was in, the last one alone.
ALTER TABLE dead_letter ADD COLUMN uplink INTEGER NOT NULL DEFAULT 1;
ALTER TABLE dead_letter ADD COLUMN tries INTEGER NOT NULL DEFAULT 1;
