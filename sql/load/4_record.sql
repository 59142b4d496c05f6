INSERT INTO session_polls BY NAME
WITH change_counts AS (
    SELECT
        incoming.source,
        incoming.session_id,
        count_if(change_type = 'new') AS threads_new,
        count_if(change_type = 'changed') AS threads_changed,
        count_if(change_type = 'unchanged') AS threads_unchanged,
        count_if(change_type = 'regressed') AS threads_regressed
    FROM thread_changes
    JOIN incoming_threads AS incoming ON incoming.rowid = thread_changes.number
    GROUP BY ALL
),

missing_counts AS (
    SELECT source, session_id, count(*) AS threads_missing
    FROM newly_missing
    GROUP BY ALL
)

SELECT
    polls.* EXCLUDE (digest, repeats, missing_rule, origin, is_leaving),
    coalesce(change_counts.threads_new, 0) AS threads_new,
    coalesce(change_counts.threads_changed, 0) AS threads_changed,
    CASE
        WHEN polls.repeats AND polls.outcome <> 'overtaken' THEN polls.threads_listed
        ELSE coalesce(change_counts.threads_unchanged, 0)
    END AS threads_unchanged,
    coalesce(change_counts.threads_regressed, 0) AS threads_regressed,
    coalesce(missing_counts.threads_missing, 0) AS threads_missing
FROM incoming_polls AS polls
LEFT JOIN change_counts USING (source, session_id)
LEFT JOIN missing_counts USING (source, session_id);

INSERT INTO runs BY NAME
SELECT
    landed_run.*,
    count_if(polls.outcome = 'complete') AS sessions_complete,
    count_if(polls.outcome = 'incomplete') AS sessions_incomplete,
    count_if(polls.outcome = 'gone') AS sessions_gone,
    count_if(polls.outcome = 'forbidden') AS sessions_forbidden,
    count_if(polls.outcome = 'failed') AS sessions_failed,
    count_if(polls.outcome = 'overtaken') AS sessions_overtaken
FROM landed_run
LEFT JOIN session_polls AS polls USING (run_id)
WHERE landed_run.run_id NOT IN (SELECT run_id FROM runs)
GROUP BY ALL;

DELETE FROM session_digests
USING incoming_polls AS polls
WHERE polls.outcome <> 'overtaken'
    AND polls.pages > 0
    AND NOT polls.repeats
    AND session_digests.endpoint = 'threads'
    AND polls.source = session_digests.source
    AND polls.session_id = session_digests.session_id;

-- What was not applied as it came must be looked at again.
INSERT INTO session_digests BY NAME
WITH read AS (
    SELECT
        incoming.source,
        incoming.session_id,
        min(thread_changes.growing_since) AS growing_since,
        bool_or(thread_changes.change_type = 'regressed') AS regressed
    FROM thread_changes
    JOIN incoming_threads AS incoming ON incoming.rowid = thread_changes.number
    GROUP BY ALL
)

SELECT
    polls.source,
    'threads' AS endpoint,
    polls.session_id,
    polls.digest,
    landed_states.state_digest,
    read.growing_since
FROM incoming_polls AS polls
LEFT JOIN read USING (source, session_id)
LEFT JOIN landed_states USING (source, session_id)
WHERE is_complete_poll(polls.outcome, polls.status_filter)
    AND NOT polls.repeats
    AND NOT coalesce(read.regressed, FALSE);
