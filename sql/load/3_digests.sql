DELETE FROM session_digests
USING incoming_polls AS polls
WHERE polls.is_read
    AND session_digests.endpoint = 'threads'
    AND polls.source = session_digests.source
    AND polls.session_id = session_digests.session_id;

-- What was not applied as it came must be looked at again.
INSERT INTO session_digests BY NAME
WITH read AS (
    SELECT
        source,
        session_id,
        min(growing_since) AS growing_since,
        bool_or(change_type = 'regressed') AS regressed
    FROM (
        SELECT source, session_id, growing_since, change_type FROM thread_changes
        UNION ALL
        SELECT source, session_id, growing_since, 'unchanged' FROM incoming_seen
    )
    GROUP BY source, session_id
)

SELECT
    polls.source,
    'threads' AS endpoint,
    polls.session_id,
    polls.digest,
    landed_states.state_digest,
    read.growing_since
FROM incoming_polls AS polls
LEFT JOIN read USING (source, session_id)
LEFT JOIN landed_states USING (source, session_id)
WHERE is_complete_poll(polls.outcome, polls.status_filter)
    AND polls.is_read
    AND NOT coalesce(read.regressed, FALSE);
