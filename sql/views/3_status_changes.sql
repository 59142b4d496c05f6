-- A missing thread leaves its current status, and so does one whose session nobody watches any more.
-- Polls may overlap: one that began before a late page of another may be the first not to list it.
CREATE OR REPLACE VIEW status_changes AS
WITH births AS (
    SELECT source, session_id, thread_id, changed_after AS born_at, changed_at
    FROM thread_status_history
    WHERE spell = 1 AND changed_after < changed_at
),

departures AS (
    SELECT source, session_id, thread_id, coalesce(missing_since, unwatched_since) AS left_at
    FROM threads
    LEFT JOIN unwatched_sessions USING (source, session_id)
    WHERE left_at IS NOT NULL
),

changes AS (
    SELECT source, session_id, thread_id, status, changed_at, 1 AS change
    FROM thread_status_history
    UNION ALL
    SELECT source, session_id, thread_id, status, ended_at, -1
    FROM thread_status_history
    WHERE ended_before IS NOT NULL
    UNION ALL
    SELECT source, session_id, thread_id, current.status, greatest(left_at, current.changed_at), -1
    FROM thread_status_history AS current
    JOIN departures USING (source, session_id, thread_id)
    WHERE current.ended_before IS NULL
)

SELECT
    source,
    session_id,
    thread_id,
    coalesce(names.name, '(none)') AS status,
    changed_at,
    change
FROM changes
LEFT JOIN status_names AS names USING (status)
UNION ALL
SELECT source, session_id, thread_id, '(unobserved)', born_at, 1
FROM births
UNION ALL
SELECT source, session_id, thread_id, '(unobserved)', changed_at, -1
FROM births;
COMMENT ON VIEW status_changes IS 'Every change of the number of threads in a status: their sum until an instant is the number then.';
COMMENT ON COLUMN status_changes.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN status_changes.session_id IS 'Session that was polled';
COMMENT ON COLUMN status_changes.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN status_changes.status IS 'Status, as status_names calls it; (none) if the server says none, (unobserved) between the birth of a thread and the spell in which it was first seen';
COMMENT ON COLUMN status_changes.changed_at IS 'Best estimate of when the thread entered or left it';
COMMENT ON COLUMN status_changes.change IS '1 if it entered the status, -1 if it left it, went missing, or was no longer watched';
