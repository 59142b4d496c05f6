CREATE OR REPLACE TEMP TABLE newest_polls AS
SELECT source, session_id, arg_max(started_at, sequence) AS started_at
FROM complete_polls
GROUP BY ALL;

-- The spells that begin with this run, each with the one it ends.
CREATE OR REPLACE TEMP TABLE new_spells AS
WITH changes AS (
    SELECT
        thread_changes.number,
        incoming.status,
        incoming.stop_reason_type,
        incoming.created_at,
        incoming.updated_at,
        previous.rowid AS previous_row,
        previous.spell AS previous_spell,
        previous.changed_at AS previous_changed_at,
        -- Polls may overlap, and clocks be set back: spells stay in order.
        greatest(incoming.observed_at, previous.observed_from) AS observed_from,
        CASE
            WHEN previous.spell IS NULL THEN incoming.created_at
            WHEN unseen.thread_id IS NULL THEN newest.started_at
            ELSE coalesce(unseen.last_seen_at, previous.observed_from)
        END AS changed_after
    FROM incoming_threads AS incoming
    JOIN thread_changes ON thread_changes.number = incoming.rowid
    LEFT JOIN thread_status_history AS previous
        ON previous.source = incoming.source
        AND previous.session_id = incoming.session_id
        AND previous.thread_id = incoming.thread_id
        AND previous.ended_before IS NULL
    LEFT JOIN newest_polls AS newest
        ON newest.source = incoming.source
        AND newest.session_id = incoming.session_id
    LEFT JOIN spells_unseen AS unseen
        ON unseen.source = incoming.source
        AND unseen.session_id = incoming.session_id
        AND unseen.thread_id = incoming.thread_id
    WHERE thread_changes.change_type IN ('new', 'changed')
        AND (
            previous.spell IS NULL
            OR (incoming.status, incoming.stop_reason_type)
            IS DISTINCT FROM (previous.status, previous.stop_reason_type)
        )
),

-- If the clock was set back between two polls, a bound that cannot be true is cut.
bounded AS (
    SELECT * REPLACE (
        CASE WHEN previous_spell IS NULL THEN changed_after ELSE least(changed_after, observed_from) END
        AS changed_after
    )
    FROM changes
)

SELECT
    number,
    previous_row,
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
    ended_before = new_spells.observed_from,
    ended_after = new_spells.changed_after,
    ended_at = new_spells.changed_at,
    next_status = new_spells.status
FROM new_spells
WHERE new_spells.previous_row = thread_status_history.rowid;

INSERT INTO thread_status_history BY NAME
SELECT
    incoming.source,
    incoming.session_id,
    incoming.thread_id,
    new_spells.* EXCLUDE (number, previous_row)
FROM new_spells
JOIN incoming_threads AS incoming ON incoming.rowid = new_spells.number;

-- A complete poll sees the current spell of what it lists, but not where it lists a thread as it had
-- been earlier, or not at all. Any other poll shows that a spell begins, and no more. A look-up sees
-- it too, but is not repeated by every later poll.
CREATE OR REPLACE TEMP VIEW spell_sightings AS
SELECT
    incoming.source,
    incoming.session_id,
    incoming.thread_id,
    polls.is_complete AND thread_changes.change_type <> 'regressed' AND lookups.status IS NULL AS is_seen,
    new_spells.number IS NOT NULL AS begins,
    CASE WHEN lookups.status = 200 AND thread_changes.change_type <> 'regressed' THEN polls.sequence END
    AS looked_up,
    polls.started_at
FROM thread_changes
JOIN incoming_threads AS incoming ON incoming.rowid = thread_changes.number
JOIN (
    SELECT
        source,
        session_id,
        sequence,
        started_at,
        is_complete_poll(outcome, status_filter) AS is_complete
    FROM incoming_polls
) AS polls USING (source, session_id)
LEFT JOIN new_spells USING (number)
LEFT JOIN incoming_lookups AS lookups
    ON lookups.source = incoming.source
    AND lookups.session_id = incoming.session_id
    AND lookups.thread_id = incoming.thread_id
WHERE polls.is_complete OR begins
UNION ALL
SELECT source, session_id, thread_id, FALSE, FALSE, NULL, started_at
FROM unlisted;

DELETE FROM spells_unseen
USING spell_sightings
WHERE (spell_sightings.is_seen OR spell_sightings.begins OR spell_sightings.looked_up IS NOT NULL)
    AND spell_sightings.source = spells_unseen.source
    AND spell_sightings.session_id = spells_unseen.session_id
    AND spell_sightings.thread_id = spells_unseen.thread_id;

INSERT INTO spells_unseen BY NAME
SELECT
    spell_sightings.source,
    spell_sightings.session_id,
    spell_sightings.thread_id,
    CASE
        WHEN spell_sightings.looked_up IS NOT NULL THEN spell_sightings.started_at
        WHEN NOT spell_sightings.begins THEN newest.started_at
    END AS last_seen_at,
    spell_sightings.looked_up
FROM spell_sightings
LEFT JOIN newest_polls AS newest USING (source, session_id)
ANTI JOIN spells_unseen USING (source, session_id, thread_id)
WHERE NOT spell_sightings.is_seen
ORDER BY ALL;
