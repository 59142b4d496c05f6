-- Rows that must not exist. Any one of them undoes the whole load.
SELECT 'threads are listed twice' AS violation, source, session_id, thread_id, count(*) AS found
FROM threads
WHERE (source, session_id) IN (SELECT (source, session_id) FROM incoming_polls)
GROUP BY ALL
HAVING count(*) > 1
LIMIT 10;
