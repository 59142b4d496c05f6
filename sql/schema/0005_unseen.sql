CREATE TABLE spells_unseen (
    source VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    thread_id VARCHAR NOT NULL,
    last_seen_at TIMESTAMPTZ
);
COMMENT ON TABLE spells_unseen IS 'The threads whose current spell the newest complete poll of their session did not see: they were missing, or listed as they had been earlier, or the spell began later. Key: source, session_id, thread_id.';
COMMENT ON COLUMN spells_unseen.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN spells_unseen.session_id IS 'Session that was polled';
COMMENT ON COLUMN spells_unseen.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN spells_unseen.last_seen_at IS 'Beginning of the last complete poll that saw the spell; null where none has yet';

-- Of an older warehouse nobody can tell which answers were behind: a replay can.
INSERT INTO spells_unseen BY NAME
WITH complete_polls AS (
    SELECT source, session_id, started_at, finished_at
    FROM session_polls
    WHERE outcome = 'complete' AND status_filter IS NULL
),

current_spells AS (
    SELECT
        threads.source,
        threads.session_id,
        threads.thread_id,
        threads.missing_since,
        coalesce(threads.missing_since, 'infinity'::TIMESTAMPTZ) AS seen_before,
        history.observed_from
    FROM threads
    JOIN thread_status_history AS history USING (source, session_id, thread_id)
    WHERE history.ended_by IS NULL
)

SELECT
    spell.source,
    spell.session_id,
    spell.thread_id,
    CASE WHEN listing.finished_at >= spell.observed_from THEN listing.started_at END AS last_seen_at
FROM current_spells AS spell
ASOF LEFT JOIN complete_polls AS listing
    ON listing.source = spell.source
    AND listing.session_id = spell.session_id
    AND listing.started_at < spell.seen_before
WHERE spell.missing_since IS NOT NULL OR last_seen_at IS NULL
ORDER BY ALL;

-- An ended spell was last seen where the next one's doubt begins; a current one by the newest
-- complete poll, unless that did not see it.
CREATE OR REPLACE VIEW thread_spells AS
WITH newest_polls AS (
    SELECT source, session_id, max(started_at) AS started_at
    FROM session_polls
    WHERE outcome = 'complete' AND status_filter IS NULL
    GROUP BY ALL
),

seen AS (
    SELECT *, greatest(observed_from, ended_after) AS observed_until
    FROM thread_status_history
    WHERE ended_by IS NOT NULL
    UNION ALL BY NAME
    SELECT
        spell.*,
        greatest(
            spell.observed_from,
            CASE WHEN unseen.thread_id IS NULL THEN newest.started_at ELSE unseen.last_seen_at END
        ) AS observed_until
    FROM thread_status_history AS spell
    LEFT JOIN newest_polls AS newest USING (source, session_id)
    LEFT JOIN spells_unseen AS unseen USING (source, session_id, thread_id)
    WHERE spell.ended_by IS NULL
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

CREATE TABLE generation (
    id UUID NOT NULL
);
COMMENT ON TABLE generation IS 'What tells this warehouse from one that replaced it or was replaced by it. One row.';
COMMENT ON COLUMN generation.id IS 'Drawn when the file was made, or brought to this schema';
INSERT INTO generation BY NAME SELECT uuid() AS id;

COMMENT ON TABLE session_digests IS 'Per session, what its last loaded poll brought, where that was complete: a poll of the same threads, byte for byte, changes nothing, and they need not be looked at.';
COMMENT ON COLUMN session_digests.digest IS 'BLAKE2 of the threads as they came, and of how they were read';
