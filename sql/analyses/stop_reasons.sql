-- answers: Why do turns end?
-- grain: one row per dimension, value and stop reason that a thread has
-- columns:
--   dimension: "what the threads are grouped by: all, source, session, role, agent, agent_version, model"
--   value: the group; a session is named by its id; one of the same id in two sources counts as one group; an agent version is named agent@version
--   stop_reason_type: why the last turn of the thread ended, (none) if the server says nothing, as while it runs
--   threads: number of threads, those that are missing from the newest complete poll left out
--   share: threads / n
--   n: number of threads in the group
--   as_of: beginning of the newest poll that the group rests on (UTC)
-- checks:
--   threads_add_up: >-
--     SELECT dimension, value, sum(threads) AS total, max(n) AS n
--     FROM analytics.stop_reasons GROUP BY ALL HAVING sum(threads) <> max(n)
--   no_thread_is_lost: >-
--     SELECT count(*) AS listed FROM threads WHERE missing_since IS NULL
--     HAVING count(*) <> (
--       SELECT coalesce(sum(threads), 0) FROM analytics.stop_reasons WHERE dimension = 'all'
--     )
WITH listed AS (
    SELECT
        source,
        session_id,
        coalesce(role, '(none)') AS role,
        coalesce(agent, '(none)') AS agent,
        agent_version,
        coalesce(model, '(none)') AS model,
        coalesce(stop_reason_type, '(none)') AS stop_reason_type,
        as_of
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
        count(*) AS threads,
        max(as_of) AS as_of
    FROM listed
    GROUP BY stop_reason_type, GROUPING SETS (
        (), (source), (session_id), (role), (agent), (agent, agent_version), (model)
    )
)

SELECT
    dimension,
    value,
    stop_reason_type,
    threads,
    threads / sum(threads) OVER same_group AS share,
    (sum(threads) OVER same_group)::BIGINT AS n,
    max(as_of) OVER same_group AS as_of
FROM counts
WINDOW same_group AS (PARTITION BY dimension, value)
ORDER BY dimension, value, threads DESC, stop_reason_type
