-- Damaged stores beside this one, whose rows are taken over. below: the ids of this store begin there, those of the damaged
-- one are smaller. stage, part and position: how far; unreadable: rows that could not be read. alert: the event that told.
CREATE TABLE salvage (
    folder TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    below INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    part INTEGER NOT NULL,
    position INTEGER NOT NULL,
    saved INTEGER NOT NULL,
    unreadable INTEGER NOT NULL,
    alert INTEGER
) WITHOUT ROWID;
