-- answers: What are typical and bad lifetimes?
-- grain: one row per dimension, value, role and basis (closed, and of these archived and terminated)
-- show: [dimension, name or value, role, basis, n, n_open, p50, p95, km_p50, km_p90, max]
-- columns:
--   dimension: "what the threads are grouped by: all, source, session, role, agent, agent_version, model"
--   value: the group by its id; an agent version is agent@version; a session of the same id in two sources counts as one group
--   name: what people call the group, by its label or the agent's name; value if there is none
--   agent: id of the agent, or its name if it has no id, of the dimensions agent and agent_version
--   agent_version: version of the agent, of the dimension agent_version
--   role: coordinator or child, never mixed
--   basis: archived, terminated, or closed for both together
--   n: number of closed threads whose lifetime is known, which the percentiles and the mean are of
--   n_open: number of open threads of the group, whose lifetimes are not over and in no percentile
--   p50: median lifetime (seconds)
--   p75: 75th percentile (seconds)
--   p90: 90th percentile (seconds)
--   p95: 95th percentile (seconds)
--   p99: 99th percentile (seconds)
--   mean: mean lifetime (seconds)
--   max: longest lifetime (seconds)
--   km_p50: median that counts open threads as censored (Kaplan-Meier), with basis closed; null if the curve does not fall that far (seconds)
--   km_p90: likewise the time at which nine in ten threads are closed (seconds)
--   as_of: beginning of the newest poll that the group rests on (UTC)
-- checks:
--   percentiles_rise: >-
--     FROM analytics.duration_percentiles
--     WHERE p50 > p75 + 1e-6 OR p75 > p90 + 1e-6 OR p90 > p95 + 1e-6 OR p95 > p99 + 1e-6
--     OR p99 > max + 1e-6
--   no_thread_is_lost: >-
--     SELECT count(*) AS threads FROM analytics.thread_durations
--     WHERE elapsed_seconds IS NOT NULL OR is_censored
--     HAVING count(*) <> (
--       SELECT coalesce(sum(n + n_open), 0) FROM analytics.duration_percentiles
--       WHERE dimension = 'all' AND basis = 'closed'
--     )
WITH members AS (
    SELECT *, role AS own_role, CASE WHEN NOT is_censored THEN elapsed_seconds END AS seconds
    FROM analytics.thread_durations
),

groups AS (
    SELECT
        unnest(dimension_of(
            grouping(source, session_id, role, agent, agent_version, model),
            source, session_id, role, agent, agent_version, model
        )),
        own_role AS role,
        coalesce(basis, 'closed') AS basis,
        count(seconds) AS n,
        count_if(is_censored) AS n_open,
        quantile_cont(seconds, [0.5, 0.75, 0.9, 0.95, 0.99]) AS percentiles,
        -- Decimals add up to the same in any order.
        avg(seconds::DECIMAL(18, 6)) AS mean,
        max(seconds) AS longest,
        max(as_of) AS as_of
    FROM members
    GROUP BY own_role, ROLLUP (basis), GROUPING SETS (
        (), (source), (session_id), (role), (agent), (agent, agent_version), (model)
    )
),

medians AS (
    SELECT
        dimension,
        value,
        role,
        'closed' AS basis,
        min(t_seconds) FILTER (survival <= 0.5) AS km_p50,
        min(t_seconds) FILTER (survival <= 0.1) AS km_p90
    FROM analytics.survival
    GROUP BY dimension, value, role
)

SELECT
    groups.dimension,
    groups.value,
    coalesce(names.name, groups.value) AS name,
    names.agent,
    names.agent_version,
    groups.role,
    groups.basis,
    groups.n,
    max(groups.n_open) OVER same_group AS n_open,
    groups.percentiles[1] AS p50,
    groups.percentiles[2] AS p75,
    groups.percentiles[3] AS p90,
    groups.percentiles[4] AS p95,
    groups.percentiles[5] AS p99,
    groups.mean,
    groups.longest AS max,
    medians.km_p50,
    medians.km_p90,
    max(groups.as_of) OVER same_group AS as_of
FROM groups
LEFT JOIN medians USING (dimension, value, role, basis)
LEFT JOIN group_names AS names USING (dimension, value)
WHERE groups.basis = 'closed' OR groups.n > 0
WINDOW same_group AS (PARTITION BY groups.dimension, groups.value, groups.role)
ORDER BY groups.dimension <> 'all', groups.dimension, groups.value, groups.role, groups.basis
