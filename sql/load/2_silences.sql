-- How long a thread had been quiet, in the status that it was in, when a poll saw it so for the last time
-- before it moved. Until then it was quiet for certain, also if nobody polled for a night; and whoever
-- looks in at any time finds it so.
CREATE OR REPLACE TEMP TABLE new_silences AS
WITH listings AS (
    SELECT source, arg_max(started_at, sequence) AS quiet_as_of
    FROM source_polls
    WHERE outcome = 'complete'
    GROUP BY source
)

SELECT
    threads.source,
    coalesce(key_of_agent(threads.agent_id, threads.agent_name, threads.agent_type, threads.agent_model), '(none)') AS agent,
    coalesce(threads.status, '(none)') AS status,
    age_step(
        seconds_between(
            threads.updated_at,
            greatest(
                threads.last_changed_at,
                coalesce(threads.missing_since, newest_polls.started_at),
                CASE WHEN sessions.state = 'resting' THEN listings.quiet_as_of END
            )
        )
    ) AS step,
    count(*) AS silences
FROM (SELECT known_row, updated_at FROM thread_changes WHERE change_type = 'changed') AS incoming
JOIN threads ON threads.rowid = incoming.known_row
LEFT JOIN newest_polls USING (source, session_id)
LEFT JOIN sessions USING (source, session_id)
LEFT JOIN listings USING (source)
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
