-- Rows that must not exist. Any one of them undoes the whole load.
WITH touched AS (
    SELECT thread_changes.number, incoming.source, incoming.session_id, incoming.thread_id
    FROM thread_changes
    JOIN incoming_threads AS incoming ON incoming.rowid = thread_changes.number
    WHERE thread_changes.change_type <> 'regressed'
),

rows AS (
    SELECT touched.number, threads.status, threads.stop_reason_type
    FROM touched
    JOIN threads USING (source, session_id, thread_id)
),

spells AS (
    SELECT touched.number, history.* EXCLUDE (source, session_id, thread_id)
    FROM touched
    JOIN thread_status_history AS history USING (source, session_id, thread_id)
),

spell_counts AS (
    SELECT number, count(*) AS spells, max(spell) AS last_spell, count_if(ended_before IS NULL) AS current_spells
    FROM spells
    GROUP BY number
),

violations AS (
    SELECT number, 'is twice in spells_unseen' AS violation
    FROM touched
    JOIN spells_unseen USING (source, session_id, thread_id)
    GROUP BY number
    HAVING count(*) > 1
    UNION ALL
    SELECT number, 'has a gap, or a spell twice, in thread_status_history'
    FROM spell_counts
    WHERE spells <> last_spell
    UNION
    SELECT number, 'has a gap, or a spell twice, in thread_status_history'
    FROM spells
    GROUP BY number, spell
    HAVING count(*) > 1
    UNION ALL
    SELECT touched.number, 'has not exactly one current spell'
    FROM touched
    LEFT JOIN spell_counts USING (number)
    WHERE spell_counts.current_spells IS DISTINCT FROM 1
    UNION ALL
    SELECT spell.number, 'has a spell that does not end where the next begins'
    FROM spells AS spell
    LEFT JOIN spells AS next ON next.number = spell.number AND next.spell = spell.spell + 1 AND next.spell > 1
    WHERE (spell.ended_before, spell.ended_after, spell.ended_at, spell.next_status)
        IS DISTINCT FROM (next.observed_from, next.changed_after, next.changed_at, next.status)
        OR spell.observed_from > spell.ended_before
        OR spell.changed_at > next.changed_at
    UNION ALL
    SELECT spells.number, 'has another status in threads than in its current spell'
    FROM spells
    JOIN rows USING (number)
    WHERE spells.ended_before IS NULL
        AND (rows.status, rows.stop_reason_type)
        IS DISTINCT FROM (spells.status, spells.stop_reason_type)
)

SELECT format('thread {} of session {} of source {} {}', thread_id, session_id, source, violation) AS line
FROM violations
JOIN incoming_threads AS incoming ON incoming.rowid = violations.number
UNION ALL
SELECT format('thread {} of session {} of source {} is listed twice in threads', thread_id, session_id, source)
FROM threads
WHERE (source, session_id) IN (SELECT (source, session_id) FROM incoming_polls)
GROUP BY source, session_id, thread_id
HAVING count(*) > 1
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
