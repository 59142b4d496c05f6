-- What an operator should look at: one row per thread, and per session in trouble (thread_id '').
CREATE TEMP TABLE findings AS
SELECT source, session_id, thread_id, reason, severity, status, quiet_seconds
FROM analytics.attention
UNION ALL BY NAME
SELECT source, session_id, '' AS thread_id, reason, 'high' AS severity
FROM unhealthy;

CREATE TEMP VIEW finding_keys AS
SELECT source, session_id, thread_id, reason
FROM findings;

-- Those that were sent before; the caller fills them in.
CREATE TEMP TABLE sent AS
FROM finding_keys
LIMIT 0;
