DELETE FROM threads
USING verdicts
WHERE verdicts.verdict = 'changed'
    AND verdicts.source = threads.source
    AND verdicts.session_id = threads.session_id
    AND verdicts.thread_id = threads.thread_id;

INSERT INTO threads BY NAME
SELECT
    incoming.* EXCLUDE (observed_at),
    verdicts.first_seen_at,
    verdicts.observed_at AS last_changed_at
FROM incoming_threads AS incoming
JOIN verdicts USING (source, session_id, thread_id)
WHERE verdicts.verdict IN ('new', 'changed');

-- What a regressed thread says is old, but it was listed: it is not missing any more.
UPDATE threads
SET missing_since = NULL, last_changed_at = verdicts.observed_at
FROM verdicts
WHERE verdicts.verdict = 'regressed'
    AND threads.missing_since IS NOT NULL
    AND verdicts.source = threads.source
    AND verdicts.session_id = threads.session_id
    AND verdicts.thread_id = threads.thread_id;

UPDATE threads
SET missing_since = vanished.started_at
FROM vanished
WHERE vanished.source = threads.source
    AND vanished.session_id = threads.session_id
    AND vanished.thread_id = threads.thread_id;
