-- What else is owed to a session.

-- The shared subscription for which the session was chosen, NULL for none.
ALTER TABLE queued ADD COLUMN shared TEXT;

-- Up to which topic the retained messages of a new subscription have been put into the queue: '' for none yet, NULL for all.
ALTER TABLE subscription ADD COLUMN retained_after TEXT;
