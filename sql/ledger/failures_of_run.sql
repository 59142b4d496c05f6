-- How the failed polls of a run ended, a row for each way.
SELECT outcome, error_type, count(*) AS sessions
FROM session_polls
WHERE run_id = ? AND error_type IS NOT NULL
GROUP BY ALL
ORDER BY ALL
LIMIT 5
