-- The polls of some runs, the sessions with the most threads first.
FROM session_polls
WHERE run_id IN (SELECT unnest(?))
ORDER BY threads_listed DESC, source, session_id
