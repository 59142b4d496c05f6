CREATE OR REPLACE VIEW status_intervals AS
SELECT
    source,
    session_id,
    thread_id,
    coalesce(names.name, '(none)') AS status,
    seconds,
    seconds_low,
    seconds_high,
    is_current
FROM thread_spells
LEFT JOIN status_names AS names USING (status)
UNION ALL
SELECT
    source,
    session_id,
    thread_id,
    '(unobserved)',
    seconds_between(changed_after, changed_at),
    0,
    seconds_between(changed_after, observed_from),
    FALSE
FROM thread_status_history
WHERE spell = 1 AND changed_at > changed_after;
COMMENT ON VIEW status_intervals IS 'What time each thread spent in each status: its spells, and the time between its birth and the spell in which it was first seen.';
COMMENT ON COLUMN status_intervals.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN status_intervals.session_id IS 'Session that was polled';
COMMENT ON COLUMN status_intervals.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN status_intervals.status IS 'Status, as status_names calls it; (none) if the server says none, (unobserved) before the first spell';
COMMENT ON COLUMN status_intervals.seconds IS 'Estimated length in seconds; of the current spell the length so far';
COMMENT ON COLUMN status_intervals.seconds_low IS 'Lower bound of the length in seconds';
COMMENT ON COLUMN status_intervals.seconds_high IS 'Upper bound of the length in seconds';
COMMENT ON COLUMN status_intervals.is_current IS 'Whether it is the current spell, which has no end yet';
