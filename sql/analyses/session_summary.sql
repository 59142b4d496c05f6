-- answers: What does each session look like at a glance?
-- grain: one row per session that was ever polled
-- columns:
--   source: name of the source
--   session_id: session
--   label: what the configuration called it at its last poll
--   threads: number of threads, those that are missing from the newest complete poll left out
--   open: number of them that are open
--   idle: number of them in status idle
--   running: number of them in status running
--   rescheduling: number of them in status rescheduling
--   blocked: number of them in status blocked
--   archived: number of them in status archived
--   terminated: number of them in status terminated
--   other: number of them in any other status
--   missing: number of threads that the newest complete poll no longer listed; they count in what follows
--   depth: largest number of ancestors of a thread
--   max_fan_out: largest number of threads that one thread created itself
--   orphans: number of threads whose parent was never listed
--   peak_concurrency: largest number of threads open at one time; those without created_at are left out (data_quality counts them as undated)
--   first_created_at: when its first thread was created (UTC)
--   last_updated_at: when a thread of it was updated last (UTC)
--   span_seconds: last_updated_at - first_created_at (seconds)
--   last_child_lag_seconds: last update of a coordinator - last update of a child; negative where a child moved after it, null without one of them (seconds)
--   as_of: beginning of the newest poll of the session that brought something; null where none did (UTC)
-- needs: [session_polls, thread_durations, threads]
-- checks:
--   one_row_per_session: >-
--     SELECT source, session_id, count(*) AS found FROM analytics.session_summary
--     GROUP BY ALL HAVING count(*) > 1
--   no_session_is_lost: >-
--     SELECT source, session_id FROM session_polls
--     ANTI JOIN analytics.session_summary USING (source, session_id)
--   statuses_add_up: >-
--     FROM analytics.session_summary WHERE threads <>
--     idle + running + rescheduling + blocked + archived + terminated + other
WITH sessions AS (
    SELECT
        source,
        session_id,
        row_number() OVER ()::INTEGER AS session,
        arg_max_null(label, started_at) AS label,
        max(started_at) FILTER (outcome <> 'overtaken' AND pages > 0) AS as_of
    FROM session_polls
    GROUP BY source, session_id
),

counts AS (
    SELECT
        source,
        session_id,
        count_if(missing_since IS NULL) AS threads,
        count_if(missing_since IS NULL AND is_open) AS open,
        count(*) FILTER (missing_since IS NULL AND status = 'idle') AS idle,
        count(*) FILTER (missing_since IS NULL AND status = 'running') AS running,
        count(*) FILTER (missing_since IS NULL AND status = 'rescheduling') AS rescheduling,
        count(*) FILTER (missing_since IS NULL AND status = 'blocked') AS blocked,
        count(*) FILTER (missing_since IS NULL AND status = 'archived') AS archived,
        count(*) FILTER (missing_since IS NULL AND status = 'terminated') AS terminated,
        count(missing_since) AS missing,
        min(created_at) AS first_created_at,
        max(updated_at) AS last_updated_at,
        max(updated_at) FILTER (role = 'coordinator') AS coordinator_updated_at,
        max(updated_at) FILTER (role = 'child') AS child_updated_at
    FROM threads
    GROUP BY source, session_id
),

trees AS (
    SELECT source, session_id, max(depth) AS depth, max(children) AS max_fan_out
    FROM analytics.thread_durations
    GROUP BY source, session_id
),

-- Only few threads have no depth: those below an orphan, and those of a cycle.
rootless AS (
    SELECT threads.source, threads.session_id, threads.thread_id, threads.parent_thread_id
    FROM threads
    JOIN analytics.thread_durations AS durations USING (source, session_id, thread_id)
    WHERE durations.depth IS NULL
),

orphans AS (
    SELECT source, session_id, count(*) AS orphans
    FROM rootless AS child
    ANTI JOIN rootless AS parent
        ON parent.source = child.source
        AND parent.session_id = child.session_id
        AND parent.thread_id = child.parent_thread_id
    GROUP BY source, session_id
),

-- A thread is open from its birth until just before its end. One that went missing while it was
-- open counts until then.
moves AS (
    SELECT source, session_id, created_at AS moved_at, 1 AS change
    FROM threads
    WHERE created_at IS NOT NULL
    UNION ALL
    SELECT
        source,
        session_id,
        greatest(
            created_at,
            CASE WHEN is_open THEN missing_since ELSE coalesce(archived_at, updated_at, last_changed_at) END
        ),
        -1
    FROM threads
    WHERE created_at IS NOT NULL
        AND (NOT is_open OR missing_since IS NOT NULL)
),

-- To sort by numbers is much faster than by strings.
peaks AS (
    SELECT session, max(open) AS peak_concurrency
    FROM (
        SELECT
            sessions.session,
            sum(moves.change::DOUBLE) OVER (
                PARTITION BY sessions.session
                ORDER BY moves.moved_at, moves.change
                ROWS UNBOUNDED PRECEDING
            ) AS open
        FROM moves
        JOIN sessions USING (source, session_id)
    )
    GROUP BY session
)

SELECT
    sessions.source,
    sessions.session_id,
    sessions.label,
    coalesce(counts.threads, 0) AS threads,
    coalesce(counts.open, 0) AS open,
    coalesce(counts.idle, 0) AS idle,
    coalesce(counts.running, 0) AS running,
    coalesce(counts.rescheduling, 0) AS rescheduling,
    coalesce(counts.blocked, 0) AS blocked,
    coalesce(counts.archived, 0) AS archived,
    coalesce(counts.terminated, 0) AS terminated,
    coalesce(
        counts.threads - counts.idle - counts.running - counts.rescheduling - counts.blocked
        - counts.archived - counts.terminated,
        0
    ) AS other,
    coalesce(counts.missing, 0) AS missing,
    trees.depth,
    coalesce(trees.max_fan_out, 0) AS max_fan_out,
    coalesce(orphans.orphans, 0) AS orphans,
    coalesce(peaks.peak_concurrency, 0)::BIGINT AS peak_concurrency,
    counts.first_created_at,
    counts.last_updated_at,
    (epoch_us(counts.last_updated_at) - epoch_us(counts.first_created_at)) / 1e6 AS span_seconds,
    (
        epoch_us(counts.coordinator_updated_at) - epoch_us(counts.child_updated_at)
    ) / 1e6 AS last_child_lag_seconds,
    sessions.as_of
FROM sessions
LEFT JOIN counts USING (source, session_id)
LEFT JOIN trees USING (source, session_id)
LEFT JOIN orphans USING (source, session_id)
LEFT JOIN peaks USING (session)
ORDER BY sessions.source, sessions.session_id
