CREATE TABLE thread_status_history (
    source VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    thread_id VARCHAR NOT NULL,
    spell INTEGER NOT NULL,
    status VARCHAR,
    stop_reason_type VARCHAR,
    observed_from TIMESTAMPTZ NOT NULL,
    changed_after TIMESTAMPTZ,
    changed_at TIMESTAMPTZ NOT NULL,
    ended_by TIMESTAMPTZ
);
COMMENT ON TABLE thread_status_history IS 'What was observed, one row per spell: a time in which status and stop reason stayed as they were. Key: source, session_id, thread_id, spell.';
COMMENT ON COLUMN thread_status_history.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN thread_status_history.session_id IS 'Session that was polled';
COMMENT ON COLUMN thread_status_history.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN thread_status_history.spell IS '1, 2, 3 ... per thread';
COMMENT ON COLUMN thread_status_history.status IS 'Status, verbatim';
COMMENT ON COLUMN thread_status_history.stop_reason_type IS 'Why the last turn had ended';
COMMENT ON COLUMN thread_status_history.observed_from IS 'Client clock: first observation of the spell';
COMMENT ON COLUMN thread_status_history.changed_after IS 'Beginning of the last complete poll that still saw the spell before; created_at in a first spell. The spell began after it, and by observed_from';
COMMENT ON COLUMN thread_status_history.changed_at IS 'Best estimate of when the spell began: the server''s updated_at where it is possible, else created_at in a first spell, else the midpoint';
COMMENT ON COLUMN thread_status_history.ended_by IS 'observed_from of the next spell; null for the current one';

-- A warehouse of schema 1 knows each thread's present alone: that is its first spell.
INSERT INTO thread_status_history BY NAME
SELECT
    source,
    session_id,
    thread_id,
    1 AS spell,
    status,
    stop_reason_type,
    last_changed_at AS observed_from,
    created_at AS changed_after,
    CASE
        WHEN updated_at <= last_changed_at AND coalesce(updated_at > created_at, TRUE) THEN updated_at
        ELSE least(created_at, last_changed_at)
    END AS changed_at
FROM threads
ORDER BY source, session_id, thread_id;

-- An ended spell was last seen where the next one's doubt begins; a current one by the newest
-- complete poll that listed the thread.
CREATE VIEW thread_spells AS
WITH complete_polls AS (
    SELECT source, session_id, started_at
    FROM session_polls
    WHERE outcome = 'complete' AND status_filter IS NULL
),

pairs AS (
    SELECT
        spell.*,
        least(spell.changed_after, spell.changed_at) AS changed_after_or_at,
        next.spell IS NULL AS is_current,
        next.changed_after AS next_changed_after,
        next.changed_at AS next_changed_at,
        CASE
            WHEN next.spell IS NULL THEN coalesce(threads.missing_since, 'infinity'::TIMESTAMPTZ)
        END AS missing_since
    FROM thread_status_history AS spell
    LEFT JOIN thread_status_history AS next
        ON next.source = spell.source
        AND next.session_id = spell.session_id
        AND next.thread_id = spell.thread_id
        AND next.spell = spell.spell + 1
    LEFT JOIN threads
        ON threads.source = spell.source
        AND threads.session_id = spell.session_id
        AND threads.thread_id = spell.thread_id
),

seen AS (
    SELECT
        pairs.*,
        greatest(pairs.observed_from, coalesce(pairs.next_changed_after, listing.started_at)) AS observed_until
    FROM pairs
    ASOF LEFT JOIN complete_polls AS listing
        ON listing.source = pairs.source
        AND listing.session_id = pairs.session_id
        AND listing.started_at < pairs.missing_since
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
    observed_until,
    (epoch_us(coalesce(next_changed_at, observed_until)) - epoch_us(changed_at)) / 1e6 AS seconds,
    (epoch_us(observed_until) - epoch_us(observed_from)) / 1e6 AS seconds_low,
    (epoch_us(coalesce(ended_by, observed_until)) - epoch_us(changed_after_or_at)) / 1e6 AS seconds_high,
    is_current
FROM seen;
COMMENT ON VIEW thread_spells IS 'The spells of thread_status_history with the time until which each was seen (observed_until), its estimated length in seconds and the bounds of that (seconds_low, seconds_high); of a current spell the length so far.';

CREATE TABLE schema_drift (
    path VARCHAR NOT NULL,
    json_type VARCHAR NOT NULL,
    value VARCHAR,
    examples BIGINT NOT NULL,
    first_seen_at TIMESTAMPTZ NOT NULL,
    run_id VARCHAR NOT NULL
);
COMMENT ON TABLE schema_drift IS 'What the server sent that is not documented and was never seen before, one row per field and JSON type, or per value of an enumeration.';
COMMENT ON COLUMN schema_drift.path IS 'Path of the field in the thread object; [] stands for every element of an array';
COMMENT ON COLUMN schema_drift.json_type IS 'string, number, boolean, object, array or null';
COMMENT ON COLUMN schema_drift.value IS 'The new value of status, stop_reason.type, role or agent.type; null where the field itself is new';
COMMENT ON COLUMN schema_drift.examples IS 'Threads that had it in that run';
COMMENT ON COLUMN schema_drift.first_seen_at IS 'Client clock: arrival of the first page that had it';
COMMENT ON COLUMN schema_drift.run_id IS 'Run that saw it first';

CREATE TABLE session_digests (
    source VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    digest VARCHAR NOT NULL
);
COMMENT ON TABLE session_digests IS 'Per session, what its last loaded poll brought, where that was complete: a poll of the same bytes changes nothing, and its threads need not be looked at.';
COMMENT ON COLUMN session_digests.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN session_digests.session_id IS 'Session that was polled';
COMMENT ON COLUMN session_digests.digest IS 'BLAKE2 of the pages, and of how they were read';

CREATE VIEW documented AS
SELECT path, value
FROM (
    VALUES
        ('status', ['idle', 'running', 'rescheduling', 'blocked', 'archived', 'terminated']),
        (
            'stop_reason.type',
            ['end_turn', 'requires_action', 'retries_exhausted', 'budget_reached', 'refusal', 'archive']
        ),
        ('role', ['coordinator', 'child']),
        ('agent.type', ['agent', 'advisor', 'inline'])
) AS enumerations (path, known), unnest(known) AS element (value)
UNION ALL
SELECT unnest([
    'agent', 'agent.model', 'stats', 'usage', 'stop_reason', 'stop_reason.type',
    'stop_reason.event_ids', 'stop_reason.event_ids[]',
    'agent.system', 'agent.tools', 'agent.skills', 'agent.mcp_servers', 'agent.description'
]), NULL;
COMMENT ON VIEW documented IS 'What the server documents: the values of its enumerations, and (value null) the fields that no column of threads holds whole.';
