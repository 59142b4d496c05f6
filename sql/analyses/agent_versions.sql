-- answers: Did the new version of an agent get worse?
-- grain: one row per agent, role and version, beside the version before it; coordinators and children are never mixed
-- columns:
--   agent: id of the agent, or its name where it has no id
--   role: coordinator or child
--   version: version of the agent
--   n: number of threads of the version
--   n_closed: number of them that are closed
--   terminated_share: share of the closed ones that were terminated rather than archived; null where none is closed
--   terminated_share_low: lower end of its 95 % confidence interval (Wilson)
--   terminated_share_high: upper end of it
--   km_p50: median lifetime that counts open threads as censored (Kaplan-Meier); null where the curve does not fall that far (seconds)
--   version_before: the version before, of those that have threads; null for the first
--   n_before: its number of threads
--   n_closed_before: number of them that are closed
--   terminated_share_before: its share of terminated ones
--   km_p50_before: its median lifetime (seconds)
--   ratio: km_p50 / km_p50_before; above 1 threads live longer than before
--   log_rank: chi-squared of the log-rank test of the two versions' lifetimes, one degree of freedom; null where it says nothing
--   verdict: "better (threads close sooner), worse (later), unclear (log_rank below 3.84, that is p above 5 %), too few (fewer than 10 closed in one of the two); null for the first version"
--   as_of: beginning of the newest poll that the version rests on (UTC)
-- checks:
--   bounds_are_in_order: >-
--     FROM analytics.agent_versions WHERE terminated_share_low > terminated_share + 1e-9
--     OR terminated_share > terminated_share_high + 1e-9
--   versions_rise: FROM analytics.agent_versions WHERE version_before >= version
WITH lifetimes AS (
    SELECT
        agent,
        role,
        agent_version AS version,
        basis,
        elapsed_seconds,
        is_censored,
        as_of
    FROM analytics.thread_durations
    WHERE agent IS NOT NULL AND agent_version IS NOT NULL
),

medians AS (
    SELECT value, role, min(t_seconds) FILTER (survival <= 0.5) AS km_p50
    FROM analytics.survival
    WHERE dimension = 'agent_version'
    GROUP BY value, role
),

counts AS (
    SELECT
        agent,
        role,
        version,
        count(*) AS n,
        count_if(NOT is_censored) AS n_closed,
        count_if(basis = 'terminated') / nullif(n_closed, 0) AS terminated_share,
        max(as_of) AS as_of
    FROM lifetimes
    GROUP BY agent, role, version
),

versions AS (
    SELECT counts.*, medians.km_p50
    FROM counts
    LEFT JOIN medians
        ON medians.value = counts.agent || '@' || counts.version::VARCHAR
        AND medians.role = counts.role
),

pairs AS (
    SELECT
        *,
        row_number() OVER ()::INTEGER AS pair,
        lag(version) OVER in_order AS version_before,
        lag(n) OVER in_order AS n_before,
        lag(n_closed) OVER in_order AS n_closed_before,
        lag(terminated_share) OVER in_order AS terminated_share_before,
        lag(km_p50) OVER in_order AS km_p50_before
    FROM versions
    WINDOW in_order AS (PARTITION BY agent, role ORDER BY version)
),

-- Both versions of a pair, time by time.
times AS (
    SELECT
        pairs.pair,
        lifetimes.elapsed_seconds,
        count(*)::DOUBLE AS leaving,
        count_if(lifetimes.version = pairs.version)::DOUBLE AS leaving_new,
        count_if(NOT lifetimes.is_censored) AS closed,
        count_if(NOT lifetimes.is_censored AND lifetimes.version = pairs.version) AS closed_new
    FROM pairs
    JOIN lifetimes
        ON lifetimes.agent = pairs.agent
        AND lifetimes.role = pairs.role
        AND lifetimes.version IN (pairs.version, pairs.version_before)
    WHERE pairs.version_before IS NOT NULL AND lifetimes.elapsed_seconds IS NOT NULL
    GROUP BY pairs.pair, lifetimes.elapsed_seconds
),

risks AS (
    SELECT
        pair,
        closed,
        closed_new,
        sum(leaving) OVER from_then_on AS at_risk,
        sum(leaving_new) OVER from_then_on AS at_risk_new
    FROM times
    WINDOW from_then_on AS (
        PARTITION BY pair
        ORDER BY elapsed_seconds DESC
        ROWS UNBOUNDED PRECEDING
    )
),

-- Observed minus expected closings of the new version, and the variance of that (hypergeometric).
-- Decimals add up to the same in any order.
tests AS (
    SELECT
        pair,
        sum((closed_new - closed * at_risk_new / at_risk)::DECIMAL(38, 15))::DOUBLE AS excess,
        sum(
            (
                closed * (at_risk_new / at_risk) * (1 - at_risk_new / at_risk)
                * (at_risk - closed) / nullif(at_risk - 1, 0)
            )::DECIMAL(38, 15)
        )::DOUBLE AS variance
    FROM risks
    WHERE closed > 0
    GROUP BY pair
),

judged AS (
    SELECT
        pairs.*,
        tests.excess,
        tests.excess * tests.excess / nullif(tests.variance, 0) AS log_rank,
        3.841458820694124 / pairs.n_closed AS z2_n
    FROM pairs
    LEFT JOIN tests USING (pair)
)

SELECT
    agent,
    role,
    version,
    n,
    n_closed,
    terminated_share,
    (
        terminated_share + z2_n / 2
        - sqrt(z2_n * (terminated_share * (1 - terminated_share) + z2_n / 4))
    ) / (1 + z2_n) AS terminated_share_low,
    (
        terminated_share + z2_n / 2
        + sqrt(z2_n * (terminated_share * (1 - terminated_share) + z2_n / 4))
    ) / (1 + z2_n) AS terminated_share_high,
    km_p50,
    version_before,
    n_before,
    n_closed_before,
    terminated_share_before,
    km_p50_before,
    km_p50 / nullif(km_p50_before, 0) AS ratio,
    log_rank,
    CASE
        WHEN version_before IS NULL THEN NULL
        WHEN least(n_closed, n_closed_before) < 10 THEN 'too few'
        WHEN coalesce(log_rank, 0) < 3.841458820694124 THEN 'unclear'
        WHEN excess > 0 THEN 'better'
        ELSE 'worse'
    END AS verdict,
    as_of
FROM judged
ORDER BY agent, role, version
