-- The sessions whose threads are read.
SELECT source, session_id
FROM incoming_polls
WHERE is_read;
