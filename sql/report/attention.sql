-- The threads that most need attention; those that gave up come last, because nobody waits for most of them.
SELECT
    severity,
    reason,
    quiet_seconds,
    threshold_seconds,
    session_label AS session,
    session_id,
    name AS thread,
    thread_id,
    agent_name AS agent,
    agent AS agent_id,
    status,
    count(*) OVER () AS total
FROM analytics.attention
ORDER BY
    array_position(['high', 'medium', 'low'], severity),
    reason = 'gave_up',
    quiet_seconds DESC NULLS LAST,
    source,
    session_id,
    thread_id
LIMIT 50
