-- What some runs show of our clock, a row for each and its source: how far it was ahead of the server's, and
-- when the run before began.
WITH placed AS (
    SELECT run_id, sequence, started_at, lag(started_at) OVER (ORDER BY sequence) AS previous_at
    FROM runs
)

SELECT
    placed.sequence,
    polls.source,
    median(polls.clock_skew_seconds) AS skew_seconds,
    placed.started_at,
    placed.previous_at
FROM placed
JOIN session_polls AS polls USING (run_id)
WHERE run_id IN (SELECT unnest(?))
GROUP BY ALL
ORDER BY placed.sequence, polls.source
