-- answers: How many threads were open at once?
-- grain: one row per source and hour since its first poll (of ten years at most), as in status_over_time, and before that since the first birth of a thread, 31 days at most, if its first polls listed threads that had closed (source_entry); what was open before is open as the first begins
-- columns:
--   source: name of the source
--   hour: beginning of the hour (UTC)
--   is_polled: whether polls speak of the hour; if not, it is known from the dates of threads that were listed later alone, and threads that the first poll no longer listed are missing
--   open_peak: largest number of threads open at one time, as the history has it; a thread is open from created_at, or if that is null from when it was first seen, until it closes, goes missing, or its session is no longer watched
--   open_mean: mean number of open threads; of the hour of as_of in the part before it; in a later one, to which no poll brought anything, as many as then
--   arrivals: number of threads that were created, or reopened
--   completions: number of threads that closed, or went missing
--   backlog: number of threads open at the end of the hour, or at as_of
--   threads_unwatched: number of threads that were open when their sessions came to be watched no longer, until then; they are not in backlog
--   as_of: beginning of the newest poll of the source that brought something, or said that a session is gone (UTC)
--   as_of_oldest: the oldest of such polls, each the newest of its session (UTC)
-- checks:
--   peaks_are_highest: FROM analytics.concurrency WHERE open_peak < backlog OR open_peak < open_mean - 1e-6
--   nothing_is_negative: FROM analytics.concurrency WHERE backlog < 0 OR open_mean < -1e-6
--   backlog_follows: >-
--     FROM analytics.concurrency
--     QUALIFY backlog + threads_unwatched <> lag(backlog + threads_unwatched)
--     OVER (PARTITION BY source ORDER BY hour) + arrivals - completions
WITH newest AS (
    SELECT
        source, as_of, as_of_oldest,
        epoch_us(first_hour) // 3_600_000_000 AS polled_hour,
        epoch_us(if(entry.closed_before > 0, dated_hour, first_hour)) // 3_600_000_000 AS first_hour,
        epoch_us(last_hour) // 3_600_000_000 AS last_hour,
        epoch_us(greatest(as_of, hours.first_hour)) AS seen_us,
        row_number() OVER ()::SMALLINT AS source_number
    FROM source_hours AS hours
    LEFT JOIN source_entry AS entry USING (source)
    WHERE as_of IS NOT NULL
),

-- Clocks may differ: what is dated after the newest poll has happened by then.
placed AS (
    SELECT
        source_number, change, is_completion,
        changed_at < to_timestamp(first_hour * 3600) AS is_earlier,
        least(greatest(epoch_us(changed_at), first_hour * 3_600_000_000), seen_us) AS at_us, seen_us
    FROM open_changes
    JOIN newest USING (source)
),

counted AS (
    SELECT
        *,
        (at_us // 3_600_000_000)::INTEGER AS hour,
        least((at_us // 3_600_000_000 + 1) * 3_600_000_000, seen_us) - at_us AS rest_us,
        sum(change::DOUBLE) OVER (
            PARTITION BY source_number, (at_us // 3_600_000_000)::INTEGER
            ORDER BY at_us, change
            ROWS UNBOUNDED PRECEDING
        ) AS opened_in_hour
    FROM placed
),

hourly AS (
    SELECT
        source_number, hour,
        -- At the first instant only what it leaves open counts.
        max(opened_in_hour) FILTER (at_us % 3_600_000_000 > 0) AS peak_in_hour,
        sum(change) FILTER (at_us % 3_600_000_000 = 0) AS change_at_first,
        sum(change) AS change,
        sum(change::DOUBLE * rest_us) AS open_us,
        count(*) FILTER (change > 0 AND NOT is_earlier) AS arrivals,
        count(*) FILTER (is_completion AND NOT is_earlier) AS completions,
        count_if(change < 0 AND NOT is_completion) AS left_unwatched
    FROM counted
    GROUP BY source_number, hour
),

hours AS (
    SELECT *, unnest(generate_series(first_hour, last_hour)) AS hour
    FROM newest
    SEMI JOIN hourly USING (source_number)
),

backlogs AS (
    SELECT
        hours.*, hourly.* EXCLUDE (source_number, hour, change),
        greatest(least(3_600_000_000, hours.seen_us - hours.hour * 3_600_000_000), 0) AS length_us,
        coalesce(sum(hourly.change) OVER in_time, 0) AS backlog,
        coalesce(sum(left_unwatched) OVER in_time, 0)::BIGINT AS threads_unwatched,
        backlog - coalesce(hourly.change, 0) AS backlog_before
    FROM hours
    LEFT JOIN hourly USING (source_number, hour)
    WINDOW in_time AS (PARTITION BY hours.source ORDER BY hours.hour)
)

SELECT
    source,
    to_timestamp(hour * 3600) AS hour,
    hour >= polled_hour AS is_polled,
    (backlog_before + greatest(coalesce(change_at_first, 0), peak_in_hour))::BIGINT AS open_peak,
    coalesce((backlog_before * length_us::DOUBLE + coalesce(open_us, 0)) / nullif(length_us, 0), backlog)
    AS open_mean,
    coalesce(arrivals, 0) AS arrivals,
    coalesce(completions, 0) AS completions,
    backlog::BIGINT AS backlog,
    threads_unwatched, as_of, as_of_oldest
FROM backlogs
ORDER BY source, hour
