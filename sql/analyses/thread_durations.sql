-- answers: How long has each thread lived?
-- grain: one row per thread
-- show: [thread_id, agent_name or agent, session_label or session_id, status, elapsed_seconds, is_censored, role, name]
-- columns:
--   source: name of the source
--   session_id: session
--   session_label: what the configuration called the session at the newest poll that gave it a label; null if none did
--   thread_id: thread, unique within its session
--   name: name of the thread; null if it has none
--   role: coordinator or child
--   agent: id of the agent, or its name if it has no id
--   agent_name: name of the agent; of one without a name advisor (and its model), inline, or its id
--   agent_version: version of the agent
--   model: model of the agent
--   status: status as the server says it
--   stop_reason_type: why its last turn ended
--   created_at: when the thread was created, as the server says (UTC)
--   closed_at: when it closed, archived_at or updated_at of a closed thread; null while it is open (UTC)
--   updated_at: when it last changed, as the server says (UTC)
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
WITH lifetimes AS (
    SELECT
        *,
        CASE
            WHEN archived_at IS NOT NULL THEN 'archived'
            WHEN is_open THEN 'open'
            ELSE 'terminated'
        END AS basis,
        CASE basis WHEN 'archived' THEN archived_at WHEN 'terminated' THEN updated_at END AS closed_at,
        seconds_between(created_at, CASE basis WHEN 'open' THEN as_of ELSE closed_at END) AS lifetime_seconds
    FROM observed_threads
)

SELECT
    source,
    session_id,
    session_label,
    thread_id,
    name,
    role,
    agent,
    agent_name,
    agent_version,
    model,
    status,
    stop_reason_type,
    created_at,
    closed_at,
    updated_at,
    missing_since,
    CASE WHEN lifetime_seconds >= 0 THEN lifetime_seconds END AS elapsed_seconds,
    is_open AS is_censored,
    basis,
    seconds_between(created_at, updated_at) AS active_span_seconds,
    CASE WHEN is_open AND updated_at IS NOT NULL THEN greatest(seconds_between(updated_at, as_of), 0) END
    AS quiet_seconds,
    active_seconds,
    depth,
    children,
    as_of
FROM lifetimes
ORDER BY source, session_id, thread_id
