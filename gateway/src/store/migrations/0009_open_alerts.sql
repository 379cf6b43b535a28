-- The newest event of each alert that is open, by its episode. Written behind: it holds up to counter.alerts_saved_upto, so
-- that an alert costs no more than its row.
CREATE TABLE open_alert (
    episode INTEGER PRIMARY KEY,
    newest INTEGER NOT NULL
);
