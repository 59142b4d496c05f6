-- The polls of some runs, the sessions with the most threads first. That a session is gone, or may
-- not be read, is known if the server's last answer before these runs was the same.
SELECT
    *,
    outcome IN ('gone', 'forbidden') AND outcome IS NOT DISTINCT FROM (
        SELECT arg_max(earlier.outcome, earlier.sequence)
        FROM session_polls AS earlier
        WHERE earlier.source = polls.source
            AND earlier.session_id = polls.session_id
            AND earlier.sequence < polls.sequence
            AND earlier.run_id NOT IN (SELECT unnest($1))
            AND (is_loaded_poll(earlier.outcome, earlier.pages) OR earlier.outcome IN ('gone', 'forbidden'))
    ) AS is_known
FROM session_polls AS polls
WHERE run_id IN (SELECT unnest($1))
ORDER BY threads_listed DESC, source, session_id
