-- All of it is in the history, reopened threads included. A closed thread whose status is an open one
-- was archived without saying so in its status.
CREATE OR REPLACE VIEW open_changes AS
WITH closed AS (
    FROM statuses
    WHERE is_closed
),

departures AS (
    SELECT
        source,
        session_id,
        thread_id,
        CASE WHEN NOT is_open THEN archived_at ELSE coalesce(missing_since, unwatched_since) END AS left_at,
        NOT is_open OR missing_since IS NOT NULL AS is_completion
    FROM threads
    LEFT JOIN unwatched_sessions USING (source, session_id)
    LEFT JOIN statuses USING (status)
    WHERE left_at IS NOT NULL AND is_closed IS NOT TRUE
)

SELECT source, session_id, least(changed_after, changed_at) AS changed_at, 1::TINYINT AS change, FALSE AS is_completion
FROM thread_status_history
WHERE spell = 1
UNION ALL
SELECT source, session_id, changed_at, -1, TRUE
FROM thread_status_history
SEMI JOIN closed USING (status)
WHERE spell = 1
UNION ALL
SELECT source, session_id, ended_at, -1, TRUE
FROM thread_status_history AS history
SEMI JOIN closed ON closed.status = history.next_status
ANTI JOIN closed AS already ON already.status = history.status
UNION ALL
SELECT source, session_id, ended_at, 1, FALSE
FROM thread_status_history AS history
SEMI JOIN closed USING (status)
ANTI JOIN closed AS still ON still.status = history.next_status
WHERE ended_before IS NOT NULL
UNION ALL
SELECT source, session_id, greatest(left_at, changed_at), -1, is_completion
FROM thread_status_history
JOIN departures USING (source, session_id, thread_id)
WHERE ended_before IS NULL;
COMMENT ON VIEW open_changes IS 'Every change of the number of open threads: their sum until an instant is the number then. A thread without created_at is there from its first spell on.';
COMMENT ON COLUMN open_changes.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN open_changes.session_id IS 'Session that was polled';
COMMENT ON COLUMN open_changes.changed_at IS 'When a thread was created, reopened, closed, went missing, or its session was no longer watched';
COMMENT ON COLUMN open_changes.change IS '1 if a thread was created or reopened, -1 if it closed, went missing, or was no longer watched';
COMMENT ON COLUMN open_changes.is_completion IS 'Whether a thread closed, or went missing';
