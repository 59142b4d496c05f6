-- answers: How many threads are in each status now?
-- grain: one row per dimension, value and status; the known statuses are there even with no thread
-- columns:
--   dimension: "what the threads are grouped by: all, source, session, role, agent, agent_version, model"
--   value: the group; a session is named by its id, an agent version as agent@version
--   status: status as the server says it, (none) where it says none
--   threads: number of threads, those that are missing from the newest complete poll left out
--   share: threads / n; null where n is 0
--   n: number of threads in the group
--   as_of: beginning of the newest poll that the group rests on (UTC)
-- needs: [threads, threads_seen, thread_dimensions]
-- checks:
--   shares_add_up: >-
--     SELECT dimension, value, sum(share) AS total FROM analytics.status_distribution
--     GROUP BY ALL HAVING abs(sum(share) - 1) > 1e-9
--   threads_add_up: >-
--     SELECT dimension, value, sum(threads) AS total, max(n) AS n
--     FROM analytics.status_distribution GROUP BY ALL HAVING sum(threads) <> max(n)
WITH listed AS (
    SELECT
        thread_dimensions.dimension,
        thread_dimensions.value,
        coalesce(threads.status, '(none)') AS status,
        threads_seen.as_of
    FROM threads
    JOIN thread_dimensions USING (source, session_id, thread_id)
    LEFT JOIN threads_seen USING (source, session_id, thread_id)
    WHERE threads.missing_since IS NULL
),

groups AS (
    SELECT dimension, value, count(*) AS n, max(as_of) AS as_of
    FROM listed
    GROUP BY dimension, value
    UNION ALL
    SELECT 'all', 'all', 0, NULL
    WHERE NOT EXISTS (FROM listed)
),

known_statuses AS (
    SELECT unnest(
        ['idle', 'running', 'rescheduling', 'blocked', 'archived', 'terminated']
    ) AS status
),

counts AS (
    SELECT dimension, value, status, count(*) AS threads
    FROM listed
    GROUP BY dimension, value, status
),

cells AS (
    SELECT groups.dimension, groups.value, known_statuses.status
    FROM groups
    CROSS JOIN known_statuses
    UNION
    SELECT dimension, value, status
    FROM counts
)

SELECT
    cells.dimension,
    cells.value,
    cells.status,
    coalesce(counts.threads, 0) AS threads,
    coalesce(counts.threads, 0) / nullif(groups.n, 0) AS share,
    groups.n,
    groups.as_of
FROM cells
JOIN groups USING (dimension, value)
LEFT JOIN counts USING (dimension, value, status)
ORDER BY cells.dimension, cells.value, threads DESC, cells.status
