-- Most threads were listed by the newest complete poll of their session; the others are few.
CREATE OR REPLACE VIEW thread_intervals AS
-- A closed thread may be touched later: what counts is the history of when it was first seen so. Of
-- one that was never seen open nothing but a date that lies between its birth and then is known.
WITH closings AS (
    SELECT
        source,
        session_id,
        thread_id,
        max(ended_at) FILTER (statuses.is_closed IS NOT TRUE) AS ended_at,
        max(ended_after) FILTER (statuses.is_closed IS NOT TRUE) AS seen_open_at,
        max(ended_before) FILTER (statuses.is_closed IS NOT TRUE) AS seen_closed_at,
        min(if(changed_at <= changed_after, observed_from, changed_at)) AS dated_at
    FROM thread_status_history
    SEMI JOIN (FROM threads WHERE NOT is_open AND archived_at IS NULL) AS closed
        USING (source, session_id, thread_id)
    LEFT JOIN statuses USING (status)
    GROUP BY ALL
),

observed AS (
    SELECT
        threads.*,
        threads.rowid AS thread_row,
        latest.label AS session_label,
        latest.first_loaded_at,
        unwatched.unwatched_since,
        CASE
            WHEN earlier.thread_row IS NOT NULL THEN earlier.as_of
            WHEN threads.last_changed_sequence >= latest.loaded_sequence THEN latest.loaded_at
            ELSE latest.complete_at
        END AS as_of,
        CASE
            WHEN threads.archived_at IS NOT NULL THEN 'archived'
            WHEN NOT is_open THEN CASE WHEN status IN ('archived', 'cancelled') THEN status ELSE 'terminated' END
            WHEN threads.missing_since IS NOT NULL THEN 'vanished'
            ELSE 'open'
        END AS basis,
        closings.* EXCLUDE (source, session_id, thread_id)
    FROM threads
    LEFT JOIN latest_polls AS latest USING (source, session_id)
    LEFT JOIN unwatched_sessions AS unwatched USING (source, session_id)
    LEFT JOIN earlier_observations AS earlier ON earlier.thread_row = threads.rowid
    LEFT JOIN closings USING (source, session_id, thread_id)
),

lifetimes AS (
    SELECT
        *,
        CASE
            WHEN basis = 'open' THEN NULL
            WHEN basis = 'vanished'
                THEN as_of + to_microseconds(date_sub('microsecond', as_of, missing_since) // 2)
            WHEN archived_at IS NOT NULL THEN archived_at
            WHEN ended_at IS NOT NULL THEN ended_at
            WHEN updated_at IS NOT NULL THEN least(updated_at, dated_at)
        END AS closed_at,
        seconds_between(created_at, CASE basis WHEN 'open' THEN as_of ELSE closed_at END) AS lifetime_seconds
    FROM observed
)

SELECT
    source,
    session_id,
    session_label,
    thread_id,
    thread_row,
    parent_thread_id,
    name,
    role,
    key_of_agent(agent_id, agent_name, agent_type, agent_model) AS agent,
    name_of_agent(agent_id, agent_name, agent_type, agent_model) AS agent_name,
    agent_version,
    agent_model AS model,
    status,
    stop_reason_type,
    is_open,
    created_at,
    updated_at,
    missing_since,
    unwatched_since,
    active_seconds,
    as_of,
    basis,
    closed_at,
    CASE WHEN lifetime_seconds >= 0 THEN lifetime_seconds END AS elapsed_seconds,
    CASE
        WHEN basis = 'vanished' THEN greatest(seconds_between(created_at, as_of), 0)
        WHEN basis = 'open' OR archived_at IS NOT NULL THEN elapsed_seconds
        WHEN elapsed_seconds IS NOT NULL
            THEN least(greatest(coalesce(seconds_between(created_at, seen_open_at), 0), 0), elapsed_seconds)
    END AS elapsed_low,
    CASE
        WHEN basis = 'open' THEN NULL
        WHEN basis = 'vanished' THEN seconds_between(created_at, missing_since)
        WHEN archived_at IS NULL AND elapsed_seconds IS NOT NULL
            THEN greatest(seconds_between(created_at, seen_closed_at), elapsed_seconds)
        ELSE elapsed_seconds
    END AS elapsed_high,
    CASE
        WHEN NOT is_delayed OR created_at IS NULL OR created_at >= first_loaded_at THEN 0
        WHEN basis = 'open' THEN least(seconds_between(created_at, first_loaded_at), elapsed_seconds)
        WHEN closed_at > first_loaded_at THEN seconds_between(created_at, first_loaded_at)
        ELSE 0
    END AS entry_seconds,
    greatest(
        coalesce(
            CASE
                -- A page comes a moment after the beginning of its poll, which ends what is known of it.
                WHEN basis IN ('open', 'vanished') THEN least(seconds_between(created_at, first_seen_at), elapsed_low)
                ELSE seconds_between(created_at, first_seen_at)
            END,
            0
        ),
        0
    ) AS listed_seconds,
    CASE WHEN is_open AND updated_at IS NOT NULL THEN greatest(seconds_between(updated_at, as_of), 0) END AS quiet_seconds
FROM lifetimes
LEFT JOIN source_entry USING (source);
COMMENT ON VIEW thread_intervals IS 'The threads, each with what people call its agent and session, the newest poll that it rests on, and its lifetime: from created_at to closed_at, or so far.';
COMMENT ON COLUMN thread_intervals.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN thread_intervals.session_id IS 'Session that was polled';
COMMENT ON COLUMN thread_intervals.session_label IS 'What the configuration calls the session, else its title; null without both';
COMMENT ON COLUMN thread_intervals.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN thread_intervals.thread_row IS 'rowid of the thread in threads';
COMMENT ON COLUMN thread_intervals.parent_thread_id IS 'Thread that created this one; null for the coordinator';
COMMENT ON COLUMN thread_intervals.name IS 'Name the server gives; null if empty';
COMMENT ON COLUMN thread_intervals.role IS 'coordinator or child';
COMMENT ON COLUMN thread_intervals.agent IS 'Id of the agent, or its name if it has no id';
COMMENT ON COLUMN thread_intervals.agent_name IS 'Name of the agent; of one without a name advisor (and its model), inline, or its id';
COMMENT ON COLUMN thread_intervals.agent_version IS 'Version of the agent';
COMMENT ON COLUMN thread_intervals.model IS 'Model of the agent';
COMMENT ON COLUMN thread_intervals.status IS 'Status, verbatim';
COMMENT ON COLUMN thread_intervals.stop_reason_type IS 'Why the last turn ended';
COMMENT ON COLUMN thread_intervals.is_open IS 'Neither archived nor terminated nor cancelled';
COMMENT ON COLUMN thread_intervals.created_at IS 'Server: when the thread was created';
COMMENT ON COLUMN thread_intervals.updated_at IS 'Server: when the thread last changed';
COMMENT ON COLUMN thread_intervals.missing_since IS 'Beginning of the first complete poll that no longer listed it; null while it is listed';
COMMENT ON COLUMN thread_intervals.unwatched_since IS 'Since when nobody watches its session (unwatched_sessions); null while somebody does';
COMMENT ON COLUMN thread_intervals.active_seconds IS 'Server: seconds of work';
COMMENT ON COLUMN thread_intervals.as_of IS 'Beginning of the newest poll that listed it or brought its last change';
COMMENT ON COLUMN thread_intervals.basis IS 'archived, terminated or cancelled: how it closed; vanished: it closed unseen; open';
COMMENT ON COLUMN thread_intervals.closed_at IS 'When it closed: archived_at, else when the history has it that it left an open status, or if it was never seen open updated_at as it was when it was first seen; of a vanished one the middle between its last listing and missing_since; null if open, or not known';
COMMENT ON COLUMN thread_intervals.elapsed_seconds IS 'From created_at to closed_at, of an open one to as_of; null if that is negative or not known';
COMMENT ON COLUMN thread_intervals.elapsed_low IS 'The lifetime at least: without archived_at until it was last seen open';
COMMENT ON COLUMN thread_intervals.elapsed_high IS 'The lifetime at most: without archived_at until it was first seen closed, or missing; null of an open one';
COMMENT ON COLUMN thread_intervals.entry_seconds IS 'The age at which it came under observation (source_entry): no thread that closed younger could be listed; mostly 0';
COMMENT ON COLUMN thread_intervals.listed_seconds IS 'The age at which a poll first listed it';
COMMENT ON COLUMN thread_intervals.quiet_seconds IS 'From updated_at to as_of, of an open one; 0 if it was updated during the poll';
