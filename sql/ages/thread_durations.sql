-- What becomes of the table if no thread has changed since it was built (sql/ledger/inputs.sql): those that are
-- open age, and every other that is listed was listed again by the newest complete poll.
UPDATE analytics.thread_durations AS known
SET
    (as_of, elapsed_seconds, elapsed_low, entry_seconds, listed_seconds, quiet_seconds)
    = (now.as_of, now.elapsed_seconds, now.elapsed_low, now.entry_seconds, now.listed_seconds, now.quiet_seconds)
FROM (FROM thread_intervals WHERE basis = 'open') AS now
WHERE known.basis = 'open'
    AND known.source = now.source
    AND known.session_id = now.session_id
    AND known.thread_id = now.thread_id;

UPDATE analytics.thread_durations AS known
SET as_of = latest.complete_at
FROM latest_polls AS latest
WHERE known.basis <> 'open'
    AND known.missing_since IS NULL
    AND latest.source = known.source
    AND latest.session_id = known.session_id
    AND latest.complete_sequence = latest.loaded_sequence;

SELECT count(*) FROM analytics.thread_durations;
