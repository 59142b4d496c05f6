-- What is known of every session that was ever asked for.
SELECT source, session_id, label, origin, state
FROM sessions
