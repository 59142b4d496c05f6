-- Whether the threads and the history of the sessions that were read agree, by sums over their rows: each
-- thread has one current spell, of its status, and each spell ends where the next begins. A row if not.
WITH sessions_read AS (
    SELECT source, session_id
    FROM incoming_polls
    WHERE is_read
),

states AS (
    SELECT sum(hash(source, session_id, thread_id, status, stop_reason_type)) AS hashes
    FROM threads
    SEMI JOIN sessions_read USING (source, session_id)
),

spells AS (
    SELECT
        sum(CASE WHEN ended_before IS NULL THEN hash(source, session_id, thread_id, status, stop_reason_type) END)
        AS current,
        sum(CASE
            WHEN ended_before IS NOT NULL THEN
                hash(source, session_id, thread_id, spell + 1, ended_before, ended_after, ended_at, next_status)
        END) AS ends,
        sum(CASE
            WHEN spell > 1 THEN
                hash(source, session_id, thread_id, spell, observed_from, changed_after, changed_at, status)
        END) AS begins,
        count_if(observed_from > ended_before OR changed_at > ended_at) AS disordered
    FROM thread_status_history
    SEMI JOIN sessions_read USING (source, session_id)
),

unseen AS (
    SELECT count(*) - count(DISTINCT (source, session_id, thread_id)) AS doubles
    FROM spells_unseen
    SEMI JOIN sessions_read USING (source, session_id)
)

SELECT TRUE AS differs
FROM states, spells, unseen
WHERE states.hashes IS DISTINCT FROM spells.current
    OR spells.ends IS DISTINCT FROM spells.begins
    OR spells.disordered > 0
    OR unseen.doubles > 0;
