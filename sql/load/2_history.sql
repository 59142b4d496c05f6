CREATE OR REPLACE TEMP TABLE newest_polls AS
SELECT source, session_id, arg_max(started_at, sequence) AS started_at
FROM complete_polls
SEMI JOIN incoming_polls USING (source, session_id)
GROUP BY ALL;

-- The spells that begin with this run, each with the one it ends.
CREATE OR REPLACE TEMP TABLE new_spells AS
WITH changes AS (
    SELECT
        incoming.source,
        incoming.session_id,
        incoming.thread_id,
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
    FROM (FROM thread_changes WHERE begins_spell) AS incoming
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
    source,
    session_id,
    thread_id,
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
SELECT * EXCLUDE (previous_row)
FROM new_spells;

-- A complete poll sees the current spell of what it lists, but not where it lists a thread as it had
-- been earlier, or not at all. Any other poll shows that a spell begins, and no more. A look-up sees
-- it too, but is not repeated by every later poll.
CREATE OR REPLACE TEMP VIEW spell_sightings AS
SELECT
    changes.source,
    changes.session_id,
    changes.thread_id,
    polls.is_complete AND changes.change_type <> 'regressed' AND changes.lookup IS NULL AS is_seen,
    changes.begins_spell AS begins,
    CASE WHEN changes.lookup = 200 AND changes.change_type <> 'regressed' THEN polls.sequence END AS looked_up,
    polls.started_at
FROM thread_changes AS changes
JOIN (
    SELECT
        source,
        session_id,
        sequence,
        started_at,
        is_complete_poll(outcome, status_filter) AS is_complete
    FROM incoming_polls
) AS polls USING (source, session_id)
WHERE polls.is_complete OR begins
UNION ALL
SELECT source, session_id, thread_id, FALSE, FALSE, NULL, started_at
FROM unlisted;

DELETE FROM spells_unseen
USING thread_changes AS changes, incoming_polls AS polls
WHERE changes.source = spells_unseen.source
    AND changes.session_id = spells_unseen.session_id
    AND changes.thread_id = spells_unseen.thread_id
    AND polls.source = spells_unseen.source
    AND polls.session_id = spells_unseen.session_id
    AND (
        changes.begins_spell
        OR changes.change_type <> 'regressed' AND is_complete_poll(polls.outcome, polls.status_filter)
        AND coalesce(changes.lookup = 200, TRUE)
    );

DELETE FROM spells_unseen
USING threads, incoming_seen AS seen, incoming_polls AS polls
WHERE threads.source = spells_unseen.source
    AND threads.session_id = spells_unseen.session_id
    AND threads.thread_id = spells_unseen.thread_id
    AND seen.digest = threads.digest
    AND polls.source = spells_unseen.source
    AND polls.session_id = spells_unseen.session_id
    AND is_complete_poll(polls.outcome, polls.status_filter);

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
