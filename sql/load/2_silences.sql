-- How long a thread had been quiet, in the status that it was in, when it was seen to move again.
CREATE OR REPLACE TEMP TABLE new_silences AS
SELECT
    threads.source,
    coalesce(key_of_agent(threads.agent_id, threads.agent_name, threads.agent_type, threads.agent_model), '(none)') AS agent,
    coalesce(threads.status, '(none)') AS status,
    age_step(seconds_between(threads.updated_at, incoming.updated_at)) AS step,
    count(*) AS silences
FROM (FROM thread_changes WHERE change_type = 'changed') AS incoming
JOIN threads ON threads.rowid = incoming.known_row
WHERE threads.is_open AND incoming.updated_at > threads.updated_at
GROUP BY ALL;

UPDATE silences
SET silences = silences.silences + new_silences.silences
FROM new_silences
WHERE (silences.source, silences.agent, silences.status, silences.step)
    = (new_silences.source, new_silences.agent, new_silences.status, new_silences.step);

INSERT INTO silences BY NAME
FROM new_silences
ANTI JOIN silences USING (source, agent, status, step)
ORDER BY ALL;
