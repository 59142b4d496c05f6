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
        growing,
        active_seconds,
        duration_seconds,
        usage,
        row(*COLUMNS(* EXCLUDE (observed_at, growing, active_seconds, duration_seconds, usage))) AS content
    FROM incoming_threads
),

known AS (
    SELECT
        rowid AS known_row,
        source,
        session_id,
        thread_id,
        updated_at,
        active_seconds,
        duration_seconds,
        usage,
        first_seen_at,
        last_changed_at,
        missing_since,
        row(*COLUMNS(* EXCLUDE (
            active_seconds, duration_seconds, usage,
            input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_amount, cost_currency,
            first_seen_at, last_changed_at, last_changed_sequence, missing_since, missing_sequence
        ))) AS content
    FROM threads
),

-- is_same_state: but for numbers that grow by themselves, which it has as it had.
compared AS (
    SELECT
        incoming.number,
        incoming.observed_at,
        incoming.growing IS NOT NULL AS grows,
        known.known_row,
        known.first_seen_at,
        known.last_changed_at,
        incoming.updated_at < known.updated_at AS is_older,
        known.missing_since IS NULL
        AND incoming.content IS NOT DISTINCT FROM known.content
        AND is_same_or_grows(incoming.active_seconds, known.active_seconds, contains(incoming.growing, 'active'))
        AND is_same_or_grows(incoming.duration_seconds, known.duration_seconds, contains(incoming.growing, 'duration'))
        AND is_same_or_grows(incoming.usage, known.usage, contains(incoming.growing, 'usage'))
        AS is_same_state,
        (incoming.active_seconds, incoming.duration_seconds, incoming.usage)
        IS NOT DISTINCT FROM (known.active_seconds, known.duration_seconds, known.usage)
        OR incoming.observed_at BETWEEN known.last_changed_at - INTERVAL 1 HOUR
        AND known.last_changed_at + INTERVAL 1 HOUR - INTERVAL 1 MICROSECOND AS is_recent
    FROM incoming
    LEFT JOIN known USING (source, session_id, thread_id)
)

SELECT
    number,
    known_row,
    coalesce(first_seen_at, observed_at) AS first_seen_at,
    CASE
        WHEN known_row IS NULL THEN 'new'
        WHEN is_older THEN 'regressed'
        WHEN is_same_state AND is_recent THEN 'unchanged'
        ELSE 'changed'
    END AS change_type,
    CASE
        WHEN grows THEN if(change_type = 'unchanged', last_changed_at, observed_at)
    END AS growing_since
FROM compared;

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
