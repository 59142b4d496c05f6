-- answers: How many threads were created and closed each day?
-- grain: one row per source, day (UTC) and role, of each day on which one was created or closed, until as_of
-- show: [day, source, role, created, closed, net, median_seconds, archived, terminated, vanished]
-- columns:
--   day: the day, from midnight to midnight in UTC
--   source: name of the source
--   role: coordinator or child, never mixed
--   created: number of threads that were created
--   closed: number of threads that closed, as closed_at of thread_durations says
--   archived: number of these with basis archived
--   terminated: number of these with basis terminated
--   cancelled: number of these with basis cancelled
--   vanished: number of these that closed unseen, in the middle of when they may have
--   net: created - closed
--   median_seconds: median lifetime of those that closed, one that occurs; null if none closed (seconds)
--   as_of: beginning of the newest poll of the source that brought something, or said that a session is gone; the last day goes on (UTC)
-- checks:
--   closings_add_up: FROM analytics.throughput WHERE closed <> archived + terminated + cancelled + vanished
--   no_thread_is_lost: >-
--     SELECT sum(created) AS created FROM analytics.throughput HAVING sum(created) <> (
--       SELECT count(*) FROM analytics.thread_durations JOIN source_as_of USING (source)
--       WHERE created_at <= source_as_of.as_of
--     )
WITH events AS (
    SELECT source, role, created_at AS happened_at, NULL AS basis, NULL AS elapsed_seconds
    FROM analytics.thread_durations
    UNION ALL
    SELECT source, role, closed_at, basis, elapsed_seconds
    FROM analytics.thread_durations
    WHERE NOT is_censored
)

SELECT
    (happened_at AT TIME ZONE 'UTC')::DATE AS day,
    source,
    role,
    count(*) FILTER (basis IS NULL) AS created,
    count(basis) AS closed,
    count(*) FILTER (basis = 'archived') AS archived,
    count(*) FILTER (basis = 'terminated') AS terminated,
    count(*) FILTER (basis = 'cancelled') AS cancelled,
    count(*) FILTER (basis = 'vanished') AS vanished,
    created - closed AS net,
    quantile_disc(elapsed_seconds, 0.5) AS median_seconds,
    as_of
FROM events
JOIN source_as_of USING (source)
WHERE happened_at <= as_of
GROUP BY day, source, role, as_of
ORDER BY source, day, role
