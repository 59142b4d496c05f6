-- The sources of which a run has brought every session that it asked for.
SELECT DISTINCT source
FROM (
    SELECT source
    FROM session_polls
    GROUP BY run_id, source
    HAVING bool_and(is_complete_poll(outcome, status_filter))
)
