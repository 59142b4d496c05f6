-- What is wrong with the threads of a load, and their history, a line each.
WITH sessions_read AS (
    SELECT source, session_id
    FROM incoming_polls
    WHERE is_read
),

rows AS (
    SELECT source, session_id, thread_id, status, stop_reason_type
    FROM threads
    SEMI JOIN sessions_read USING (source, session_id)
),

spells AS (
    FROM thread_status_history
    SEMI JOIN sessions_read USING (source, session_id)
),

spell_counts AS (
    SELECT
        source,
        session_id,
        thread_id,
        count(*) AS spells,
        count(DISTINCT spell) AS different_spells,
        max(spell) AS last_spell,
        count_if(ended_before IS NULL) AS current_spells
    FROM spells
    GROUP BY source, session_id, thread_id
),

violations AS (
    SELECT source, session_id, thread_id, 'is twice in spells_unseen' AS violation
    FROM spells_unseen
    SEMI JOIN sessions_read USING (source, session_id)
    GROUP BY source, session_id, thread_id
    HAVING count(*) > 1
    UNION ALL
    SELECT source, session_id, thread_id, 'is listed twice in threads'
    FROM rows
    GROUP BY source, session_id, thread_id
    HAVING count(*) > 1
    UNION ALL
    SELECT source, session_id, thread_id, 'has a gap, or a spell twice, in thread_status_history'
    FROM spell_counts
    WHERE spells <> last_spell OR spells <> different_spells
    UNION ALL
    SELECT source, session_id, thread_id, 'has not exactly one current spell'
    FROM rows
    FULL JOIN spell_counts USING (source, session_id, thread_id)
    WHERE spell_counts.current_spells IS DISTINCT FROM 1
    UNION ALL
    SELECT source, session_id, thread_id, 'has spells but is not in threads'
    FROM spell_counts
    ANTI JOIN rows USING (source, session_id, thread_id)
    UNION ALL
    SELECT spell.source, spell.session_id, spell.thread_id, 'has a spell that does not end where the next begins'
    FROM spells AS spell
    LEFT JOIN spells AS next
        ON next.source = spell.source
        AND next.session_id = spell.session_id
        AND next.thread_id = spell.thread_id
        AND next.spell = spell.spell + 1
        AND next.spell > 1
    WHERE (spell.ended_before, spell.ended_after, spell.ended_at, spell.next_status)
        IS DISTINCT FROM (next.observed_from, next.changed_after, next.changed_at, next.status)
        OR spell.observed_from > spell.ended_before
        OR spell.changed_at > next.changed_at
    UNION ALL
    SELECT source, session_id, thread_id, 'has another status in threads than in its current spell'
    FROM spells
    JOIN rows USING (source, session_id, thread_id)
    WHERE spells.ended_before IS NULL
        AND (rows.status, rows.stop_reason_type)
        IS DISTINCT FROM (spells.status, spells.stop_reason_type)
)

SELECT DISTINCT format('thread {} of session {} of source {} {}', thread_id, session_id, source, violation) AS line
FROM violations
ORDER BY line
LIMIT 5
