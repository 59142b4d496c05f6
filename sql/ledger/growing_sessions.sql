-- The sessions of a load in which numbers grow by themselves.
SELECT source, 'threads' AS endpoint, session_id
FROM incoming_threads
WHERE growing IS NOT NULL
UNION
SELECT source, 'threads', session_id
FROM incoming_seen
WHERE growing_since IS NOT NULL
ORDER BY ALL
