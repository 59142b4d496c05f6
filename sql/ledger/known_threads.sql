-- The threads that need not be read if they come as they did, and as of when the numbers are that grow by
-- themselves in them: of sessions whose last complete poll was applied as it came, and not of missing ones.
SELECT digest, CASE WHEN grows THEN last_changed_at END AS growing_since
FROM threads
SEMI JOIN (FROM session_digests WHERE endpoint = 'threads') AS applied USING (source, session_id)
WHERE digest IS NOT NULL AND missing_since IS NULL
