-- answers: How long has each thread lived?
-- grain: one row per thread
-- show: [thread_id, session_id, agent, role, status, elapsed_seconds, is_censored, quiet_seconds]
-- columns:
--   source: name of the source
--   session_id: session
--   thread_id: thread, unique within its session
--   role: coordinator or child
--   agent: id of the agent, or its name if it has no id
--   agent_version: version of the agent
--   model: model of the agent
--   status: status as the server says it
--   stop_reason_type: why its last turn ended
--   missing_since: beginning of the first complete poll that no longer listed it; null while it is listed (UTC)
--   elapsed_seconds: "lifetime: to archived_at or updated_at of a closed thread, to as_of of an open one; null if it would be negative or an end is not known (seconds)"
--   is_censored: true if the thread is open, so that elapsed_seconds is its age and no duration
--   basis: archived (archived_at is set), terminated (closed without it) or open
--   active_span_seconds: updated_at - created_at (seconds)
--   quiet_seconds: as_of - updated_at of an open thread; 0 if it was updated during the poll (seconds)
--   active_seconds: time of work as the server counts it (seconds)
--   depth: number of ancestors; null under a parent that is not listed or in a cycle
--   children: number of threads it created itself
--   as_of: beginning of the newest poll that the row rests on (UTC)
-- checks:
--   as_many_rows_as_threads: >-
--     SELECT count(*) AS rows FROM analytics.thread_durations
--     HAVING count(*) <> (SELECT count(*) FROM threads)
--   no_thread_is_lost: >-
--     SELECT source, session_id, thread_id FROM threads
--     ANTI JOIN analytics.thread_durations USING (source, session_id, thread_id)
--   durations_are_not_negative: >-
--     SELECT source, session_id, thread_id, elapsed_seconds FROM analytics.thread_durations
--     WHERE elapsed_seconds < 0 OR quiet_seconds < 0
WITH parents AS MATERIALIZED (
    FROM parent_threads
),

observed AS (
    SELECT
        threads.*,
        own.children,
        parent.depth AS depth_of_parent,
        CASE
            WHEN earlier.thread_row IS NOT NULL THEN earlier.as_of
            WHEN threads.last_changed_at >= latest.loaded_at
                THEN greatest(latest.complete_at, latest.loaded_at)
            ELSE latest.complete_at
        END AS as_of,
        CASE
            WHEN threads.archived_at IS NOT NULL THEN 'archived'
            WHEN threads.is_open THEN 'open'
            ELSE 'terminated'
        END AS basis
    FROM threads
    LEFT JOIN latest_polls AS latest USING (source, session_id)
    LEFT JOIN earlier_observations AS earlier ON earlier.thread_row = threads.rowid
    LEFT JOIN parents AS own ON own.thread_row = threads.rowid
    LEFT JOIN parents AS parent
        ON parent.source = threads.source
        AND parent.session_id = threads.session_id
        AND parent.thread_id = threads.parent_thread_id
),

lifetimes AS (
    SELECT
        *,
        seconds_between(
            created_at,
            CASE basis WHEN 'archived' THEN archived_at WHEN 'terminated' THEN updated_at ELSE as_of END
        ) AS lifetime_seconds
    FROM observed
)

SELECT
    source,
    session_id,
    thread_id,
    role,
    coalesce(agent_id, agent_name) AS agent,
    agent_version,
    agent_model AS model,
    status,
    stop_reason_type,
    missing_since,
    CASE WHEN lifetime_seconds >= 0 THEN lifetime_seconds END AS elapsed_seconds,
    is_open AS is_censored,
    basis,
    seconds_between(created_at, updated_at) AS active_span_seconds,
    CASE
        WHEN is_open AND updated_at IS NOT NULL
            THEN greatest(seconds_between(updated_at, as_of), 0)
    END AS quiet_seconds,
    active_seconds,
    CASE WHEN parent_thread_id IS NULL THEN 0 ELSE depth_of_parent + 1 END AS depth,
    coalesce(children, 0) AS children,
    as_of
FROM lifetimes
ORDER BY source, session_id, thread_id
