COMMENT ON TABLE schema_version IS 'The migrations that were applied to this file.';
COMMENT ON COLUMN schema_version.version IS 'Number of the migration';
COMMENT ON COLUMN schema_version.name IS 'Its file in sql/schema';

CREATE TABLE threads (
    source VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    thread_id VARCHAR NOT NULL,
    parent_thread_id VARCHAR,
    role VARCHAR,
    name VARCHAR,
    created_by_tool_use_id VARCHAR,
    agent_id VARCHAR,
    agent_type VARCHAR,
    agent_name VARCHAR,
    agent_model VARCHAR,
    agent_version BIGINT,
    status VARCHAR,
    stop_reason_type VARCHAR,
    stop_reason JSON,
    is_open BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    archived_at TIMESTAMPTZ,
    active_seconds DOUBLE,
    duration_seconds DOUBLE,
    startup_seconds DOUBLE,
    usage JSON,
    extra JSON,
    first_seen_at TIMESTAMPTZ NOT NULL,
    last_changed_at TIMESTAMPTZ NOT NULL,
    missing_since TIMESTAMPTZ
);
COMMENT ON TABLE threads IS 'The current state, one row per thread. Key: source, session_id, thread_id.';
COMMENT ON COLUMN threads.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN threads.session_id IS 'Session that was polled';
COMMENT ON COLUMN threads.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN threads.parent_thread_id IS 'Thread that created this one; null for the coordinator';
COMMENT ON COLUMN threads.role IS 'coordinator or child; derived from the parent where the server gives none';
COMMENT ON COLUMN threads.name IS 'Name the server gives; null where empty';
COMMENT ON COLUMN threads.created_by_tool_use_id IS 'Tool use that created the thread';
COMMENT ON COLUMN threads.agent_id IS 'Agent that runs the thread';
COMMENT ON COLUMN threads.agent_type IS 'agent, advisor, inline, or what the server says';
COMMENT ON COLUMN threads.agent_name IS 'Name of the agent';
COMMENT ON COLUMN threads.agent_model IS 'Model of the agent, or its id where the server sends an object';
COMMENT ON COLUMN threads.agent_version IS 'Version of the agent';
COMMENT ON COLUMN threads.status IS 'Status, verbatim';
COMMENT ON COLUMN threads.stop_reason_type IS 'Why the last turn ended: end_turn, requires_action, retries_exhausted, ...';
COMMENT ON COLUMN threads.stop_reason IS 'The whole stop reason; null where missing or empty';
COMMENT ON COLUMN threads.is_open IS 'Neither archived nor terminated nor cancelled; an idle thread is open';
COMMENT ON COLUMN threads.created_at IS 'Server: when the thread was created';
COMMENT ON COLUMN threads.updated_at IS 'Server: when the thread last changed';
COMMENT ON COLUMN threads.archived_at IS 'Server: when the thread was archived';
COMMENT ON COLUMN threads.active_seconds IS 'Server: seconds of work';
COMMENT ON COLUMN threads.duration_seconds IS 'Server: seconds from start to end';
COMMENT ON COLUMN threads.startup_seconds IS 'Server: seconds until the thread began to work';
COMMENT ON COLUMN threads.usage IS 'Token counts and costs as the server sends them; their shape differs by server';
COMMENT ON COLUMN threads.extra IS 'Every field that no column names, under the path it came with';
COMMENT ON COLUMN threads.first_seen_at IS 'Client clock: arrival of the page that first listed the thread';
COMMENT ON COLUMN threads.last_changed_at IS 'Client clock: arrival of the page that last changed this row';
COMMENT ON COLUMN threads.missing_since IS 'Beginning of the first complete poll that no longer listed the thread; null while it is listed';

CREATE TABLE session_polls (
    run_id VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    label VARCHAR,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ NOT NULL,
    outcome VARCHAR NOT NULL,
    ended_by VARCHAR NOT NULL,
    status_filter VARCHAR,
    pages BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    retries BIGINT NOT NULL,
    wait_seconds DOUBLE NOT NULL,
    bytes BIGINT NOT NULL,
    threads_listed BIGINT NOT NULL,
    duplicates BIGINT NOT NULL,
    threads_new BIGINT NOT NULL,
    threads_changed BIGINT NOT NULL,
    threads_unchanged BIGINT NOT NULL,
    threads_missing BIGINT NOT NULL,
    threads_regressed BIGINT NOT NULL,
    error_type VARCHAR,
    error_message VARCHAR,
    request_id VARCHAR
);
COMMENT ON TABLE session_polls IS 'The ledger, one row per run and session. A complete poll has outcome complete and no status_filter.';
COMMENT ON COLUMN session_polls.run_id IS 'Run of the job, as Dagster names it';
COMMENT ON COLUMN session_polls.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN session_polls.session_id IS 'Session that was polled';
COMMENT ON COLUMN session_polls.label IS 'What the configuration calls the session';
COMMENT ON COLUMN session_polls.started_at IS 'Client clock: before the first request';
COMMENT ON COLUMN session_polls.finished_at IS 'Client clock: after the last answer';
COMMENT ON COLUMN session_polls.outcome IS 'complete, incomplete, gone, forbidden, failed, or stale where a later poll was loaded first';
COMMENT ON COLUMN session_polls.ended_by IS 'has_more_false, no_next_page, cursor_loop, no_cursor, no_progress, page_cap, malformed_thread, error, interrupted';
COMMENT ON COLUMN session_polls.status_filter IS 'Statuses the poll asked for, separated by commas; null where it asked for all';
COMMENT ON COLUMN session_polls.pages IS 'Pages that came';
COMMENT ON COLUMN session_polls.requests IS 'Requests sent, retries included';
COMMENT ON COLUMN session_polls.retries IS 'Requests that repeated a failed one';
COMMENT ON COLUMN session_polls.wait_seconds IS 'Seconds spent waiting for the pace and between retries';
COMMENT ON COLUMN session_polls.bytes IS 'Bytes of the bodies received';
COMMENT ON COLUMN session_polls.threads_listed IS 'Different threads that the server listed';
COMMENT ON COLUMN session_polls.duplicates IS 'Threads listed again in the same poll';
COMMENT ON COLUMN session_polls.threads_new IS 'Threads never seen before';
COMMENT ON COLUMN session_polls.threads_changed IS 'Threads of which a column changed, returned ones included';
COMMENT ON COLUMN session_polls.threads_unchanged IS 'Threads as they were';
COMMENT ON COLUMN session_polls.threads_missing IS 'Threads that this poll was the first not to list';
COMMENT ON COLUMN session_polls.threads_regressed IS 'Threads whose updated_at went backwards, and which were not applied';
COMMENT ON COLUMN session_polls.error_type IS 'The server''s error.type, or our name of what went wrong';
COMMENT ON COLUMN session_polls.error_message IS 'What went wrong, where, in one line';
COMMENT ON COLUMN session_polls.request_id IS 'The server''s id of the failed request';

CREATE TABLE runs (
    run_id VARCHAR NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ NOT NULL,
    version VARCHAR NOT NULL,
    sessions_complete BIGINT NOT NULL,
    sessions_incomplete BIGINT NOT NULL,
    sessions_gone BIGINT NOT NULL,
    sessions_forbidden BIGINT NOT NULL,
    sessions_failed BIGINT NOT NULL,
    sessions_stale BIGINT NOT NULL
);
COMMENT ON TABLE runs IS 'One row per run of the job that was loaded.';
COMMENT ON COLUMN runs.run_id IS 'Run of the job, as Dagster names it';
COMMENT ON COLUMN runs.started_at IS 'Client clock: before the first poll';
COMMENT ON COLUMN runs.finished_at IS 'Client clock: after the last poll';
COMMENT ON COLUMN runs.version IS 'Version of session-threads that polled';
COMMENT ON COLUMN runs.sessions_complete IS 'Sessions polled to their end';
COMMENT ON COLUMN runs.sessions_incomplete IS 'Sessions of which only a part came';
COMMENT ON COLUMN runs.sessions_gone IS 'Sessions the server does not know';
COMMENT ON COLUMN runs.sessions_forbidden IS 'Sessions the token may not read';
COMMENT ON COLUMN runs.sessions_failed IS 'Sessions of which nothing came';
COMMENT ON COLUMN runs.sessions_stale IS 'Sessions of which a later poll was loaded first';

-- Two polls matter to a thread's row: the newest complete one that could still list it, and the one
-- that last changed it. Looked up as of an instant, so that the cost does not grow with the ledger.
CREATE VIEW threads_seen AS
WITH complete_polls AS (
    SELECT source, session_id, started_at
    FROM session_polls
    WHERE outcome = 'complete' AND status_filter IS NULL
),

loaded_polls AS (
    SELECT source, session_id, started_at
    FROM session_polls
    WHERE outcome <> 'stale' AND pages > 0
)

SELECT
    threads.source,
    threads.session_id,
    threads.thread_id,
    greatest(listing.started_at, change.started_at) AS as_of
FROM threads
ASOF LEFT JOIN complete_polls AS listing
    ON listing.source = threads.source
    AND listing.session_id = threads.session_id
    AND listing.started_at < coalesce(threads.missing_since, 'infinity'::TIMESTAMPTZ)
ASOF LEFT JOIN loaded_polls AS change
    ON change.source = threads.source
    AND change.session_id = threads.session_id
    AND change.started_at <= threads.last_changed_at;
COMMENT ON VIEW threads_seen IS 'Per thread, the beginning (as_of) of the newest poll that its row rests on.';

CREATE VIEW thread_dimensions AS
SELECT
    source,
    session_id,
    thread_id,
    unnest(['all', 'source', 'session', 'role', 'agent', 'agent_version', 'model']) AS dimension,
    unnest([
        'all',
        source,
        session_id,
        coalesce(role, '(none)'),
        coalesce(agent_id, agent_name, '(none)'),
        coalesce(agent_id, agent_name, '(none)') || '@' || coalesce(agent_version::VARCHAR, '(none)'),
        coalesce(agent_model, '(none)')
    ]) AS value
FROM threads;
COMMENT ON VIEW thread_dimensions IS 'Per thread, the groups it is counted in: seven rows of dimension and value.';

CREATE SCHEMA analytics;
