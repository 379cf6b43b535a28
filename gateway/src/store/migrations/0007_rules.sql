-- What the rules remember: with each rule all that its memory depends on, so that a changed one begins anew.
CREATE TABLE rule (
    name TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL
) WITHOUT ROWID;

-- subject: a sensor, a group or a device; rule: '' for what is remembered of a sensor for all rules.
CREATE TABLE rule_state (
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (rule, subject)
) WITHOUT ROWID;

-- Milliseconds for which the rules have run, all in all: their own clock.
ALTER TABLE counter ADD COLUMN rules_clock INTEGER NOT NULL DEFAULT 0;

-- NULL where the rule says nothing of it. attributes: those of its reading, if NULL.
ALTER TABLE alert ADD COLUMN severity TEXT;
ALTER TABLE alert ADD COLUMN message TEXT;
ALTER TABLE alert ADD COLUMN subject_group TEXT;
