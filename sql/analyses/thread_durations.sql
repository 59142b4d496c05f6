-- answers: How long has each thread lived?
-- grain: one row per thread
-- columns:
--   source: name of the source
--   session_id: session
--   thread_id: thread, unique within its session
--   role: coordinator or child
--   agent: id of the agent, or its name where it has no id
--   agent_version: version of the agent
--   model: model of the agent
--   status: status as the server says it
--   stop_reason_type: why its last turn ended
--   missing_since: beginning of the first complete poll that no longer listed it; null while it is listed (UTC)
--   elapsed_seconds: "lifetime: to archived_at or updated_at of a closed thread, to as_of of an open one; null where it would be negative or an end is not known (seconds)"
--   is_censored: true where the thread is open, so that elapsed_seconds is its age and no duration
--   basis: archived (archived_at is set), terminated (closed without it) or open
--   active_span_seconds: updated_at - created_at (seconds)
--   quiet_seconds: as_of - updated_at of an open thread; 0 where it was updated during the poll (seconds)
--   active_seconds: time of work as the server counts it (seconds)
--   depth: number of ancestors; null under a parent that is not listed or in a cycle
--   children: number of threads it created itself
--   as_of: beginning of the newest poll that the row rests on (UTC)
-- needs: [session_polls, threads]
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
WITH RECURSIVE parents AS (
    SELECT source, session_id, parent_thread_id AS thread_id, count(*) AS children
    FROM threads
    WHERE parent_thread_id IS NOT NULL
    GROUP BY ALL
),

-- Few threads are parents: these alone are looked up, and any other stands one below its own.
branches AS MATERIALIZED (
    SELECT threads.rowid AS thread, source, session_id, thread_id, threads.parent_thread_id, parents.children
    FROM parents
    JOIN threads USING (source, session_id, thread_id)
),

births AS MATERIALIZED (
    SELECT child.thread AS child, parent.thread AS parent
    FROM branches AS child
    JOIN branches AS parent
        ON parent.source = child.source
        AND parent.session_id = child.session_id
        AND parent.thread_id = child.parent_thread_id
),

ancestry AS (
    SELECT thread, 0 AS depth
    FROM branches
    WHERE parent_thread_id IS NULL
    UNION ALL
    SELECT births.child, ancestry.depth + 1
    FROM births
    JOIN ancestry ON ancestry.thread = births.parent
),

-- One row each; grouped, for how many groups there are DuckDB guesses well, and recursions badly.
thread_tree AS MATERIALIZED (
    SELECT
        thread,
        any_value(branches.source) AS source,
        any_value(branches.session_id) AS session_id,
        any_value(branches.thread_id) AS thread_id,
        any_value(branches.children) AS children,
        any_value(ancestry.depth) AS depth
    FROM branches
    LEFT JOIN ancestry USING (thread)
    GROUP BY thread
),

complete_polls AS (
    SELECT source, session_id, started_at
    FROM session_polls
    WHERE outcome = 'complete' AND status_filter IS NULL
),

loaded_polls AS (
    SELECT source, session_id, started_at
    FROM session_polls
    WHERE outcome <> 'overtaken' AND pages > 0
),

newest_polls AS (
    SELECT
        source,
        session_id,
        max(started_at) FILTER (outcome = 'complete' AND status_filter IS NULL) AS completed_at,
        max(started_at) FILTER (outcome <> 'overtaken' AND pages > 0) AS loaded_at
    FROM session_polls
    GROUP BY source, session_id
),

listed AS NOT MATERIALIZED (
    SELECT threads.*, threads.rowid AS thread, newest.loaded_at, newest.completed_at AS listed_at
    FROM threads
    LEFT JOIN newest_polls AS newest USING (source, session_id)
    WHERE threads.missing_since IS NULL
    UNION ALL
    SELECT missing.*, newest.loaded_at, listing.started_at
    FROM (SELECT *, rowid AS thread FROM threads WHERE missing_since IS NOT NULL) AS missing
    LEFT JOIN newest_polls AS newest USING (source, session_id)
    ASOF LEFT JOIN complete_polls AS listing
        ON listing.source = missing.source
        AND listing.session_id = missing.session_id
        AND listing.started_at < missing.missing_since
),

-- Most threads changed either before the newest poll that lists them or in the newest of all:
-- these are not looked up as of an instant.
seen AS (
    SELECT *, greatest(listed_at, CASE WHEN last_changed_at >= loaded_at THEN loaded_at END) AS as_of
    FROM listed
    WHERE last_changed_at <= listed_at OR last_changed_at >= loaded_at
    UNION ALL
    SELECT listing.*, greatest(listing.listed_at, change.started_at)
    FROM (
        FROM listed
        WHERE NOT coalesce(last_changed_at <= listed_at OR last_changed_at >= loaded_at, FALSE)
    ) AS listing
    ASOF LEFT JOIN loaded_polls AS change
        ON change.source = listing.source
        AND change.session_id = listing.session_id
        AND change.started_at <= listing.last_changed_at
),

lifetimes AS (
    SELECT
        *,
        CASE
            WHEN archived_at IS NOT NULL THEN 'archived'
            WHEN is_open THEN 'open'
            ELSE 'terminated'
        END AS basis,
        -- Microseconds are exact; seconds as floating point are not.
        epoch_us(created_at) AS born_us,
        epoch_us(updated_at) AS updated_us,
        epoch_us(archived_at) AS archived_us,
        epoch_us(as_of) AS seen_us
    FROM seen
),

spans AS (
    SELECT
        *,
        CASE basis WHEN 'archived' THEN archived_us WHEN 'terminated' THEN updated_us ELSE seen_us END
        - born_us AS span_us
    FROM lifetimes
)

SELECT
    spans.source,
    spans.session_id,
    spans.thread_id,
    spans.role,
    coalesce(spans.agent_id, spans.agent_name) AS agent,
    spans.agent_version,
    spans.agent_model AS model,
    spans.status,
    spans.stop_reason_type,
    spans.missing_since,
    CASE WHEN spans.span_us >= 0 THEN spans.span_us / 1e6 END AS elapsed_seconds,
    spans.is_open AS is_censored,
    spans.basis,
    (spans.updated_us - spans.born_us) / 1e6 AS active_span_seconds,
    CASE
        WHEN spans.is_open AND spans.updated_us IS NOT NULL
            THEN greatest(spans.seen_us - spans.updated_us, 0) / 1e6
    END AS quiet_seconds,
    spans.active_seconds,
    CASE WHEN spans.parent_thread_id IS NULL THEN 0 ELSE parent.depth + 1 END AS depth,
    coalesce(own.children, 0) AS children,
    spans.as_of
FROM spans
LEFT JOIN thread_tree AS own USING (thread)
LEFT JOIN thread_tree AS parent
    ON parent.source = spans.source
    AND parent.session_id = spans.session_id
    AND parent.thread_id = spans.parent_thread_id
ORDER BY spans.source, spans.session_id, spans.thread_id
