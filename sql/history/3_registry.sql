-- What is known of every session that was ever asked for, and when those were asked last that are
-- gone or forbidden.
SELECT
    sessions.source,
    sessions.session_id,
    sessions.label,
    sessions.origin,
    sessions.state,
    epoch_us(arg_max(polls.started_at, polls.sequence)) AS asked_at,
    arg_max(polls.clock_skew_seconds, polls.sequence) AS clock_skew_seconds
FROM sessions
LEFT JOIN session_polls AS polls
    ON polls.source = sessions.source
    AND polls.session_id = sessions.session_id
    AND sessions.state IN ('gone', 'forbidden')
GROUP BY ALL
