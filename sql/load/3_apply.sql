DELETE FROM threads
WHERE rowid IN (SELECT known_row FROM thread_changes WHERE change_type = 'changed');

-- What is unnested is computed first: it would be planned, and computed, once for each of its fields.
INSERT INTO threads BY NAME
SELECT
    * EXCLUDE (observed_at, growing, used),
    growing IS NOT NULL AS grows,
    unnest(used),
    observed_at AS last_changed_at
FROM (
    SELECT
        incoming.*,
        read_usage(incoming.usage) AS used,
        coalesce(known.first_seen_at, incoming.observed_at) AS first_seen_at,
        landed_run.sequence AS last_changed_sequence
    FROM incoming_threads AS incoming
    CROSS JOIN landed_run
    LEFT JOIN (FROM thread_changes WHERE change_type <> 'new') AS known ON known.number = incoming.rowid
    WHERE known.change_type IS NULL OR known.change_type = 'changed'
);

-- What a regressed thread says is old, but it was listed: it is not missing any more.
UPDATE threads
SET
    missing_since = NULL,
    missing_sequence = NULL,
    last_changed_at = thread_changes.observed_at,
    last_changed_sequence = landed_run.sequence
FROM thread_changes
CROSS JOIN landed_run
WHERE thread_changes.change_type = 'regressed'
    AND threads.missing_since IS NOT NULL
    AND thread_changes.known_row = threads.rowid;

UPDATE threads
SET missing_since = unlisted.started_at, missing_sequence = unlisted.sequence
FROM unlisted
WHERE unlisted.is_missing AND unlisted.known_row = threads.rowid;
