-- How probable it is that a thread is still open: by role, and of the agent versions with most threads.
WITH ranked AS (
    SELECT
        dimension,
        value,
        role,
        any_value(name) AS name,
        any_value(agent) AS agent,
        any_value(agent_version) AS agent_version,
        sum(closed + censored)::BIGINT AS n,
        min(t_seconds) FILTER (survival <= 0.75) AS t75,
        min(t_seconds) FILTER (survival <= 0.50) AS t50,
        min(t_seconds) FILTER (survival <= 0.25) AS t25,
        min(t_seconds) FILTER (survival <= 0.10) AS t10,
        row_number() OVER (PARTITION BY dimension ORDER BY n DESC, value, role) AS rank,
        count(*) OVER () AS total
    FROM analytics.survival
    WHERE dimension IN ('all', 'agent_version')
    GROUP BY dimension, value, role
)

SELECT
    ranked.*,
    points.t_seconds,
    points.survival,
    points.ci_low,
    points.ci_high,
    row_number() OVER (PARTITION BY dimension, rank ORDER BY points.t_seconds) = 1 AS is_first
FROM analytics.survival AS points
JOIN ranked USING (dimension, value, role)
WHERE rank <= 5
ORDER BY dimension = 'all' DESC, rank, points.t_seconds
