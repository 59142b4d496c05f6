-- answers: Why do turns end?
-- grain: one row per dimension, value and stop reason that a thread has; with none, if only threads that nobody watches have it
-- show: [dimension, name or value, stop_reason_type, threads, share, n]
-- columns:
--   dimension: "what the threads are grouped by: all, source, session, role, agent, agent_version, model"
--   value: the group by its id; an agent version is agent@version; a session of the same id in two sources counts as one group
--   name: what people call the group, by its label or the agent's name; value if there is none
--   agent: id of the agent, or its name if it has no id, of the dimensions agent and agent_version
--   agent_version: version of the agent, of the dimension agent_version
--   stop_reason_type: why the last turn of the thread ended, (none) if the server says nothing, as while it runs
--   threads: number of threads, those that are missing from the newest complete poll left out, and those of sessions that nobody watches
--   share: threads / n; null if n is 0
--   n: number of threads in the group
--   threads_unwatched: number of other threads of the group, in sessions that are gone, forbidden or no longer configured, so that their present is not known
--   as_of: beginning of the newest poll that the group rests on (UTC)
--   as_of_oldest: the oldest of the newest polls that its threads rest on (UTC)
-- checks:
--   threads_add_up: >-
--     SELECT dimension, value, sum(threads) AS total, max(n) AS n
--     FROM analytics.stop_reasons GROUP BY ALL HAVING sum(threads) <> max(n)
--   no_thread_is_lost: >-
--     SELECT count(*) AS listed FROM threads WHERE missing_since IS NULL
--     HAVING count(*) <> (
--       SELECT coalesce(sum(threads) + max(threads_unwatched), 0) FROM analytics.stop_reasons WHERE dimension = 'all'
--     )
WITH listed AS (
    SELECT * REPLACE (coalesce(stop_reason_type, '(none)') AS stop_reason_type)
    FROM analytics.thread_durations
    WHERE missing_since IS NULL
),

counts AS (
    SELECT
        unnest(dimension_of(
            grouping(source, session_id, role, agent, agent_version, model),
            source, session_id, role, agent, agent_version, model
        )),
        stop_reason_type,
        count(*) FILTER (unwatched_since IS NULL) AS threads,
        count_if(unwatched_since IS NOT NULL) AS unwatched,
        max(as_of) FILTER (unwatched_since IS NULL) AS as_of,
        min(as_of) FILTER (unwatched_since IS NULL) AS as_of_oldest
    FROM listed
    GROUP BY stop_reason_type, GROUPING SETS (
        (), (source), (session_id), (role), (agent), (agent, agent_version), (model)
    )
)

SELECT
    dimension,
    value,
    coalesce(names.name, value) AS name,
    names.agent,
    names.agent_version,
    stop_reason_type,
    threads,
    threads / nullif(sum(threads) OVER same_group, 0) AS share,
    (sum(threads) OVER same_group)::BIGINT AS n,
    (sum(unwatched) OVER same_group)::BIGINT AS threads_unwatched,
    max(as_of) OVER same_group AS as_of,
    min(as_of_oldest) OVER same_group AS as_of_oldest
FROM counts
LEFT JOIN group_names AS names USING (dimension, value)
WINDOW same_group AS (PARTITION BY dimension, value)
ORDER BY dimension <> 'all', dimension, value, threads DESC, stop_reason_type
