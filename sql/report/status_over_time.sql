-- How many threads were in each status at the end of some 300 equal spans of time at most. Statuses
-- that the server does not document count together. A source that is polled no longer keeps its last
-- counts, as it does in what is known now.
WITH hours AS (
    SELECT
        source,
        hour,
        coalesce(statuses.status, 'other') AS status,
        sum(threads)::BIGINT AS threads
    FROM analytics.status_over_time AS moved
    LEFT JOIN statuses ON statuses.status = moved.status
    GROUP BY ALL
),

span AS (
    SELECT
        min(hour) AS first_hour,
        max(hour) AS last_hour,
        greatest(1, ceil((date_diff('hour', first_hour, last_hour) + 1) / 300))::BIGINT AS width
    FROM hours
),

buckets AS (
    SELECT
        bucket AS starts_at,
        least(bucket + to_hours(width), last_hour + INTERVAL 1 HOUR) AS ends_at,
        ends_at - INTERVAL 1 HOUR AS newest_hour
    FROM span, unnest(generate_series(first_hour, last_hour, to_hours(width))) AS _ (bucket)
),

series AS (
    SELECT DISTINCT source, status
    FROM hours
)

SELECT
    buckets.starts_at,
    buckets.ends_at,
    series.status,
    coalesce(sum(hours.threads), 0)::BIGINT AS threads
FROM buckets
CROSS JOIN series
ASOF LEFT JOIN hours
    ON hours.source = series.source
    AND hours.status = series.status
    AND hours.hour <= buckets.newest_hour
GROUP BY buckets.starts_at, buckets.ends_at, series.status
ORDER BY buckets.starts_at, series.status
