-- The spells that begin with this run, each with the one it ends.
CREATE OR REPLACE TEMP TABLE new_spells AS
WITH complete_polls AS (
    SELECT source, session_id, started_at, finished_at
    FROM session_polls
    WHERE outcome = 'complete' AND status_filter IS NULL
),

changes AS (
    SELECT
        incoming.source,
        incoming.session_id,
        incoming.thread_id,
        incoming.status,
        incoming.stop_reason_type,
        incoming.created_at,
        incoming.updated_at,
        previous.spell AS previous_spell,
        previous.observed_from AS previous_from,
        previous.changed_at AS previous_changed_at,
        -- Polls may overlap, and clocks be set back: spells stay in order.
        greatest(incoming.observed_at, previous.observed_from) AS observed_from,
        coalesce(known.missing_since, 'infinity'::TIMESTAMPTZ) AS missing_since
    FROM incoming_threads AS incoming
    JOIN verdicts USING (source, session_id, thread_id)
    LEFT JOIN threads AS known USING (source, session_id, thread_id)
    LEFT JOIN thread_status_history AS previous
        ON previous.source = incoming.source
        AND previous.session_id = incoming.session_id
        AND previous.thread_id = incoming.thread_id
        AND previous.ended_by IS NULL
    WHERE verdicts.verdict IN ('new', 'changed')
        AND (
            previous.spell IS NULL
            OR (incoming.status, incoming.stop_reason_type)
            IS DISTINCT FROM (previous.status, previous.stop_reason_type)
        )
),

-- The last complete poll that listed the thread saw the spell before, if it ended after that spell
-- was first observed.
bounded AS (
    SELECT
        changes.*,
        CASE
            WHEN changes.previous_spell IS NULL THEN changes.created_at
            WHEN listing.finished_at >= changes.previous_from THEN listing.started_at
            ELSE changes.previous_from
        END AS changed_after
    FROM changes
    ASOF LEFT JOIN complete_polls AS listing
        ON listing.source = changes.source
        AND listing.session_id = changes.session_id
        AND listing.started_at < changes.missing_since
)

SELECT
    source,
    session_id,
    thread_id,
    previous_spell,
    coalesce(previous_spell, 0) + 1 AS spell,
    status,
    stop_reason_type,
    observed_from,
    changed_after,
    greatest(
        previous_changed_at,
        CASE
            WHEN updated_at <= observed_from AND coalesce(updated_at > changed_after, TRUE) THEN updated_at
            WHEN previous_spell IS NULL THEN least(created_at, observed_from)
            ELSE changed_after + to_microseconds(date_sub('microsecond', changed_after, observed_from) // 2)
        END
    ) AS changed_at
FROM bounded;

UPDATE thread_status_history
SET
    ended_by = new_spells.observed_from,
    ended_after = new_spells.changed_after,
    ended_at = new_spells.changed_at,
    next_status = new_spells.status
FROM new_spells
WHERE new_spells.previous_spell = thread_status_history.spell
    AND new_spells.source = thread_status_history.source
    AND new_spells.session_id = thread_status_history.session_id
    AND new_spells.thread_id = thread_status_history.thread_id;

INSERT INTO thread_status_history BY NAME
SELECT * EXCLUDE (previous_spell)
FROM new_spells
ORDER BY source, session_id, thread_id;
