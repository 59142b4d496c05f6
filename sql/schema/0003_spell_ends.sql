-- A spell's end stands beside its beginning: no reader has to look the next spell up.
ALTER TABLE thread_status_history ADD COLUMN ended_after TIMESTAMPTZ;
ALTER TABLE thread_status_history ADD COLUMN ended_at TIMESTAMPTZ;
ALTER TABLE thread_status_history ADD COLUMN next_status VARCHAR;
COMMENT ON COLUMN thread_status_history.ended_after IS 'changed_after of the next spell; null for the current one. The spell ended after it, and by ended_by';
COMMENT ON COLUMN thread_status_history.ended_at IS 'changed_at of the next spell, the best estimate of when this one ended; null for the current one';
COMMENT ON COLUMN thread_status_history.next_status IS 'Status of the next spell; null for the current one';

UPDATE thread_status_history
SET ended_after = next.changed_after, ended_at = next.changed_at, next_status = next.status
FROM thread_status_history AS next
WHERE next.source = thread_status_history.source
    AND next.session_id = thread_status_history.session_id
    AND next.thread_id = thread_status_history.thread_id
    AND next.spell = thread_status_history.spell + 1;

-- An ended spell was last seen where the next one's doubt begins; a current one by the newest
-- complete poll that listed the thread.
CREATE OR REPLACE VIEW thread_spells AS
WITH complete_polls AS (
    SELECT source, session_id, started_at
    FROM session_polls
    WHERE outcome = 'complete' AND status_filter IS NULL
),

current_spells AS (
    SELECT
        spell.*,
        coalesce(threads.missing_since, 'infinity'::TIMESTAMPTZ) AS missing_since
    FROM thread_status_history AS spell
    LEFT JOIN threads USING (source, session_id, thread_id)
    WHERE spell.ended_by IS NULL
),

seen AS (
    SELECT *, greatest(observed_from, ended_after) AS observed_until
    FROM thread_status_history
    WHERE ended_by IS NOT NULL
    UNION ALL BY NAME
    SELECT
        current_spells.* EXCLUDE (missing_since),
        greatest(current_spells.observed_from, listing.started_at) AS observed_until
    FROM current_spells
    ASOF LEFT JOIN complete_polls AS listing
        ON listing.source = current_spells.source
        AND listing.session_id = current_spells.session_id
        AND listing.started_at < current_spells.missing_since
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
    ended_by,
    ended_after,
    ended_at,
    next_status,
    observed_until,
    (epoch_us(coalesce(ended_at, observed_until)) - epoch_us(changed_at)) / 1e6 AS seconds,
    (epoch_us(observed_until) - epoch_us(observed_from)) / 1e6 AS seconds_low,
    (
        epoch_us(coalesce(ended_by, observed_until)) - epoch_us(least(changed_after, changed_at))
    ) / 1e6 AS seconds_high,
    ended_by IS NULL AS is_current
FROM seen;
COMMENT ON VIEW thread_spells IS 'The spells of thread_status_history with the time until which each was seen (observed_until), its estimated length in seconds and the bounds of that (seconds_low, seconds_high); of a current spell the length so far.';
