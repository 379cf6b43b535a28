-- The number of a dead letter is never given twice: who drops one by its number drops no other.
DROP VIEW dead_letters;
ALTER TABLE dead_letter RENAME TO former_letter;
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    reading INTEGER NOT NULL,
    uplink INTEGER NOT NULL,
    status INTEGER NOT NULL,
    answer TEXT NOT NULL,
    at INTEGER NOT NULL,
    tries INTEGER NOT NULL
);
INSERT INTO dead_letter SELECT id, reading, uplink, status, answer, at, tries FROM former_letter;
DROP TABLE former_letter;

CREATE VIEW dead_letters AS
SELECT id, reading AS reading_id, status, answer, at FROM dead_letter;
