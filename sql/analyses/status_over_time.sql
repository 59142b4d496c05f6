-- answers: How did the distribution over the statuses move (cumulative flow)?
-- grain: one row per source, hour since its first poll, and status that it ever had
-- columns:
--   source: name of the source
--   hour: beginning of the hour (UTC)
--   status: status as the server says it, (none) where it says none
--   threads: number of threads in the status at the end of the hour, in the newest hour at its newest poll; those that had gone missing left out
--   sessions_polled: number of sessions with a complete poll that began in the hour
--   sessions_stale: number of sessions polled earlier that had no complete poll in the hour, so that their threads are counted as they were seen before
-- checks:
--   counts_are_not_negative: FROM analytics.status_over_time WHERE threads < 0
--   ends_at_the_present: >-
--     SELECT source FROM (
--       SELECT source, sum(threads) AS threads FROM analytics.status_over_time
--       WHERE hour = (SELECT max(hour) FROM analytics.status_over_time AS newest
--                     WHERE newest.source = status_over_time.source)
--       GROUP BY source
--     ) AS ended
--     JOIN (
--       SELECT source, count_if(missing_since IS NULL) AS threads FROM threads GROUP BY source
--     ) AS listed USING (source)
--     WHERE ended.threads <> listed.threads
WITH polls AS (
    SELECT
        source,
        session_id,
        time_bucket(INTERVAL 1 HOUR, started_at) AS hour,
        outcome = 'complete' AND status_filter IS NULL AS is_complete,
        greatest(started_at, finished_at) AS finished_at
    FROM session_polls
    WHERE outcome <> 'overtaken'
),

sources AS (
    SELECT
        source,
        min(hour) AS first_hour,
        time_bucket(INTERVAL 1 HOUR, max(finished_at)) AS last_hour
    FROM polls
    GROUP BY source
),

hours AS (
    SELECT source, unnest(generate_series(first_hour, last_hour, INTERVAL 1 HOUR)) AS hour
    FROM sources
),

-- A thread enters a status in the hour in which the spell began and leaves it in that of its end.
-- Polls may overlap: one that began before a late page of another may be the first not to list it.
departures AS (
    SELECT source, status, ended_at AS left_at
    FROM thread_status_history
    WHERE ended_before IS NOT NULL
    UNION ALL
    SELECT source, current.status, greatest(threads.missing_since, current.changed_at)
    FROM thread_status_history AS current
    JOIN threads USING (source, session_id, thread_id)
    WHERE current.ended_before IS NULL AND threads.missing_since IS NOT NULL
),

moves AS (
    SELECT
        source,
        coalesce(status, '(none)') AS status,
        epoch_us(changed_at) // 3_600_000_000 AS hour,
        count(*) AS change
    FROM thread_status_history
    GROUP BY ALL
    UNION ALL
    SELECT source, coalesce(status, '(none)'), epoch_us(left_at) // 3_600_000_000, -count(*)
    FROM departures
    GROUP BY ALL
),

changes AS (
    SELECT
        moves.source,
        moves.status,
        least(greatest(to_timestamp(moves.hour * 3600), sources.first_hour), sources.last_hour) AS hour,
        sum(moves.change) AS change
    FROM moves
    JOIN sources USING (source)
    GROUP BY ALL
),

statuses AS (
    SELECT DISTINCT source, status
    FROM changes
),

polled AS (
    SELECT source, hour, count(DISTINCT session_id) FILTER (is_complete) AS sessions
    FROM polls
    GROUP BY source, hour
),

known AS (
    SELECT source, hour, count(*) AS sessions
    FROM (
        SELECT source, session_id, min(hour) AS hour
        FROM polls
        GROUP BY source, session_id
    )
    GROUP BY source, hour
),

coverage AS (
    SELECT
        hours.source,
        hours.hour,
        coalesce(polled.sessions, 0) AS sessions_polled,
        sum(known.sessions) OVER (PARTITION BY hours.source ORDER BY hours.hour) AS sessions_known
    FROM hours
    LEFT JOIN polled USING (source, hour)
    LEFT JOIN known USING (source, hour)
)

SELECT
    coverage.source,
    coverage.hour,
    statuses.status,
    coalesce(
        sum(changes.change) OVER (
            PARTITION BY coverage.source, statuses.status
            ORDER BY coverage.hour
        ),
        0
    )::BIGINT AS threads,
    coverage.sessions_polled,
    (coverage.sessions_known - coverage.sessions_polled)::BIGINT AS sessions_stale
FROM coverage
JOIN statuses USING (source)
LEFT JOIN changes
    ON changes.source = coverage.source
    AND changes.hour = coverage.hour
    AND changes.status = statuses.status
ORDER BY coverage.source, coverage.hour, statuses.status
