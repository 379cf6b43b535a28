-- The index behind the hot table. A block is a fixed range of reading ids; once its last id is given, where each sensor's
-- readings are in it is written down, and not changed any more. A block without a row is looked through reading by reading:
-- the one that fills, and those of an older version until they are made up for.

-- min_ts, max_ts: of all its readings.
CREATE TABLE reading_block (
    number INTEGER PRIMARY KEY,
    min_ts INTEGER NOT NULL,
    max_ts INTEGER NOT NULL
);

-- Its readings by sensor, packed into about a page each (store/blocks/pack.rs). id: the block's number, the sensor and the
-- place of the first of them, in this order, so that rows are only appended.
CREATE TABLE reading_pack (
    id INTEGER PRIMARY KEY,
    pieces BLOB NOT NULL
);
