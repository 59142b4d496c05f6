-- answers: What is odd in the data?
-- grain: one row per check and source, also if nothing was found; unknown fields, which are recorded for all sources together, have the source (any)
-- show: [check, rows, example, source]
-- columns:
--   check: "negative_duration (closed or last seen before it was created), updated_before_created, clock_skew (dated after the page that said so had arrived), wrong_clock (the clock of this machine was more than five minutes off at the newest poll of a session, or an earlier poll is dated later), undated (no created_at), unreadable_time (a time that is none, or cannot be: it stands in extra), regression (a poll brought an older state, which was not applied), orphan (its parent was never listed), parent_cycle (its ancestors lead back to themselves), unknown_status, unconfirmed (its newest complete poll did not list it, and whether it is gone is not known: beyond lookup_limit, or its look-up failed), unknown_field"
--   source: name of the source
--   rows: number of threads that it holds for; of regressions the number of times, of wrong_clock that of sessions, of unknown fields that of paths and types
--   example: one of them, as session/thread, or the field; null if there is none
--   as_of: beginning of the newest poll of the source, or of all of them, that brought something; null if none did (UTC)
-- checks:
--   examples_stand_beside_findings: FROM analytics.data_quality WHERE (rows > 0) <> (example IS NOT NULL)
-- warnings:
--   nothing_is_odd: SELECT "check", source, rows, example FROM analytics.data_quality WHERE rows > 0
WITH rootless AS MATERIALIZED (
    -- Whoever is an orphan or in a cycle has no depth: these are few.
    SELECT source, session_id, thread_id, threads.parent_thread_id, threads.rowid AS thread_row
    FROM threads
    SEMI JOIN (FROM analytics.thread_durations WHERE depth IS NULL) AS deep USING (source, session_id, thread_id)
),

newest AS (
    SELECT source, as_of FROM source_as_of
    UNION ALL
    SELECT '(any)', max(as_of) FROM source_as_of HAVING count(*) > 0
),

odd_threads AS (
    SELECT
        source, session_id, thread_id,
        unnest([
            CASE WHEN updated_at < created_at THEN 'updated_before_created' END,
            CASE WHEN greatest(created_at, updated_at, archived_at) > last_changed_at THEN 'clock_skew' END,
            CASE WHEN created_at IS NULL THEN 'undated' END,
            CASE
                WHEN coalesce(extra ->> '$.created_at', extra ->> '$.updated_at', extra ->> '$.archived_at')
                    IS NOT NULL
                    THEN 'unreadable_time'
            END,
            CASE WHEN status IS NULL OR status NOT IN (SELECT status FROM statuses) THEN 'unknown_status' END
        ]) AS "check"
    FROM threads
    UNION ALL
    SELECT source, session_id, thread_id, 'negative_duration'
    FROM analytics.thread_durations
    WHERE elapsed_seconds IS NULL AND created_at IS NOT NULL AND (is_censored OR closed_at IS NOT NULL)
    UNION ALL
    SELECT source, session_id, thread_id, CASE WHEN is_orphan THEN 'orphan' ELSE 'parent_cycle' END
    FROM places_of('rootless')
    WHERE is_orphan OR is_in_cycle
),

findings AS (
    SELECT "check", source, 1 AS rows, session_id || '/' || thread_id AS example
    FROM odd_threads
    WHERE "check" IS NOT NULL
    UNION ALL
    SELECT 'regression', source, threads_regressed, session_id
    FROM session_polls
    WHERE threads_regressed > 0
    UNION ALL
    SELECT 'wrong_clock', source, 1, session_id
    FROM session_polls
    GROUP BY source, session_id
    HAVING abs(arg_max(clock_skew_seconds, sequence)) > 300
        OR max(started_at) > arg_max(started_at, sequence) + INTERVAL 5 MINUTE
    UNION ALL
    SELECT 'unconfirmed', polls.source, polls.threads_unconfirmed, polls.session_id
    FROM session_polls AS polls
    JOIN latest_polls AS latest USING (source, session_id)
    WHERE polls.threads_unconfirmed > 0 AND polls.sequence = latest.complete_sequence
    UNION ALL
    SELECT 'unknown_field', '(any)', 1, path || ' (' || json_type || ')'
    FROM schema_drift
    WHERE value IS NULL
),

checks AS (
    SELECT newest.source, newest.as_of, names.name
    FROM newest
    JOIN (
        SELECT unnest([
            'negative_duration', 'updated_before_created', 'clock_skew', 'wrong_clock', 'undated',
            'unreadable_time', 'regression', 'orphan', 'parent_cycle', 'unknown_status', 'unconfirmed', 'unknown_field'
        ]) AS name
    ) AS names
        ON (names.name = 'unknown_field') = (newest.source = '(any)')
)

SELECT
    checks.name AS "check", checks.source,
    coalesce(sum(findings.rows), 0)::BIGINT AS rows, min(findings.example) AS example,
    checks.as_of
FROM checks
LEFT JOIN findings
    ON findings."check" = checks.name
    AND findings.source = checks.source
GROUP BY checks.name, checks.source, checks.as_of
ORDER BY rows DESC, checks.name, checks.source
