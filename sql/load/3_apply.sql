DELETE FROM threads
WHERE rowid IN (SELECT known_row FROM thread_changes WHERE change_type = 'changed');

INSERT INTO threads BY NAME
SELECT
    incoming.* EXCLUDE (number, observed_at, growing, used),
    unnest(incoming.used),
    thread_changes.first_seen_at,
    incoming.observed_at AS last_changed_at,
    landed_run.sequence AS last_changed_sequence
FROM (SELECT rowid AS number, *, read_usage(usage) AS used FROM incoming_threads) AS incoming
CROSS JOIN landed_run
JOIN thread_changes USING (number)
WHERE thread_changes.change_type IN ('new', 'changed');

-- What a regressed thread says is old, but it was listed: it is not missing any more.
UPDATE threads
SET
    missing_since = NULL,
    missing_sequence = NULL,
    last_changed_at = incoming.observed_at,
    last_changed_sequence = landed_run.sequence
FROM thread_changes
CROSS JOIN landed_run
JOIN incoming_threads AS incoming ON incoming.rowid = thread_changes.number
WHERE thread_changes.change_type = 'regressed'
    AND threads.missing_since IS NOT NULL
    AND thread_changes.known_row = threads.rowid;

UPDATE threads
SET missing_since = newly_missing.started_at, missing_sequence = newly_missing.sequence
FROM newly_missing
WHERE newly_missing.known_row = threads.rowid;
