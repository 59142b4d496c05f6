-- What each incoming thread means for the table, and which row of the table it is about.
CREATE OR REPLACE TEMP TABLE thread_changes AS
WITH incoming AS (
    SELECT
        rowid AS number,
        source,
        session_id,
        thread_id,
        observed_at,
        updated_at,
        row(*COLUMNS(* EXCLUDE (observed_at))) AS content
    FROM incoming_threads
),

known AS (
    SELECT
        rowid AS known_row,
        source,
        session_id,
        thread_id,
        updated_at,
        first_seen_at,
        missing_since,
        row(
            *COLUMNS(* EXCLUDE (
                first_seen_at, last_changed_at, last_changed_sequence, missing_since, missing_sequence
            ))
        ) AS content
    FROM threads
)

SELECT
    incoming.number,
    known.known_row,
    coalesce(known.first_seen_at, incoming.observed_at) AS first_seen_at,
    CASE
        WHEN known.known_row IS NULL THEN 'new'
        WHEN incoming.updated_at < known.updated_at THEN 'regressed'
        WHEN known.missing_since IS NULL AND incoming.content IS NOT DISTINCT FROM known.content THEN 'unchanged'
        ELSE 'changed'
    END AS change_type
FROM incoming
LEFT JOIN known USING (source, session_id, thread_id);

-- Only a complete poll may conclude that a thread is missing, and one that repeats the previous
-- poll need not look.
CREATE OR REPLACE TEMP TABLE newly_missing AS
SELECT
    threads.rowid AS known_row,
    threads.source,
    threads.session_id,
    threads.thread_id,
    polls.started_at,
    polls.sequence
FROM threads
JOIN incoming_polls AS polls USING (source, session_id)
WHERE is_complete_poll(polls.outcome, polls.status_filter)
    AND NOT polls.repeats
    AND threads.missing_since IS NULL
    AND NOT EXISTS (FROM thread_changes WHERE thread_changes.known_row = threads.rowid);
