-- How many readings each uplink has to deliver: a JSON object by their keys, written with each commit that changes one. What it does
-- not say is counted at the start.
ALTER TABLE counter ADD COLUMN outbox TEXT;
