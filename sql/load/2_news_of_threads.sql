-- What has changed of each session's threads, as far as a session that rests would have missed it. That a
-- closed thread is archived, several servers never announce: it is counted apart.
INSERT INTO session_news BY NAME
WITH changes AS (
    SELECT
        incoming.source,
        incoming.session_id,
        incoming.thread_id,
        incoming.observed_at,
        known.is_open IS NOT NULL
        AND NOT known.is_open
        AND NOT incoming.is_open
        AND (known.archived_at IS NULL AND incoming.archived_at IS NOT NULL OR incoming.status = 'archived')
        AS is_late_archival,
        CASE
            WHEN known.thread_id IS NULL THEN 'new'
            WHEN incoming.status IS DISTINCT FROM known.status
                THEN format('{} → {}', coalesce(known.status, '(none)'), coalesce(incoming.status, '(none)'))
            WHEN incoming.stop_reason_type IS DISTINCT FROM known.stop_reason_type
                THEN format('stopped for {}', coalesce(incoming.stop_reason_type, '(none)'))
            WHEN known.archived_at IS NULL AND incoming.archived_at IS NOT NULL THEN 'archived'
        END AS change
    FROM thread_changes
    JOIN incoming_threads AS incoming ON incoming.rowid = thread_changes.number
    LEFT JOIN threads AS known ON known.rowid = thread_changes.known_row
    WHERE thread_changes.change_type IN ('new', 'changed')
)

SELECT
    source,
    session_id,
    count_if(NOT is_late_archival) AS changes,
    count_if(is_late_archival) AS late_archivals,
    min(thread_id) FILTER (NOT is_late_archival) AS thread_id,
    arg_min(change, thread_id) FILTER (NOT is_late_archival) AS change,
    arg_min(observed_at, thread_id) FILTER (NOT is_late_archival) AS observed_at
FROM changes
WHERE change IS NOT NULL
GROUP BY source, session_id;
