-- An ended spell was last seen where the next one's doubt begins; a current one by the newest
-- complete poll, unless that did not see it.
CREATE OR REPLACE VIEW thread_spells AS
WITH seen AS (
    SELECT *, greatest(observed_from, ended_after) AS observed_until
    FROM thread_status_history
    WHERE ended_before IS NOT NULL
    UNION ALL BY NAME
    SELECT
        spell.*,
        greatest(
            spell.observed_from,
            CASE WHEN unseen.thread_id IS NULL THEN latest.complete_at ELSE unseen.last_seen_at END
        ) AS observed_until
    FROM thread_status_history AS spell
    LEFT JOIN latest_polls AS latest USING (source, session_id)
    LEFT JOIN spells_unseen AS unseen USING (source, session_id, thread_id)
    WHERE spell.ended_before IS NULL
)

SELECT
    source,
    session_id,
    thread_id,
    spell,
    status,
    stop_reason_type,
    observed_from,
    changed_after,
    changed_at,
    ended_before,
    ended_after,
    ended_at,
    next_status,
    observed_until,
    seconds_between(changed_at, coalesce(ended_at, observed_until)) AS seconds,
    seconds_between(observed_from, observed_until) AS seconds_low,
    seconds_between(least(changed_after, changed_at), coalesce(ended_before, observed_until)) AS seconds_high,
    ended_before IS NULL AS is_current
FROM seen;
COMMENT ON VIEW thread_spells IS 'The spells of thread_status_history with the time until which each was seen (observed_until), its estimated length in seconds and the bounds of that (seconds_low, seconds_high); of a current spell the length so far.';
COMMENT ON COLUMN thread_spells.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN thread_spells.session_id IS 'Session that was polled';
COMMENT ON COLUMN thread_spells.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN thread_spells.spell IS '1, 2, 3 ... per thread';
COMMENT ON COLUMN thread_spells.status IS 'Status, verbatim';
COMMENT ON COLUMN thread_spells.stop_reason_type IS 'Why the last turn had ended';
COMMENT ON COLUMN thread_spells.observed_from IS 'Client clock: first observation of the spell';
COMMENT ON COLUMN thread_spells.changed_after IS 'The spell began after it, and by observed_from';
COMMENT ON COLUMN thread_spells.changed_at IS 'Best estimate of when the spell began';
COMMENT ON COLUMN thread_spells.ended_before IS 'observed_from of the next spell; null for the current one';
COMMENT ON COLUMN thread_spells.ended_after IS 'The spell ended after it, and by ended_before; null for the current one';
COMMENT ON COLUMN thread_spells.ended_at IS 'Best estimate of when the spell ended; null for the current one';
COMMENT ON COLUMN thread_spells.next_status IS 'Status of the next spell; null for the current one';
COMMENT ON COLUMN thread_spells.observed_until IS 'Beginning of the last complete poll that saw the spell';
COMMENT ON COLUMN thread_spells.seconds IS 'Estimated length in seconds; of the current spell the length so far';
COMMENT ON COLUMN thread_spells.seconds_low IS 'Lower bound of the length in seconds';
COMMENT ON COLUMN thread_spells.seconds_high IS 'Upper bound of the length in seconds';
COMMENT ON COLUMN thread_spells.is_current IS 'Whether no spell followed yet';
