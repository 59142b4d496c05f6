-- The polls of some runs, the sessions with the most threads first. That a session is gone, or may
-- not be read, is known if the server's last answer before these runs was the same.
WITH asked AS (
    FROM session_polls
    WHERE run_id IN (SELECT unnest($1))
),

earlier AS (
    SELECT asked.run_id, asked.source, asked.session_id, arg_max(polls.outcome, polls.sequence) AS outcome
    FROM (FROM asked WHERE outcome IN ('gone', 'forbidden')) AS asked
    JOIN session_polls AS polls USING (source, session_id)
    WHERE polls.sequence < asked.sequence
        AND polls.run_id NOT IN (SELECT unnest($1))
        AND (is_loaded_poll(polls.outcome, polls.pages) OR polls.outcome IN ('gone', 'forbidden'))
    GROUP BY ALL
)

SELECT asked.*, earlier.outcome IS NOT NULL AND earlier.outcome = asked.outcome AS is_known
FROM asked
LEFT JOIN earlier USING (run_id, source, session_id)
ORDER BY threads_listed DESC, source, session_id
