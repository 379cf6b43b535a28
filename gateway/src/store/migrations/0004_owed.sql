-- What else is owed to a session.

-- The shared subscription for which the session was chosen, NULL for none.
ALTER TABLE queued ADD COLUMN shared TEXT;
