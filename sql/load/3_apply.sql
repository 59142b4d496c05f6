DELETE FROM threads
WHERE rowid IN (SELECT known_row FROM verdicts WHERE verdict = 'changed');

INSERT INTO threads BY NAME
SELECT
    incoming.* EXCLUDE (observed_at),
    verdicts.first_seen_at,
    incoming.observed_at AS last_changed_at
FROM incoming_threads AS incoming
JOIN verdicts ON verdicts.number = incoming.rowid
WHERE verdicts.verdict IN ('new', 'changed');

-- What a regressed thread says is old, but it was listed: it is not missing any more.
UPDATE threads
SET missing_since = NULL, last_changed_at = incoming.observed_at
FROM verdicts
JOIN incoming_threads AS incoming ON incoming.rowid = verdicts.number
WHERE verdicts.verdict = 'regressed'
    AND threads.missing_since IS NOT NULL
    AND verdicts.known_row = threads.rowid;

UPDATE threads
SET missing_since = vanished.started_at
FROM vanished
WHERE vanished.known_row = threads.rowid;
