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

-- The threads that a complete poll neither listed nor found by a look-up; one that repeats the
-- previous poll need not look. They are missing if a look-up said so, or if there are none.
CREATE OR REPLACE TEMP TABLE unlisted AS
SELECT
    threads.rowid AS known_row,
    threads.source,
    threads.session_id,
    threads.thread_id,
    polls.started_at,
    polls.sequence,
    polls.missing_rule = 'unlisted' OR lookups.status IS NOT NULL AS is_missing
FROM threads
JOIN incoming_polls AS polls USING (source, session_id)
LEFT JOIN (FROM incoming_lookups WHERE status = 404) AS lookups USING (source, session_id, thread_id)
WHERE is_complete_poll(polls.outcome, polls.status_filter)
    AND NOT polls.repeats
    AND threads.missing_since IS NULL
    AND NOT EXISTS (FROM thread_changes WHERE thread_changes.known_row = threads.rowid);

CREATE OR REPLACE TEMP VIEW newly_missing AS
FROM unlisted
WHERE is_missing;
