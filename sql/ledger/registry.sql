-- The registry for people: every session ever configured or found, those in scope first.
SELECT
    sessions.source,
    coalesce(sessions.label, sessions.title) AS name,
    sessions.session_id,
    sessions.origin,
    sessions.state,
    sessions.state_reason,
    sessions.status,
    health.threads,
    health.last_complete_poll,
    sessions.created_at
FROM sessions
LEFT JOIN analytics.ingestion_health AS health USING (source, session_id)
ORDER BY sessions.state NOT IN ('polled', 'resting'), sessions.state, sessions.source, sessions.created_at DESC, sessions.session_id
