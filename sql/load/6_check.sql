-- Rows that must not exist. Any one of them undoes the whole load.
SELECT format('session {} of source {} is twice in session_polls', session_id, source) AS line
FROM session_polls
SEMI JOIN landed_run USING (run_id, sequence)
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
