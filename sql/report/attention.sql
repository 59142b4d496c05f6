-- The threads that most need attention; those that gave up come last, because nobody waits for most of them.
SELECT
    attention.severity,
    attention.reason,
    attention.quiet_seconds,
    attention.threshold_seconds,
    coalesce(summary.label, attention.session_id) AS session,
    attention.session_id,
    coalesce(threads.name, attention.thread_id) AS thread,
    attention.thread_id,
    coalesce(threads.agent_name, attention.agent) AS agent,
    attention.status,
    count(*) OVER () AS total
FROM analytics.attention
JOIN threads USING (source, session_id, thread_id)
LEFT JOIN analytics.session_summary AS summary USING (source, session_id)
ORDER BY
    array_position(['high', 'medium', 'low'], attention.severity),
    attention.reason = 'gave_up',
    attention.quiet_seconds DESC NULLS LAST,
    attention.source,
    attention.session_id,
    attention.thread_id
LIMIT 50
