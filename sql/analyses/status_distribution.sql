-- answers: How many threads are in each status now?
-- grain: one row per dimension, value and status; the known statuses are there even with no thread
-- show: [dimension, name or value, status, threads, share, n]
-- columns:
--   dimension: "what the threads are grouped by: all, source, session, role, agent, agent_version, model"
--   value: the group by its id; an agent version is agent@version; a session of the same id in two sources counts as one group
--   name: what people call the group, by its label or the agent's name; value if there is none
--   agent: id of the agent, or its name if it has no id, of the dimensions agent and agent_version
--   agent_version: version of the agent, of the dimension agent_version
--   status: status as the server says it, (none) if it says none, (other) for all but the known and the 20 most frequent others
--   threads: number of threads, those that are missing from the newest complete poll left out, and those of sessions that nobody watches
--   share: threads / n; null if n is 0
--   n: number of threads in the group
--   threads_unwatched: number of other threads of the group, in sessions that are gone, forbidden or no longer configured, so that their present is not known
--   as_of: beginning of the newest poll that the group rests on (UTC)
--   as_of_oldest: the oldest of the newest polls that its threads rest on (UTC)
-- checks:
--   shares_add_up: >-
--     SELECT dimension, value, sum(share) AS total FROM analytics.status_distribution
--     GROUP BY ALL HAVING abs(sum(share) - 1) > 1e-9
--   threads_add_up: >-
--     SELECT dimension, value, sum(threads) AS total, max(n) AS n
--     FROM analytics.status_distribution GROUP BY ALL HAVING sum(threads) <> max(n)
--   no_thread_is_lost: >-
--     SELECT count(*) AS listed FROM threads WHERE missing_since IS NULL
--     HAVING count(*) <> (
--       SELECT sum(threads) + max(threads_unwatched) FROM analytics.status_distribution WHERE dimension = 'all'
--     )
WITH listed AS (
    SELECT durations.* REPLACE (coalesce(names.name, '(none)') AS status)
    FROM analytics.thread_durations AS durations
    LEFT JOIN status_names AS names USING (status)
    WHERE missing_since IS NULL
),

counts AS (
    SELECT
        unnest(dimension_of(
            grouping(source, session_id, role, agent, agent_version, model),
            source, session_id, role, agent, agent_version, model
        )),
        status,
        count(*) FILTER (unwatched_since IS NULL) AS threads,
        count_if(unwatched_since IS NOT NULL) AS unwatched,
        max(as_of) FILTER (unwatched_since IS NULL) AS as_of,
        min(as_of) FILTER (unwatched_since IS NULL) AS as_of_oldest
    FROM listed
    GROUP BY status, GROUPING SETS (
        (), (source), (session_id), (role), (agent), (agent, agent_version), (model)
    )
),

groups AS (
    SELECT
        dimension,
        value,
        sum(threads)::BIGINT AS n,
        sum(unwatched)::BIGINT AS threads_unwatched,
        max(as_of) AS as_of,
        min(as_of_oldest) AS as_of_oldest
    FROM counts
    GROUP BY dimension, value
    UNION ALL
    SELECT 'all', 'all', 0, 0, NULL, NULL
    WHERE NOT EXISTS (FROM counts)
),

cells AS (
    SELECT groups.dimension, groups.value, statuses.status
    FROM groups
    CROSS JOIN statuses
    UNION
    SELECT dimension, value, status
    FROM counts
    WHERE threads > 0
)

SELECT
    cells.dimension,
    cells.value,
    coalesce(names.name, cells.value) AS name,
    names.agent,
    names.agent_version,
    cells.status,
    coalesce(counts.threads, 0) AS threads,
    coalesce(counts.threads, 0) / nullif(groups.n, 0) AS share,
    groups.n,
    groups.threads_unwatched,
    groups.as_of,
    groups.as_of_oldest
FROM cells
JOIN groups USING (dimension, value)
LEFT JOIN counts USING (dimension, value, status)
LEFT JOIN group_names AS names USING (dimension, value)
ORDER BY cells.dimension <> 'all', cells.dimension, cells.value, threads DESC, cells.status
