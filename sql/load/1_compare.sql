-- What each incoming thread means for the table, and which row of the table it is about.
CREATE OR REPLACE TEMP TABLE thread_changes AS
SELECT
    incoming.rowid AS number,
    known.rowid AS known_row,
    coalesce(known.first_seen_at, incoming.observed_at) AS first_seen_at,
    CASE
        WHEN known.rowid IS NULL THEN 'new'
        WHEN incoming.updated_at < known.updated_at THEN 'regressed'
        WHEN known.missing_since IS NULL AND (
            incoming.parent_thread_id,
            incoming.role,
            incoming.name,
            incoming.created_by_tool_use_id,
            incoming.agent_id,
            incoming.agent_type,
            incoming.agent_name,
            incoming.agent_model,
            incoming.agent_version,
            incoming.status,
            incoming.stop_reason_type,
            incoming.stop_reason,
            incoming.is_open,
            incoming.created_at,
            incoming.updated_at,
            incoming.archived_at,
            incoming.active_seconds,
            incoming.duration_seconds,
            incoming.startup_seconds,
            incoming.usage,
            incoming.extra
        ) IS NOT DISTINCT FROM (
            known.parent_thread_id,
            known.role,
            known.name,
            known.created_by_tool_use_id,
            known.agent_id,
            known.agent_type,
            known.agent_name,
            known.agent_model,
            known.agent_version,
            known.status,
            known.stop_reason_type,
            known.stop_reason,
            known.is_open,
            known.created_at,
            known.updated_at,
            known.archived_at,
            known.active_seconds,
            known.duration_seconds,
            known.startup_seconds,
            known.usage,
            known.extra
        ) THEN 'unchanged'
        ELSE 'changed'
    END AS change_type
FROM incoming_threads AS incoming
LEFT JOIN threads AS known USING (source, session_id, thread_id);

-- Only a complete poll may conclude that a thread has newly_missing, and one that repeats the poll
-- before need not look.
CREATE OR REPLACE TEMP TABLE newly_missing AS
SELECT threads.rowid AS known_row, threads.source, threads.session_id, threads.thread_id, polls.started_at
FROM threads
JOIN incoming_polls AS polls USING (source, session_id)
WHERE polls.outcome = 'complete'
    AND polls.status_filter IS NULL
    AND NOT polls.repeats
    AND threads.missing_since IS NULL
    AND NOT EXISTS (FROM thread_changes WHERE thread_changes.known_row = threads.rowid);
