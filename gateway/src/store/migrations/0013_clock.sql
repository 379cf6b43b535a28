-- Readings that were taken while the clock was not trusted, by ranges of their ids. What is in none was taken by a trusted clock.

-- last: NULL while it goes on. boot, clock_offset: by how many milliseconds the wall clock was ahead of the monotonic one, which
-- counts within a boot. shift: added to the times of the readings from `put_right_from` on, NULL as long as it is not known;
-- put_right_upto: how far that has come. settled: nothing of it is changed any more.
CREATE TABLE clock_span (
    first INTEGER PRIMARY KEY,
    last INTEGER,
    boot TEXT NOT NULL,
    clock_offset INTEGER NOT NULL,
    shift INTEGER,
    put_right_from INTEGER,
    put_right_upto INTEGER,
    settled INTEGER NOT NULL DEFAULT 0
);

-- Readings of them that were recorded in a batch before: they keep their times. By runs of ids.
CREATE TABLE clock_kept (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL
);

-- How the clock stood when it was last looked at. One row.
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    boot TEXT NOT NULL,
    clock_offset INTEGER NOT NULL,
    trust TEXT NOT NULL
);

-- What was added, in milliseconds: to ts where it was received_at, and to received_at. NULL: nothing (yet).
CREATE VIEW clock_spans AS
SELECT coalesce(put_right_from, first) AS first, last, shift AS shift_ms, settled FROM clock_span;
