INSERT INTO session_polls BY NAME
WITH verdict_counts AS (
    SELECT
        incoming.source,
        incoming.session_id,
        count_if(verdict = 'new') AS threads_new,
        count_if(verdict = 'changed') AS threads_changed,
        count_if(verdict = 'unchanged') AS threads_unchanged,
        count_if(verdict = 'regressed') AS threads_regressed
    FROM verdicts
    JOIN incoming_threads AS incoming ON incoming.rowid = verdicts.number
    GROUP BY ALL
),

vanished_counts AS (
    SELECT source, session_id, count(*) AS threads_missing
    FROM vanished
    GROUP BY ALL
)

SELECT
    polls.* EXCLUDE (digest, repeats),
    coalesce(verdict_counts.threads_new, 0) AS threads_new,
    coalesce(verdict_counts.threads_changed, 0) AS threads_changed,
    CASE
        WHEN polls.repeats AND polls.outcome <> 'stale' THEN polls.threads_listed
        ELSE coalesce(verdict_counts.threads_unchanged, 0)
    END AS threads_unchanged,
    coalesce(verdict_counts.threads_regressed, 0) AS threads_regressed,
    coalesce(vanished_counts.threads_missing, 0) AS threads_missing
FROM incoming_polls AS polls
LEFT JOIN verdict_counts USING (source, session_id)
LEFT JOIN vanished_counts USING (source, session_id);

INSERT INTO runs BY NAME
SELECT
    landed_run.*,
    count_if(polls.outcome = 'complete') AS sessions_complete,
    count_if(polls.outcome = 'incomplete') AS sessions_incomplete,
    count_if(polls.outcome = 'gone') AS sessions_gone,
    count_if(polls.outcome = 'forbidden') AS sessions_forbidden,
    count_if(polls.outcome = 'failed') AS sessions_failed,
    count_if(polls.outcome = 'stale') AS sessions_stale
FROM landed_run
LEFT JOIN session_polls AS polls USING (run_id)
WHERE landed_run.run_id NOT IN (SELECT run_id FROM runs)
GROUP BY ALL;

DELETE FROM session_digests
USING incoming_polls AS polls
WHERE polls.outcome <> 'stale'
    AND polls.pages > 0
    AND NOT polls.repeats
    AND polls.source = session_digests.source
    AND polls.session_id = session_digests.session_id;

-- What was not applied as it came must be looked at again.
INSERT INTO session_digests BY NAME
SELECT source, session_id, digest
FROM incoming_polls AS polls
WHERE outcome = 'complete'
    AND status_filter IS NULL
    AND NOT repeats
    AND NOT EXISTS (
        FROM verdicts
        JOIN incoming_threads AS incoming ON incoming.rowid = verdicts.number
        WHERE verdicts.verdict = 'regressed'
            AND incoming.source = polls.source
            AND incoming.session_id = polls.session_id
    );
