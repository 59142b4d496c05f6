-- answers: What does each session look like at a glance?
-- grain: one row per session that was ever polled
-- show: [label or session_id, threads, open, running, idle, blocked, missing, peak_concurrency, cost_amount, cost_currency, last_updated_at]
-- columns:
--   source: name of the source
--   session_id: session
--   label: what the configuration called it at the newest poll that gave it a label, else its title
--   unwatched_since: beginning of the first poll that said that the session is gone or forbidden, or of the run that left it out; null while it is watched (UTC)
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
--   last_child_lag_seconds: last update of a coordinator - last update of a child; negative if a child moved after it, null without one of them (seconds)
--   tokens_from: "session: its own object says how many tokens it used; threads: those do that are counted in tokens_known; null if nobody does"
--   tokens_known: how many of its threads, missing ones included, say how many tokens they used
--   input_tokens: tokens read, as tokens_from says; null if nobody says it
--   output_tokens: tokens written, as tokens_from says; null if nobody says it
--   cost_from: "session: its own object says what it cost, which is authoritative; threads: the costs of those that are counted in cost_known, in one currency, added up, though each was rounded; null if nobody says it, or in several currencies, which are never added"
--   cost_known: how many of its threads, missing ones included, say what they cost
--   cost_amount: what it cost by list price, in major units, as cost_from says
--   cost_currency: currency of that, or credits
--   as_of: beginning of the newest poll of the session that brought something; null if none did (UTC)
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
--   cost_has_a_currency: >-
--     FROM analytics.session_summary WHERE (cost_amount IS NULL) <> (cost_currency IS NULL)
WITH counts AS (
    SELECT
        source,
        session_id,
        count(*) FILTER (is_listed) AS threads,
        count(*) FILTER (is_listed AND is_open) AS open,
        count(*) FILTER (is_listed AND status = 'idle') AS idle,
        count(*) FILTER (is_listed AND status = 'running') AS running,
        count(*) FILTER (is_listed AND status = 'rescheduling') AS rescheduling,
        count(*) FILTER (is_listed AND status = 'blocked') AS blocked,
        count(*) FILTER (is_listed AND status = 'archived') AS archived,
        count(*) FILTER (is_listed AND status = 'terminated') AS terminated,
        threads - idle - running - rescheduling - blocked - archived - terminated AS other,
        count(missing_since) AS missing,
        min(created_at) AS first_created_at,
        max(updated_at) AS last_updated_at,
        max(updated_at) FILTER (role = 'coordinator') AS parent_moved,
        max(updated_at) FILTER (role = 'child') AS child_moved
    FROM latest_polls
    LEFT JOIN (SELECT *, missing_since IS NULL AS is_listed FROM threads) AS members
        USING (source, session_id)
    GROUP BY source, session_id
),

trees AS (
    SELECT source, session_id, max(depth) AS depth, max(children) AS max_fan_out
    FROM analytics.thread_durations
    GROUP BY ALL
),

-- Few threads have no depth, and orphans are among them.
rootless AS (
    SELECT source, session_id, thread_id, threads.parent_thread_id
    FROM analytics.thread_durations AS durations
    JOIN threads USING (source, session_id, thread_id)
    WHERE durations.depth IS NULL
),

orphans AS (
    SELECT source, session_id, count(*) AS orphans
    FROM rootless
    WHERE (source, session_id, parent_thread_id) NOT IN (SELECT (source, session_id, thread_id) FROM rootless)
    GROUP BY source, session_id
)

SELECT
    source, session_id, latest.label, unwatched.unwatched_since,
    counts.* EXCLUDE (
        source, session_id, first_created_at, last_updated_at, parent_moved, child_moved
    ),
    trees.depth,
    coalesce(trees.max_fan_out, 0) AS max_fan_out,
    coalesce(orphans.orphans, 0) AS orphans,
    coalesce(peaks.peak_concurrency, 0) AS peak_concurrency,
    counts.first_created_at, counts.last_updated_at,
    seconds_between(counts.first_created_at, counts.last_updated_at) AS span_seconds,
    seconds_between(counts.child_moved, counts.parent_moved) AS last_child_lag_seconds,
    used.* EXCLUDE (source, session_id),
    latest.loaded_at AS as_of
FROM latest_polls AS latest
JOIN counts USING (source, session_id)
JOIN session_usage AS used USING (source, session_id)
LEFT JOIN unwatched_sessions AS unwatched USING (source, session_id)
LEFT JOIN trees USING (source, session_id)
LEFT JOIN orphans USING (source, session_id)
LEFT JOIN session_peaks AS peaks USING (source, session_id)
ORDER BY source, session_id
