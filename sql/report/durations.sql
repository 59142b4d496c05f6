-- Lifetimes by role, and of the agent versions with most threads, roles apart.
WITH groups AS (
    SELECT
        dimension,
        value,
        role,
        n,
        n_open,
        p50,
        p75,
        p90,
        p95,
        p99,
        max,
        km_p50,
        km_p90,
        row_number() OVER (PARTITION BY dimension ORDER BY n + n_open DESC, value, role) AS rank,
        count(*) OVER () AS total
    FROM analytics.duration_percentiles
    WHERE basis = 'closed' AND dimension IN ('all', 'agent_version')
)

SELECT
    *,
    CASE
        WHEN dimension = 'all' THEN role[:30]
        WHEN length(value) > 50 THEN format('{}… ({})', value[:45], rank)
        ELSE value
    END || CASE WHEN dimension = 'all' OR role = 'child' THEN '' ELSE ' · ' || role[:15] END AS label
FROM groups
WHERE rank <= 12
ORDER BY dimension = 'all' DESC, rank
