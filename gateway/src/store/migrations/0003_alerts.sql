-- The retained message of alerts/<sensor_id> is the sensor's last alert. Like last_reading it is written behind: it holds
-- up to counter.alerts_saved_upto, so that an alert costs no more than its row.
ALTER TABLE counter ADD COLUMN alerts_saved_upto INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sensor ADD COLUMN last_alert INTEGER;
DELETE FROM retained WHERE 'alerts/' < topic AND topic < 'alerts0';
