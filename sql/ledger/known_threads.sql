-- The threads that need not be read if they come byte for byte as they did: of the sessions of a load whose
-- last complete poll was applied as it came. Of what is missing, listed twice or filtered there is more to say.
SELECT digest
FROM threads
SEMI JOIN (
    SELECT polls.source, polls.session_id
    FROM incoming_polls AS polls
    JOIN session_digests AS applied ON applied.source = polls.source AND applied.session_id = polls.session_id
    WHERE applied.endpoint = 'threads' AND polls.is_read AND polls.duplicates = 0 AND polls.status_filter IS NULL
) AS applied_sessions USING (source, session_id)
WHERE digest IS NOT NULL AND missing_since IS NULL
