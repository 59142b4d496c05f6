-- answers: How did the distribution over the statuses move (cumulative flow)?
-- grain: one row per source, hour since its first poll (of ten years at most), and status that it ever had
-- columns:
--   source: name of the source
--   hour: beginning of the hour (UTC)
--   counted_at: the end of the hour, or as_of of the source if that comes before; threads are those at this time (UTC)
--   status: status as the server says it, (none) if it says none, (other) for all but the known and the 20 most frequent others, (unobserved) from a thread's birth to the spell in which it was first seen
--   threads: number of threads in the status then; those that had gone missing, or that nobody watched any more, left out
--   sessions_polled: number of sessions with a complete poll that began in the hour
--   sessions_resting: number of sessions polled earlier that were not asked in the hour because nothing pointed to news, so that their threads are counted as they were seen before
--   sessions_stale: number of the other sessions polled earlier that had no complete poll in the hour, so that their threads are counted as they were seen before, or no more if nobody watches them
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
--       SELECT source, count_if(missing_since IS NULL AND unwatched_since IS NULL) AS threads
--       FROM threads LEFT JOIN unwatched_sessions USING (source, session_id) GROUP BY source
--     ) AS listed USING (source)
--     WHERE ended.threads <> listed.threads
WITH spans AS MATERIALIZED (FROM source_hours),

polls AS (
    SELECT
        source,
        session_id,
        least(greatest(time_bucket(INTERVAL 1 HOUR, started_at), spans.first_hour), spans.last_hour) AS hour,
        min(hour) OVER (PARTITION BY source, session_id) AS first_hour,
        is_complete_poll(outcome, status_filter) AS is_complete
    FROM session_polls
    JOIN spans USING (source)
    WHERE outcome <> 'overtaken'
),

sessions AS (
    SELECT
        source,
        hour,
        count(DISTINCT session_id) FILTER (is_complete) AS polled,
        count(DISTINCT session_id) FILTER (hour = first_hour) AS new
    FROM polls
    GROUP BY source, hour
),

-- Who rests in every run of the hour has no poll in it.
resting AS (
    SELECT
        source,
        least(greatest(time_bucket(INTERVAL 1 HOUR, polls.started_at), spans.first_hour), spans.last_hour) AS hour,
        min(sessions_resting) AS sessions
    FROM source_polls AS polls
    JOIN spans USING (source)
    WHERE is_trusted IS NOT NULL
    GROUP BY ALL
),

coverage AS (
    SELECT
        hours.*,
        coalesce(sessions.polled, 0) AS sessions_polled,
        sum(sessions.new) OVER (PARTITION BY source ORDER BY hour) AS sessions_known,
        least(coalesce(resting.sessions, 0), sessions_known - sessions_polled)::BIGINT AS sessions_resting
    FROM (
        SELECT source, as_of, unnest(generate_series(first_hour, last_hour, INTERVAL 1 HOUR)) AS hour
        FROM spans
    ) AS hours
    LEFT JOIN sessions USING (source, hour)
    LEFT JOIN resting USING (source, hour)
),

hourly AS (
    SELECT source, status, epoch_us(changed_at) // 3_600_000_000 AS hour, sum(change) AS change
    FROM status_changes
    GROUP BY ALL
),

-- What lies outside counts in the first hour, and in that of the newest poll.
changes AS (
    SELECT
        source,
        status,
        least(greatest(to_timestamp(hourly.hour * 3600), first_hour), hour_of_newest) AS hour,
        sum(change) AS change
    FROM hourly
    JOIN spans USING (source)
    GROUP BY ALL
)

SELECT
    source,
    hour,
    least(hour + INTERVAL 1 HOUR, greatest(as_of, hour)) AS counted_at,
    status,
    coalesce(sum(changes.change) OVER (PARTITION BY source, status ORDER BY hour), 0)::BIGINT AS threads,
    coverage.sessions_polled,
    coverage.sessions_resting,
    (coverage.sessions_known - coverage.sessions_polled - coverage.sessions_resting)::BIGINT AS sessions_stale
FROM coverage
JOIN (SELECT DISTINCT source, status FROM changes) AS statuses USING (source)
LEFT JOIN changes USING (source, hour, status)
ORDER BY source, hour, status
