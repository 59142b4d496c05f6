-- answers: Did the new version of an agent get worse?
-- grain: one row per agent, role and version, beside the version before it; coordinators and children are never mixed
-- show: [agent, role, version, verdict, n, terminated_share, km_p50, version_before, terminated_share_before, km_p50_before]
-- columns:
--   agent: id of the agent, or its name if it has no id
--   role: coordinator or child
--   version: version of the agent
--   n: number of threads of the version
--   n_closed: number of them that are closed
--   terminated_share: share of the closed ones that were terminated rather than archived; null if none is closed
--   terminated_share_low: lower end of its 95 % confidence interval (Wilson)
--   terminated_share_high: upper end of it
--   km_p50: median lifetime that counts open threads as censored (Kaplan-Meier); null if the curve does not fall that far (seconds)
--   version_before: the version before, of those that have threads; null for the first
--   n_before: its number of threads
--   n_closed_before: number of them that are closed
--   terminated_share_before: its share of terminated ones
--   km_p50_before: its median lifetime (seconds)
--   ratio: km_p50 / km_p50_before; above 1 threads live longer than before
--   log_rank: chi-squared of the log-rank test of the two versions' lifetimes, one degree of freedom; null if it says nothing
--   verdict: "better (threads close sooner), worse (later), unclear (log_rank below 3.84, that is p above 5 %), too few (fewer than 10 closed in one of the two); null for the first version"
--   as_of: beginning of the newest poll that the version rests on (UTC)
-- checks:
--   bounds_are_in_order: >-
--     FROM analytics.agent_versions WHERE terminated_share_low > terminated_share + 1e-9
--     OR terminated_share > terminated_share_high + 1e-9
--   versions_rise: FROM analytics.agent_versions WHERE version_before >= version
WITH lifetimes AS (
    SELECT *, agent_version AS version
    FROM analytics.thread_durations
    WHERE agent IS NOT NULL AND agent_version IS NOT NULL
),

counts AS (
    SELECT
        agent,
        role,
        version,
        agent || '@' || version::VARCHAR AS value,
        count(*) AS n,
        count_if(NOT is_censored) AS n_closed,
        count_if(basis = 'terminated') / nullif(n_closed, 0) AS terminated_share,
        max(as_of) AS as_of
    FROM lifetimes
    GROUP BY agent, role, version
),

medians AS (
    SELECT value, role, km_p50
    FROM analytics.duration_percentiles
    WHERE dimension = 'agent_version' AND basis = 'closed'
),

pairs AS (
    SELECT
        counts.*,
        medians.km_p50,
        row_number() OVER ()::INTEGER AS pair,
        lag(version) OVER in_order AS version_before,
        lag(n) OVER in_order AS n_before,
        lag(n_closed) OVER in_order AS n_closed_before,
        lag(terminated_share) OVER in_order AS terminated_share_before,
        lag(km_p50) OVER in_order AS km_p50_before
    FROM counts
    LEFT JOIN medians USING (value, role)
    WINDOW in_order AS (PARTITION BY agent, role ORDER BY version)
),

paired AS (
    SELECT pair, lifetimes.version = pairs.version AS is_new, elapsed_seconds, is_censored
    FROM pairs
    JOIN lifetimes USING (agent, role)
    WHERE lifetimes.version IN (pairs.version, version_before)
        AND version_before IS NOT NULL
        AND elapsed_seconds IS NOT NULL
)

SELECT
    agent,
    role,
    version,
    n,
    n_closed,
    terminated_share,
    wilson_interval(terminated_share, n_closed).low AS terminated_share_low,
    wilson_interval(terminated_share, n_closed).high AS terminated_share_high,
    km_p50,
    COLUMNS('_before$'),
    km_p50 / nullif(km_p50_before, 0) AS ratio,
    excess * excess / nullif(variance, 0) AS log_rank,
    CASE
        WHEN version_before IS NULL THEN NULL
        WHEN least(n_closed, n_closed_before) < 10 THEN 'too few'
        WHEN coalesce(log_rank, 0) < 3.841458820694124 THEN 'unclear'
        WHEN excess > 0 THEN 'better'
        ELSE 'worse'
    END AS verdict,
    as_of
FROM pairs
LEFT JOIN log_rank('paired') AS tests USING (pair)
ORDER BY agent, role, version
