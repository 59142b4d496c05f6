-- answers: What are typical and bad lifetimes?
-- grain: one row per dimension, value, role and basis (closed, and of these archived, terminated, cancelled and vanished)
-- show: [dimension, name or value, role, basis, n, n_open, p50, p95, km_p50, km_p90, max]
-- columns:
--   dimension: "what the threads are grouped by: all, source, session, role, agent, agent_version, model"
--   value: the group by its id; an agent version is agent@version; a session of the same id in two sources counts as one group
--   name: what people call the group, by its label or the agent's name; value if there is none
--   agent: id of the agent, or its name if it has no id, of the dimensions agent and agent_version
--   agent_version: version of the agent, of the dimension agent_version
--   role: coordinator or child, never mixed
--   basis: how they closed, as in thread_durations, or closed for all of them together
--   n: number of closed threads whose lifetime is known, which the percentiles and the mean are of
--   n_open: number of open threads of the group, whose lifetimes are not over and in no percentile
--   vanished_share: share of n that closed unseen, each with the middle of its possible lifetimes; null if n is 0
--   late_share: share of the group's threads that count from the age at their session's first poll (entry_seconds)
--   p50: median lifetime, one that occurs, as all percentiles (seconds)
--   p50_of_sessions: of the dimension all, the median over the sessions of their p50, for which a large session counts as much as a small one (seconds)
--   km_p50_of_sessions: likewise the median over the sessions of their km_p50; one that does not fall that far counts as longer than any (seconds)
--   p75: 75th percentile (seconds)
--   p90: 90th percentile (seconds)
--   p95: 95th percentile (seconds)
--   p99: 99th percentile (seconds)
--   mean: mean lifetime (seconds)
--   max: longest lifetime (seconds)
--   km_p50: median that counts open threads as censored (Kaplan-Meier), with basis closed; null if the curve does not fall that far (seconds)
--   km_p50_low: lower end of the 95 % confidence interval of km_p50, where that of survival falls to a half, to within a 200th part of the threads; null if it is not known or does not fall that far (seconds)
--   km_p50_high: upper end of it (seconds)
--   km_p90: likewise the time at which nine in ten threads are closed (seconds)
--   as_of: beginning of the newest poll that the group rests on (UTC)
--   as_of_oldest: the oldest of the newest polls that its threads rest on (UTC)
-- checks:
--   percentiles_rise: >-
--     FROM analytics.duration_percentiles WHERE NOT (p50 <= p75 AND p75 <= p90 AND p90 <= p95 AND p95 <= p99 AND p99 <= max)
--   no_thread_is_lost: >-
--     SELECT count(*) AS threads FROM analytics.thread_durations
--     WHERE elapsed_seconds IS NOT NULL OR is_censored
--     HAVING count(*) <> (
--       SELECT coalesce(sum(n + n_open), 0) FROM analytics.duration_percentiles
--       WHERE dimension = 'all' AND basis = 'closed'
--     )
WITH groups AS (
    SELECT
        unnest(dimension_of(
            grouping(source, session_id, role, agent, agent_version, model), source, session_id, role, agent, agent_version, model
        )),
        own_role AS role, coalesce(basis, 'closed') AS basis,
        count(seconds) AS n, count(*) FILTER (is_censored) AS n_open,
        count_if(basis = 'vanished' AND seconds IS NOT NULL) AS n_vanished,
        count_if(entry_seconds > 0) AS n_late, count(*) AS threads,
        quantile_disc(seconds, [0.5, 0.75, 0.9, 0.95, 0.99]) AS percentiles,
        -- Decimals add up to the same in any order.
        avg(seconds::DECIMAL(18, 6)) AS mean,
        max(seconds) AS longest,
        max(as_of) AS as_of, min(as_of) AS as_of_oldest
    FROM (
        SELECT *, role AS own_role, CASE WHEN NOT is_censored THEN elapsed_seconds END AS seconds
        FROM analytics.thread_durations
    ) AS members
    GROUP BY own_role, ROLLUP (basis), GROUPING SETS (
        (), (source), (session_id), (role), (agent), (agent, agent_version), (model)
    )
),

medians AS (
    SELECT
        dimension, value, role, 'closed' AS basis,
        min(t_seconds) FILTER (survival <= 0.5) AS km_p50, min(t_seconds) FILTER (survival <= 0.1) AS km_p90,
        min(t_seconds) FILTER (ci_low <= 0.5) AS km_p50_low, min(t_seconds) FILTER (ci_high <= 0.5) AS km_p50_high
    FROM analytics.survival
    GROUP BY dimension, value, role
),

of_sessions AS (
    SELECT
        'all' AS dimension, role, basis, quantile_disc(percentiles[1], 0.5) AS p50_of_sessions,
        quantile_disc(coalesce(km_p50, 'infinity'), 0.5) FILTER (basis = 'closed') AS typical
    FROM groups
    LEFT JOIN medians USING (dimension, value, role, basis)
    WHERE dimension = 'session'
    GROUP BY role, basis
)

SELECT
    dimension, value, coalesce(names.name, value) AS name, names.agent, names.agent_version, role, basis,
    n, max(n_open) OVER same_group AS n_open,
    n_vanished / nullif(n, 0) AS vanished_share,
    max(n_late) OVER same_group / max(threads) OVER same_group AS late_share,
    percentiles[1] AS p50, p50_of_sessions,
    CASE WHEN isfinite(typical) THEN typical END AS km_p50_of_sessions,
    percentiles[2] AS p75, percentiles[3] AS p90, percentiles[4] AS p95, percentiles[5] AS p99,
    mean, longest AS max,
    km_p50, km_p50_low, km_p50_high, km_p90,
    max(as_of) OVER same_group AS as_of, min(as_of_oldest) OVER same_group AS as_of_oldest
FROM groups
LEFT JOIN medians USING (dimension, value, role, basis)
LEFT JOIN of_sessions USING (dimension, role, basis)
LEFT JOIN group_names AS names USING (dimension, value)
WHERE basis = 'closed' OR n > 0
WINDOW same_group AS (PARTITION BY dimension, value, role)
ORDER BY dimension <> 'all', dimension, value, role, basis
