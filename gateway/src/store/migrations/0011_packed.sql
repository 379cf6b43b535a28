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
