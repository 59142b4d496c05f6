-- Rows that must not exist. Any one of them undoes the whole load.
WITH touched AS (
    SELECT source, session_id, thread_id
    FROM verdicts
    WHERE verdict <> 'regressed'
),

spells AS (
    SELECT history.*
    FROM thread_status_history AS history
    SEMI JOIN touched USING (source, session_id, thread_id)
),

violations AS (
    SELECT 'is listed twice in threads' AS violation, source, session_id, thread_id
    FROM threads
    WHERE (source, session_id) IN (SELECT (source, session_id) FROM incoming_polls)
    GROUP BY ALL
    HAVING count(*) > 1
    UNION ALL
    SELECT 'is twice in spells_unseen', source, session_id, thread_id
    FROM spells_unseen
    SEMI JOIN touched USING (source, session_id, thread_id)
    GROUP BY ALL
    HAVING count(*) > 1
    UNION ALL
    SELECT 'has a gap, or a spell twice, in thread_status_history', source, session_id, thread_id
    FROM spells
    GROUP BY ALL
    HAVING count(*) <> max(spell) OR count(DISTINCT spell) <> max(spell)
    UNION ALL
    SELECT 'has not exactly one current spell', touched.source, touched.session_id, touched.thread_id
    FROM touched
    LEFT JOIN spells USING (source, session_id, thread_id)
    GROUP BY ALL
    HAVING count_if(spells.spell IS NOT NULL AND spells.ended_by IS NULL) <> 1
    UNION ALL
    SELECT 'has a spell that does not end where the next begins', spell.source, spell.session_id, spell.thread_id
    FROM spells AS spell
    LEFT JOIN spells AS next
        ON next.source = spell.source
        AND next.session_id = spell.session_id
        AND next.thread_id = spell.thread_id
        AND next.spell = spell.spell + 1
    WHERE (spell.ended_by, spell.ended_after, spell.ended_at, spell.next_status)
        IS DISTINCT FROM (next.observed_from, next.changed_after, next.changed_at, next.status)
        OR spell.observed_from > spell.ended_by
        OR spell.changed_at > next.changed_at
    UNION ALL
    SELECT 'has another status in threads than in its current spell', spells.source, spells.session_id, spells.thread_id
    FROM spells
    JOIN threads USING (source, session_id, thread_id)
    WHERE spells.ended_by IS NULL
        AND (threads.status, threads.stop_reason_type)
        IS DISTINCT FROM (spells.status, spells.stop_reason_type)
)

SELECT format('thread {} of session {} of source {} {}', thread_id, session_id, source, violation) AS line
FROM violations
UNION ALL
SELECT format('session {} of source {} is twice in session_polls', session_id, source)
FROM session_polls
SEMI JOIN landed_run USING (run_id)
GROUP BY source, session_id
HAVING count(*) > 1
UNION ALL
SELECT 'it is twice in runs'
FROM runs
SEMI JOIN landed_run USING (run_id)
HAVING count(*) > 1
UNION ALL
SELECT format('{} is twice in schema_drift', concat_ws(' ', path, json_type, value))
FROM schema_drift
GROUP BY path, json_type, value
HAVING count(*) > 1
ORDER BY line
LIMIT 5;
