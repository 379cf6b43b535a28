-- Readings that are a day old are packed by columns; what waits for an uplink or is a dead letter stays a row.

-- packed: 0: its readings are rows; 1: they are packed, and rows of them may still be there; 2: only rows that stay are there.
-- bytes, count: of what is packed. newest_at: when the last of them was received.
ALTER TABLE reading_block ADD COLUMN packed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reading_block ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reading_block ADD COLUMN count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reading_block ADD COLUMN newest_at INTEGER NOT NULL DEFAULT 0;

-- The readings of a block by sensor, packed into about a page each (store/blocks/columns.rs). id: as in reading_pack.
CREATE TABLE packed_reading (
    id INTEGER PRIMARY KEY,
    pieces BLOB NOT NULL
);

-- What thinned readings come to. first, last: blocks of which they were; interval: in milliseconds; min_ts, max_ts: from the
-- beginning of the first interval to the end of the last. packed = 3 in reading_block: what was neither tagged nor waiting is here.
CREATE TABLE summary_block (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    interval INTEGER NOT NULL,
    min_ts INTEGER NOT NULL,
    max_ts INTEGER NOT NULL,
    newest_at INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    count INTEGER NOT NULL
);

-- By sensor and interval, packed into about a page each (store/blocks/thin.rs). id: as in reading_pack, of the first block.
CREATE TABLE summary_pack (
    id INTEGER PRIMARY KEY,
    pieces BLOB NOT NULL
);

-- Events up to this one were taken away by age, but for those that are needed.
ALTER TABLE counter ADD COLUMN alerts_gone INTEGER NOT NULL DEFAULT 0;
