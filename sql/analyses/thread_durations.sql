-- answers: How long has each thread lived?
-- grain: one row per thread
-- show: [thread_id, agent_name or agent, session_label or session_id, status, elapsed_seconds, is_censored, role, name]
-- columns:
--   source: name of the source
--   session_id: session
--   session_label: what the configuration called the session at the newest poll that gave it a label, else its title; null without both
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
--   closed_at: when it closed, as basis says; null while it is open (UTC)
--   updated_at: when it last changed, as the server says (UTC)
--   missing_since: beginning of the first complete poll that no longer listed it; null while it is listed (UTC)
--   unwatched_since: beginning of the first poll that said that its session is gone or forbidden, or of the run that left it out; null while it is watched (UTC)
--   elapsed_seconds: "lifetime: to closed_at, of an open thread to as_of; null if it would be negative or an end is not known (seconds)"
--   elapsed_low: the lifetime at least; of one that closed without archived_at until it was last seen open, 0 if it never was (seconds)
--   elapsed_high: the lifetime at most; of one that closed without archived_at until it was first seen closed, or missing; null of an open thread (seconds)
--   entry_seconds: age at the first poll of its session, if its source listed no thread then that had closed before (source_entry), for no thread that closed younger could be seen; else 0 (seconds)
--   listed_seconds: age at which a poll first listed it; had it vanished before, nobody would know of it (seconds)
--   is_censored: true if basis is open, so that elapsed_seconds is an age and no duration
--   basis: "archived (at archived_at), terminated or cancelled (at updated_at as it was when it was first seen so, for it may be touched later; in the middle of what is possible if that is no date between the last time it was seen open and then), vanished (gone for good while nobody looked: in the middle between its last listing and missing_since), or open"
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
)

SELECT
    lived.source,
    lived.session_id,
    session_label,
    lived.thread_id,
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
    unwatched_since,
    elapsed_seconds,
    elapsed_low,
    elapsed_high,
    entry_seconds,
    listed_seconds,
    basis = 'open' AS is_censored,
    basis,
    seconds_between(created_at, updated_at) AS active_span_seconds,
    quiet_seconds,
    active_seconds,
    CASE WHEN lived.parent_thread_id IS NULL THEN 0 ELSE parent.depth + 1 END AS depth,
    coalesce(own.children, 0) AS children,
    as_of
FROM thread_intervals AS lived
LEFT JOIN parents AS own USING (thread_row)
LEFT JOIN parents AS parent
    ON parent.source = lived.source
    AND parent.session_id = lived.session_id
    AND parent.thread_id = lived.parent_thread_id
