-- The numbers at the head of the page: one row.
WITH fleet AS (
    SELECT
        coalesce(sum(threads) FILTER (unwatched_since IS NULL), 0)::BIGINT AS threads,
        coalesce(sum(threads) FILTER (unwatched_since IS NOT NULL), 0)::BIGINT AS threads_unwatched,
        coalesce(sum(open) FILTER (unwatched_since IS NULL), 0)::BIGINT AS open,
        coalesce(sum(missing), 0)::BIGINT AS missing
    FROM analytics.session_summary
),

-- A session that its source's polls of a day left out was taken out of the configuration.
attempts AS (
    SELECT
        source,
        session_id,
        arg_max(started_at, sequence)
        > arg_max(arg_max(started_at, sequence), max(sequence)) OVER (PARTITION BY source) - INTERVAL 1 DAY
        AS is_polled
    FROM session_polls
    GROUP BY source, session_id
),

polled AS (
    SELECT
        count(*) AS sessions_polled,
        count(*) FILTER (failure_streak = 0 AND last_complete_poll IS NOT NULL) AS sessions_complete,
        count(*) FILTER (failure_streak > 0) AS sessions_failing,
        count(*) FILTER (failure_streak = 0 AND last_complete_poll IS NULL) AS sessions_filtered,
        count(*) FILTER (
            failure_streak = 0
            AND lag_seconds > if(quiet_as_of IS NULL, stale_after_seconds, resting_stale_after_seconds)
        ) AS sessions_behind,
        max(lag_seconds) FILTER (quiet_as_of IS NULL) AS largest_lag_seconds,
        count(quiet_as_of) AS sessions_resting,
        max(lag_seconds) FILTER (quiet_as_of IS NOT NULL) AS largest_resting_lag_seconds,
        max(missed_share_upper) AS missed_share_upper
    FROM analytics.ingestion_health
    JOIN attempts USING (source, session_id)
    CROSS JOIN staleness
    WHERE is_polled OR quiet_as_of IS NOT NULL
),

health AS (
    SELECT
        count(*) AS sessions,
        coalesce(sum(polls), 0)::BIGINT AS polls,
        coalesce(sum(failures), 0)::BIGINT AS failures,
        max(as_of) AS as_of
    FROM analytics.ingestion_health
),

waiting AS (
    SELECT
        count_if(severity <> 'low') AS attention,
        count_if(severity = 'high') AS attention_high,
        count_if(severity = 'low') AS attention_low
    FROM analytics.attention
),

changes AS (
    SELECT
        coalesce(sum(transitions), 0)::BIGINT AS transitions,
        coalesce(sum(possibly_missed), 0)::BIGINT AS possibly_missed
    FROM analytics.status_transitions
)

SELECT
    *,
    (SELECT min(started_at) FROM session_polls) AS first_poll,
    (SELECT list(DISTINCT source ORDER BY source) FROM analytics.ingestion_health) AS sources
FROM fleet, staleness, polled, health, waiting, changes
