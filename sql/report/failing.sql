-- The sessions whose numbers are old: their last poll failed, no poll was ever complete, or the last that was
-- is stale. Those that are polled no longer (for a day, see headline.sql) are left out.
WITH attempts AS (
    SELECT
        source,
        session_id,
        arg_max(started_at, sequence)
        > arg_max(arg_max(started_at, sequence), max(sequence)) OVER (PARTITION BY source) - INTERVAL 1 DAY
        AS is_polled
    FROM session_polls
    GROUP BY source, session_id
)

SELECT
    label AS session,
    session_id,
    source,
    last_outcome,
    failure_streak,
    last_complete_poll,
    lag_seconds,
    threads,
    last_error,
    count(*) OVER () AS total
FROM analytics.ingestion_health
JOIN attempts USING (source, session_id)
CROSS JOIN staleness
WHERE (is_polled OR quiet_as_of IS NOT NULL)
    AND (
        failure_streak > 0
        OR last_complete_poll IS NULL
        OR lag_seconds > if(quiet_as_of IS NULL, stale_after_seconds, resting_stale_after_seconds)
    )
ORDER BY failure_streak DESC, lag_seconds DESC NULLS FIRST, source, session_id
LIMIT 20
