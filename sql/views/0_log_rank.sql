-- The log-rank test: observed minus expected closings of one group of two, and the variance of that
-- (hypergeometric). `lifetimes` names what has the columns pair, is_new, elapsed_seconds,
-- is_censored, entry_seconds.
CREATE OR REPLACE MACRO log_rank(lifetimes) AS TABLE (
    WITH moves AS (
        SELECT pair, is_new, elapsed_seconds, 1 AS leaving, 0 AS entering, NOT is_censored AS closes
        FROM query_table(lifetimes)
        UNION ALL
        SELECT pair, is_new, entry_seconds, 0, 1, FALSE
        FROM query_table(lifetimes)
        WHERE entry_seconds > 0
    ),

    times AS (
        SELECT
            pair,
            elapsed_seconds,
            sum(leaving)::DOUBLE AS leaving,
            sum(leaving * is_new::INTEGER)::DOUBLE AS leaving_new,
            sum(entering)::DOUBLE AS entering,
            sum(entering * is_new::INTEGER)::DOUBLE AS entering_new,
            count_if(closes) AS closed,
            count_if(closes AND is_new) AS closed_new
        FROM moves
        GROUP BY pair, elapsed_seconds
    ),

    risks AS (
        SELECT
            pair,
            closed,
            closed_new,
            sum(leaving - entering) OVER from_then_on + entering AS at_risk,
            sum(leaving_new - entering_new) OVER from_then_on + entering_new AS at_risk_new
        FROM times
        WINDOW from_then_on AS (
            PARTITION BY pair
            ORDER BY elapsed_seconds DESC
            ROWS UNBOUNDED PRECEDING
        )
    )

    -- Decimals add up to the same in any order.
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
);
