-- The newest week, day or hour beside the one before: the longest of which the polls cover two, nearly.
WITH present AS (
    SELECT max(as_of) AS as_of FROM source_as_of
),

period AS (
    SELECT as_of, seconds_between(min(started_at), as_of) AS polled_seconds, list_max(
        list_filter([604800, 86400, 3600], lambda width: polled_seconds >= 1.5 * width)
    ) AS width
    FROM session_polls, present
    GROUP BY as_of
),

-- Of a thread what happened in the newest period (0) or the one before (1).
events AS (
    SELECT
        *,
        floor(seconds_between(created_at, period.as_of) / width) AS created_in,
        CASE WHEN NOT is_censored THEN floor(seconds_between(closed_at, period.as_of) / width) END AS closed_in,
        basis = 'terminated' OR stop_reason_type IN ('retries_exhausted', 'budget_reached', 'refusal') AS has_failed
    FROM analytics.thread_durations
    CROSS JOIN period
    WHERE width IS NOT NULL
)

SELECT
    ago,
    any_value(width) AS width,
    count_if(created_in = ago) AS created,
    count_if(closed_in = ago) AS closed,
    count_if(closed_in = ago AND has_failed) / nullif(closed, 0) AS failed_share,
    count(elapsed_seconds) FILTER (closed_in = ago AND role = 'child') AS n_lifetimes,
    quantile_disc(elapsed_seconds, 0.5) FILTER (closed_in = ago AND role = 'child') AS median_lifetime,
    quantile_disc(elapsed_seconds, 0.95) FILTER (closed_in = ago AND role = 'child') AS p95_lifetime
FROM events
CROSS JOIN (SELECT unnest([0, 1]) AS ago) AS periods
GROUP BY ago
ORDER BY ago
