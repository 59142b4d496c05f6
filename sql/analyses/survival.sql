-- answers: How probable is it that a thread is still open after a time?
-- grain: one row per dimension, value, role and t_seconds; a curve of more than 200 threads has a row for every 200th part of them, and every time only where it falls to a half and to a tenth
-- columns:
--   dimension: "what the threads are grouped by: all, source, session, role, agent, agent_version, model"
--   value: the group; a session is named by its id; one of the same id in two sources counts as one group; an agent version is named agent@version
--   role: coordinator or child, never mixed
--   t_seconds: time since the thread was created (seconds)
--   at_risk: number of threads that were open until then, as far as is known
--   closed: number of threads that closed since the row before, at t_seconds at the latest
--   censored: number of threads of which no more is known than that they were open until a time since the row before
--   survival: Kaplan-Meier estimate of the share of threads open for longer than t_seconds
--   ci_low: lower end of its 95 % confidence interval (Greenwood, on the log-log scale); null where survival is 0 or 1
--   ci_high: upper end of it
--   as_of: beginning of the newest poll that the curve rests on (UTC)
-- checks:
--   curves_fall: >-
--     SELECT dimension, value, role, t_seconds, survival FROM analytics.survival
--     QUALIFY survival > lag(survival) OVER (PARTITION BY dimension, value, role ORDER BY t_seconds) + 1e-9
--   ends_are_in_order: >-
--     FROM analytics.survival WHERE ci_low > survival + 1e-9 OR survival > ci_high + 1e-9
--   no_thread_is_lost: >-
--     SELECT count(*) AS threads FROM analytics.thread_durations WHERE elapsed_seconds IS NOT NULL
--     HAVING count(*) <> (
--       SELECT coalesce(sum(closed + censored), 0) FROM analytics.survival WHERE dimension = 'all'
--     )
WITH only_source AS (
    SELECT min(source) AS source
    FROM analytics.thread_durations
    HAVING count(DISTINCT source) = 1
),

lifetimes AS (
    SELECT
        source,
        session_id,
        role,
        coalesce(agent, '(none)') AS agent,
        coalesce(agent_version::VARCHAR, '(none)') AS agent_version,
        coalesce(model, '(none)') AS model,
        elapsed_seconds,
        is_censored,
        as_of
    FROM analytics.thread_durations
    WHERE elapsed_seconds IS NOT NULL
),

-- By role, and by source where there is one alone, threads divide as they do in `all`: those curves
-- are copied.
members AS (
    SELECT 'all' AS dimension, 'all' AS value, * FROM lifetimes
    UNION ALL
    SELECT 'source', source, * FROM lifetimes WHERE NOT EXISTS (FROM only_source)
    UNION ALL
    SELECT 'session', session_id, * FROM lifetimes
    UNION ALL
    SELECT 'agent', agent, * FROM lifetimes
    UNION ALL
    SELECT 'agent_version', agent || '@' || agent_version, * FROM lifetimes
    UNION ALL
    SELECT 'model', model, * FROM lifetimes
),

hashed AS MATERIALIZED (
    SELECT dimension, value, role, elapsed_seconds, is_censored, as_of, hash(dimension, value, role) AS name_hash
    FROM members
),

-- To sort by a small number is much faster than by three strings.
curves AS MATERIALIZED (
    SELECT
        name_hash,
        row_number() OVER ()::INTEGER AS curve,
        any_value(dimension) AS dimension,
        any_value(value) AS value,
        any_value(role) AS role,
        count(*) AS n,
        max(as_of) AS as_of
    FROM hashed
    GROUP BY name_hash
),

named AS (
    SELECT curve, dimension, value, role, as_of
    FROM curves
    UNION ALL
    SELECT curve, 'role', coalesce(role, '(none)'), role, as_of
    FROM curves
    WHERE dimension = 'all'
    UNION ALL
    SELECT curve, 'source', only_source.source, role, as_of
    FROM curves
    CROSS JOIN only_source
    WHERE dimension = 'all'
),

ranked AS (
    SELECT
        curves.curve,
        hashed.elapsed_seconds,
        hashed.is_censored,
        rank() OVER (PARTITION BY curves.curve ORDER BY hashed.elapsed_seconds) AS first_rank,
        row_number() OVER (PARTITION BY curves.curve ORDER BY hashed.elapsed_seconds, hashed.is_censored)
        AS own_rank
    FROM hashed
    JOIN curves USING (name_hash)
),

-- Closings at the same time may be taken one by one, before the censorings at that time:
-- (1 - 1/n) (1 - 1/(n-1)) = 1 - 2/n, and likewise the terms of Greenwood's sum. Logarithms as
-- decimals add up to the same in any order. The closing of the last one at risk takes all.
risks AS MATERIALIZED (
    SELECT
        curve,
        elapsed_seconds,
        is_censored,
        n - first_rank + 1 AS at_risk,
        (first_rank - 1) * least(n, 200) // n AS part,
        NOT is_censored AND own_rank = n AS is_last,
        CASE
            WHEN NOT is_censored AND own_rank < n
                THEN ln((n - own_rank) / (n - own_rank + 1))::DECIMAL(18, 15)
        END AS fall,
        CASE
            WHEN NOT is_censored AND own_rank < n
                THEN (1 / ((n - own_rank + 1) * (n - own_rank)))::DECIMAL(18, 17)
        END AS term
    FROM ranked
    JOIN curves USING (curve)
),

parts AS (
    SELECT
        curve,
        part,
        max(elapsed_seconds) AS t_seconds,
        min(at_risk) AS at_risk,
        count_if(NOT is_censored) AS closed,
        count_if(is_censored) AS censored,
        bool_or(is_last) AS is_last,
        sum(fall) AS fall,
        sum(term) AS term
    FROM risks
    GROUP BY curve, part
),

km_drops AS (
    SELECT curve, part
    FROM (
        SELECT
            curve,
            part,
            is_last,
            round(exp(sum(fall) OVER in_parts), 12) AS survival,
            exp(coalesce(sum(fall) OVER (in_parts ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))
            AS survival_before
        FROM parts
        WINDOW in_parts AS (PARTITION BY curve ORDER BY part)
    )
    WHERE (survival <= 0.5 AND survival_before > 0.5 - 1e-9)
        OR (survival <= 0.1 AND survival_before > 0.1 - 1e-9)
        OR is_last
),

points AS (
    SELECT * EXCLUDE (part)
    FROM parts
    ANTI JOIN km_drops USING (curve, part)
    UNION ALL
    SELECT
        curve,
        elapsed_seconds,
        min(at_risk),
        count_if(NOT is_censored),
        count_if(is_censored),
        bool_or(is_last),
        sum(fall),
        sum(term)
    FROM risks
    SEMI JOIN km_drops USING (curve, part)
    GROUP BY curve, elapsed_seconds
),

steps AS (
    SELECT
        *,
        CASE WHEN is_last THEN 0 ELSE round(exp(coalesce(sum(fall) OVER in_time, 0)), 12) END AS survival,
        sqrt(sum(term) OVER in_time) AS deviation
    FROM points
    WINDOW in_time AS (PARTITION BY curve ORDER BY t_seconds)
),

-- 1.96 standard deviations on the scale of ln(-ln(survival)).
intervals AS (
    SELECT
        *,
        CASE
            WHEN survival > 0 AND survival < 1 THEN exp(1.959963984540054 * deviation / ln(survival))
        END AS spread
    FROM steps
)

SELECT
    named.dimension,
    named.value,
    named.role,
    intervals.t_seconds,
    intervals.at_risk,
    intervals.closed,
    intervals.censored,
    intervals.survival,
    pow(intervals.survival, 1 / intervals.spread) AS ci_low,
    pow(intervals.survival, intervals.spread) AS ci_high,
    named.as_of
FROM intervals
JOIN named USING (curve)
ORDER BY named.dimension, named.value, named.role, intervals.t_seconds
