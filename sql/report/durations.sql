-- Lifetimes by role, and of the agent versions with most threads, roles apart.
WITH groups AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY dimension ORDER BY n + n_open DESC, value, role) AS rank,
        count(*) OVER () AS total
    FROM analytics.duration_percentiles
    WHERE basis = 'closed' AND dimension IN ('all', 'agent_version')
)

SELECT *
FROM groups
WHERE rank <= 12
ORDER BY dimension = 'all' DESC, rank
