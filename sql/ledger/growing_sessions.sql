-- The sessions of a load in which numbers grow by themselves.
SELECT DISTINCT source, 'threads' AS endpoint, session_id
FROM incoming_threads
WHERE growing IS NOT NULL
ORDER BY ALL
