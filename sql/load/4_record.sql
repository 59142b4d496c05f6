INSERT INTO session_polls BY NAME
SELECT * EXCLUDE (digest, repeats, is_read, missing_rule, origin, is_leaving)
FROM incoming_polls;

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
LEFT JOIN session_polls AS polls USING (run_id, sequence)
WHERE landed_run.run_id NOT IN (SELECT run_id FROM runs)
GROUP BY ALL;
