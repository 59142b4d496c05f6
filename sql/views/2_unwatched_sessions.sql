-- A poll that failed says neither that a session is there nor that it is not.
CREATE OR REPLACE VIEW unwatched_sessions AS
WITH listed AS (
    SELECT source, session_id, max(sequence) AS sequence
    FROM session_polls
    WHERE is_loaded_poll(outcome, pages) AND outcome NOT IN ('gone', 'forbidden')
    GROUP BY source, session_id
),

absences AS (
    SELECT source, session_id, polls.started_at AS unwatched_since, latest.last_outcome AS reason
    FROM session_polls AS polls
    JOIN latest_polls AS latest USING (source, session_id)
    LEFT JOIN listed USING (source, session_id)
    WHERE latest.last_outcome IN ('gone', 'forbidden')
        AND polls.outcome IN ('gone', 'forbidden')
        AND polls.status_filter IS NULL
        AND polls.sequence > coalesce(listed.sequence, polls.sequence - 1)
    UNION ALL
    SELECT source, session_id, state_since, state
    FROM sessions
    WHERE state IN ('excluded', 'out_of_scope', 'gone')
)

SELECT
    source,
    session_id,
    min(unwatched_since) AS unwatched_since,
    arg_min(reason, (unwatched_since, reason)) AS reason
FROM absences
GROUP BY source, session_id;
COMMENT ON VIEW unwatched_sessions IS 'The sessions of which nobody knows the present: the server says that they are gone or forbidden, or they are excluded, or no longer in scope.';
COMMENT ON COLUMN unwatched_sessions.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN unwatched_sessions.session_id IS 'Session that was polled';
COMMENT ON COLUMN unwatched_sessions.unwatched_since IS 'Beginning of the first poll or run that said so';
COMMENT ON COLUMN unwatched_sessions.reason IS 'gone, forbidden, excluded or out_of_scope; the first that held';
