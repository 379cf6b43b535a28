-- What rules remember that can be told from their alerts is written behind, as sensor.last_alert is: it holds up to the alert
-- of this id.
ALTER TABLE counter ADD COLUMN rules_saved_upto INTEGER NOT NULL DEFAULT 0;
UPDATE counter SET rules_saved_upto = alert;
