-- What is known of each session that was ever polled, and where the registry has it from.
SELECT health.*, sessions.origin, sessions.state, coalesce(sessions.label, sessions.title) AS registered_label
FROM analytics.ingestion_health AS health
LEFT JOIN sessions USING (source, session_id)
