-- Most threads were listed by the newest complete poll of their session; the others are few.
CREATE OR REPLACE VIEW observed_threads AS
WITH parents AS MATERIALIZED (
    FROM parent_threads
)

SELECT
    source,
    session_id,
    latest.label AS session_label,
    threads.thread_id,
    threads.name,
    threads.role,
    key_of_agent(agent_id, agent_name, agent_type, agent_model) AS agent,
    name_of_agent(agent_id, agent_name, agent_type, agent_model) AS agent_name,
    threads.agent_version,
    threads.agent_model AS model,
    threads.status,
    threads.stop_reason_type,
    threads.is_open,
    threads.created_at,
    threads.updated_at,
    threads.archived_at,
    threads.missing_since,
    threads.active_seconds,
    CASE WHEN threads.parent_thread_id IS NULL THEN 0 ELSE parent.depth + 1 END AS depth,
    coalesce(own.children, 0) AS children,
    CASE
        WHEN earlier.thread_row IS NOT NULL THEN earlier.as_of
        WHEN threads.last_changed_sequence >= latest.loaded_sequence THEN latest.loaded_at
        ELSE latest.complete_at
    END AS as_of
FROM threads
LEFT JOIN latest_polls AS latest USING (source, session_id)
LEFT JOIN earlier_observations AS earlier ON earlier.thread_row = threads.rowid
LEFT JOIN parents AS own ON own.thread_row = threads.rowid
LEFT JOIN parents AS parent
    ON parent.source = threads.source
    AND parent.session_id = threads.session_id
    AND parent.thread_id = threads.parent_thread_id;
COMMENT ON VIEW observed_threads IS 'The threads, each with what people call its agent and session, its place in the tree, and the newest poll that it rests on.';
COMMENT ON COLUMN observed_threads.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN observed_threads.session_id IS 'Session that was polled';
COMMENT ON COLUMN observed_threads.session_label IS 'What the configuration calls the session; null if it gave it no label';
COMMENT ON COLUMN observed_threads.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN observed_threads.name IS 'Name the server gives; null if empty';
COMMENT ON COLUMN observed_threads.role IS 'coordinator or child';
COMMENT ON COLUMN observed_threads.agent IS 'Id of the agent, or its name if it has no id';
COMMENT ON COLUMN observed_threads.agent_name IS 'Name of the agent; of one without a name advisor (and its model), inline, or its id';
COMMENT ON COLUMN observed_threads.agent_version IS 'Version of the agent';
COMMENT ON COLUMN observed_threads.model IS 'Model of the agent';
COMMENT ON COLUMN observed_threads.status IS 'Status, verbatim';
COMMENT ON COLUMN observed_threads.stop_reason_type IS 'Why the last turn ended';
COMMENT ON COLUMN observed_threads.is_open IS 'Neither archived nor terminated nor cancelled';
COMMENT ON COLUMN observed_threads.created_at IS 'Server: when the thread was created';
COMMENT ON COLUMN observed_threads.updated_at IS 'Server: when the thread last changed';
COMMENT ON COLUMN observed_threads.archived_at IS 'Server: when the thread was archived';
COMMENT ON COLUMN observed_threads.missing_since IS 'Beginning of the first complete poll that no longer listed it; null while it is listed';
COMMENT ON COLUMN observed_threads.active_seconds IS 'Server: seconds of work';
COMMENT ON COLUMN observed_threads.depth IS 'Number of ancestors; null under a parent that was never listed, and in a cycle';
COMMENT ON COLUMN observed_threads.children IS 'Number of threads that it created itself';
COMMENT ON COLUMN observed_threads.as_of IS 'Beginning of the newest poll that listed it or brought its last change';
