-- What was created and closed on each of the last 14 days (UTC), the newest first.
WITH days AS (
    SELECT created_at::DATE AS day, 'created' AS event, NULL AS elapsed_seconds, FALSE AS has_failed
    FROM analytics.thread_durations
    WHERE created_at IS NOT NULL
    UNION ALL
    SELECT closed_at::DATE, 'closed', elapsed_seconds, basis = 'terminated'
    FROM analytics.thread_durations
    WHERE closed_at IS NOT NULL AND NOT is_censored
)

SELECT
    day,
    count_if(event = 'created') AS created,
    count_if(event = 'closed') AS closed,
    count_if(event = 'closed' AND has_failed) AS failed,
    count_if(event = 'created') - count_if(event = 'closed') AS net,
    quantile_disc(elapsed_seconds, 0.5) AS median_lifetime
FROM days
WHERE day <= (SELECT max(as_of)::DATE FROM source_as_of)
GROUP BY day
ORDER BY day DESC
LIMIT 14
