-- The sessions whose numbers are old: their last poll failed, or none was ever complete.
SELECT
    coalesce(label, session_id) AS session,
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
WHERE failure_streak > 0 OR last_complete_poll IS NULL OR lag_seconds > 3600
ORDER BY failure_streak DESC, lag_seconds DESC NULLS FIRST, source, session_id
LIMIT 20
