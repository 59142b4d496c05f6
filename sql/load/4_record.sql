INSERT INTO session_polls BY NAME
SELECT * EXCLUDE (digest, repeats, is_read, missing_rule, origin, is_leaving)
FROM incoming_polls;

INSERT INTO runs BY NAME
SELECT
    landed_run.*,
    count(*) FILTER (polls.outcome = 'complete') AS sessions_complete,
    count(*) FILTER (polls.outcome = 'incomplete') AS sessions_incomplete,
    count(*) FILTER (polls.outcome = 'gone') AS sessions_gone,
    count(*) FILTER (polls.outcome = 'forbidden') AS sessions_forbidden,
    count(*) FILTER (polls.outcome = 'failed') AS sessions_failed,
    count(*) FILTER (polls.outcome = 'overtaken') AS sessions_overtaken
FROM landed_run
LEFT JOIN session_polls AS polls USING (run_id, sequence)
WHERE landed_run.run_id NOT IN (SELECT run_id FROM runs)
GROUP BY ALL;
