-- The sources of which a run has brought every session that it asked for.
SELECT DISTINCT source
FROM (
    SELECT source
    FROM session_polls
    GROUP BY run_id, source
    HAVING bool_and(outcome = 'complete' AND status_filter IS NULL)
)
