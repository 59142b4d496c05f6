-- The statuses that a thread ever was in.
SELECT DISTINCT status
FROM thread_status_history
WHERE status IS NOT NULL
