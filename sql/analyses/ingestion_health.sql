-- answers: Can I trust these numbers?
-- grain: one row per session that was ever polled
-- show: [label or session_id, last_outcome, failure_streak, lag_seconds, threads, missing, last_error]
-- columns:
--   source: name of the source
--   session_id: session
--   label: what the configuration called it at the newest poll that gave it a label, else its title
--   last_complete_poll: beginning of the last complete poll; null if there was none (UTC)
--   lag_seconds: time from then to the newest poll of the source, also one that failed; null if there was none (seconds)
--   polls: number of polls, filtered ones included
--   failures: polls that did not end complete, overtaken and filtered ones not counted
--   failure_streak: failures since the last complete poll
--   last_outcome: outcome of the last poll that was not overtaken or filtered; null if there was none
--   last_error: what went wrong in the last failure of that streak; null if there is none
--   threads: number of threads ever seen
--   open_threads: number of them that are open and not missing
--   missing: number of them that the newest complete poll no longer listed
--   clock_skew_seconds: how far this machine's clock was ahead of the server's at the newest poll that shows it; null if none does (seconds)
--   quiet_as_of: of a session that rests, beginning of the newest list of sessions, which found it quiet; its threads are as old as last_complete_poll (UTC)
--   missed_share_upper: of a session that rests, upper bound of the share of changes that its source does not announce, with a confidence of 95 %; for the mix of changes seen so far
--   as_of: beginning of the newest poll of the session, also of one that failed or was overtaken (UTC)
-- checks:
--   one_row_per_session: >-
--     SELECT source, session_id, count(*) AS found FROM analytics.ingestion_health
--     GROUP BY ALL HAVING count(*) > 1
--   no_session_is_lost: >-
--     SELECT source, session_id FROM session_polls
--     ANTI JOIN analytics.ingestion_health USING (source, session_id)
WITH polls AS (
    SELECT
        *,
        outcome NOT IN ('complete', 'overtaken') AND status_filter IS NULL AS is_failure,
        max(sequence) FILTER (is_complete_poll(outcome, status_filter)) OVER session AS last_success,
        is_failure AND coalesce(sequence > last_success, TRUE) AS is_in_streak,
        arg_max(started_at, (sequence, started_at)) OVER (PARTITION BY source) AS newest_of_source
    FROM session_polls
    WINDOW session AS (PARTITION BY source, session_id)
),

sessions AS (
    SELECT
        source,
        session_id,
        any_value(newest_of_source) AS newest_of_source,
        count(*) AS polls,
        count(*) FILTER (is_failure) AS failures,
        count(*) FILTER (is_in_streak) AS failure_streak,
        arg_max_null(error_message, sequence) FILTER (is_in_streak) AS last_error,
        arg_max(clock_skew_seconds, sequence) AS clock_skew_seconds,
        arg_max(started_at, sequence) AS as_of
    FROM polls
    GROUP BY source, session_id
),

counts AS (
    SELECT
        source,
        session_id,
        count(*) AS threads,
        count(*) FILTER (is_open AND missing_since IS NULL) AS open_threads,
        count(missing_since) AS missing
    FROM threads
    GROUP BY source, session_id
)

SELECT
    sessions.source,
    sessions.session_id,
    latest.label,
    latest.complete_at AS last_complete_poll,
    seconds_between(latest.complete_at, sessions.newest_of_source) AS lag_seconds,
    sessions.polls,
    sessions.failures,
    sessions.failure_streak,
    latest.last_outcome,
    sessions.last_error,
    coalesce(counts.threads, 0) AS threads,
    coalesce(counts.open_threads, 0) AS open_threads,
    coalesce(counts.missing, 0) AS missing,
    sessions.clock_skew_seconds,
    resting.quiet_as_of,
    resting.missed_share_upper,
    sessions.as_of
FROM sessions
JOIN latest_polls AS latest USING (source, session_id)
LEFT JOIN counts USING (source, session_id)
LEFT JOIN resting_sessions AS resting USING (source, session_id)
ORDER BY sessions.failure_streak DESC, lag_seconds DESC NULLS FIRST, sessions.source, sessions.session_id
