-- The log-rank test: observed minus expected closings of one group of two, and the variance of that
-- (hypergeometric). `lifetimes` names what has the columns pair, is_new, elapsed_seconds, is_censored.
CREATE OR REPLACE MACRO log_rank(lifetimes) AS TABLE (
    WITH times AS (
        SELECT
            pair,
            elapsed_seconds,
            count(*)::DOUBLE AS leaving,
            count_if(is_new)::DOUBLE AS leaving_new,
            count_if(NOT is_censored) AS closed,
            count_if(NOT is_censored AND is_new) AS closed_new
        FROM query_table(lifetimes)
        GROUP BY pair, elapsed_seconds
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
