-- What each incoming thread means for the table, and which row of the table it is about. Only what came
-- as it is known is compared column by column.
CREATE OR REPLACE TEMP TABLE thread_changes AS
WITH pairs AS (
    SELECT
        incoming,
        known,
        incoming.rowid AS number,
        known.rowid AS known_row,
        lookups.status AS lookup,
        row(*COLUMNS(incoming.* EXCLUDE (
            observed_at, growing, digest, active_seconds, duration_seconds, usage
        ))) AS content,
        row(*COLUMNS(known.* EXCLUDE (
            digest, grows, active_seconds, duration_seconds, usage,
            input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_amount, cost_currency,
            first_seen_at, last_changed_at, last_changed_sequence, missing_since, missing_sequence
        ))) AS known_content
    FROM incoming_threads AS incoming
    LEFT JOIN threads AS known
        ON known.source = incoming.source
        AND known.session_id = incoming.session_id
        AND known.thread_id = incoming.thread_id
    LEFT JOIN incoming_lookups AS lookups
        ON lookups.source = incoming.source
        AND lookups.session_id = incoming.session_id
        AND lookups.thread_id = incoming.thread_id
),

-- Not below, where it is referred to: it would be planned each time.
compared AS (
    SELECT
        *,
        CASE
            WHEN known_row IS NULL THEN 'new'
            WHEN incoming.updated_at < known.updated_at THEN 'regressed'
            WHEN known.missing_since IS NOT NULL OR incoming.updated_at IS DISTINCT FROM known.updated_at
                OR content IS DISTINCT FROM known_content
                THEN 'changed'
            WHEN (incoming.active_seconds, incoming.duration_seconds, incoming.usage)
                IS NOT DISTINCT FROM (known.active_seconds, known.duration_seconds, known.usage)
                THEN 'unchanged'
            -- But for numbers that grow by themselves it is as it was, and what is stored is recent.
            WHEN is_same_or_grows(incoming.active_seconds, known.active_seconds, contains(incoming.growing, 'active'))
                AND is_same_or_grows(
                    incoming.duration_seconds, known.duration_seconds, contains(incoming.growing, 'duration')
                )
                AND is_same_or_grows(incoming.usage, known.usage, contains(incoming.growing, 'usage'))
                AND incoming.observed_at BETWEEN known.last_changed_at - INTERVAL 1 HOUR
                AND known.last_changed_at + INTERVAL 1 HOUR - INTERVAL 1 MICROSECOND
                THEN 'unchanged'
            ELSE 'changed'
        END AS change_type
    FROM pairs
)

SELECT
    number,
    incoming.source,
    incoming.session_id,
    incoming.thread_id,
    incoming.observed_at,
    incoming.status,
    incoming.stop_reason_type,
    incoming.created_at,
    incoming.updated_at,
    lookup,
    known_row,
    coalesce(known.first_seen_at, incoming.observed_at) AS first_seen_at,
    change_type,
    change_type = 'new' OR (
        change_type = 'changed'
        AND (incoming.status, incoming.stop_reason_type) IS DISTINCT FROM (known.status, known.stop_reason_type)
    ) AS begins_spell,
    CASE
        WHEN incoming.growing IS NOT NULL
            THEN if(change_type = 'unchanged', known.last_changed_at, incoming.observed_at)
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
    AND polls.is_read
    AND threads.missing_since IS NULL
    AND NOT EXISTS (FROM incoming_seen WHERE incoming_seen.digest = threads.digest)
    AND NOT EXISTS (FROM thread_changes WHERE thread_changes.known_row = threads.rowid);

UPDATE incoming_polls
SET
    threads_new = counts.threads_new,
    threads_changed = counts.threads_changed,
    threads_unchanged = counts.threads_unchanged,
    threads_regressed = counts.threads_regressed,
    threads_missing = counts.threads_missing
FROM (
    SELECT
        source,
        session_id,
        count_if(change_type = 'new') AS threads_new,
        count_if(change_type = 'changed') AS threads_changed,
        count_if(change_type = 'unchanged') AS threads_unchanged,
        count_if(change_type = 'regressed') AS threads_regressed,
        count_if(change_type = 'missing') AS threads_missing
    FROM (
        SELECT source, session_id, change_type FROM thread_changes
        UNION ALL
        SELECT source, session_id, 'unchanged' FROM incoming_seen
        UNION ALL
        SELECT source, session_id, 'missing' FROM unlisted WHERE is_missing
    )
    GROUP BY source, session_id
) AS counts
WHERE counts.source = incoming_polls.source AND counts.session_id = incoming_polls.session_id;
