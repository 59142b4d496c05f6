-- Aalen-Johansen: which share of a curve's threads had failed, and which had closed without failing,
-- by each age, with open threads in the denominator. `fates` names what has the columns curve, entry (in
-- view only above that age), age (both in steps, see age_step), cause (open, closed, vanished or failed) and
-- threads, of which so many had that fate. That one vanished, closed unseen, is known only of what had been
-- listed before: it stands for as many as there are at risk for each of those that had (per_vanished).
-- `listings` names of curves with vanished ones at which age (step) how many threads come to be at risk of
-- that, or less. One row per curve and age; log_age is the part of the mean logarithm of the age at closing.
CREATE OR REPLACE MACRO aalen_johansen(fates, listings) AS TABLE (
    WITH flows AS (
        SELECT
            curve,
            age,
            threads AS leaving,
            CASE WHEN cause = 'closed' THEN threads ELSE 0 END AS seen,
            CASE WHEN cause = 'vanished' THEN threads ELSE 0 END AS vanished,
            CASE WHEN cause = 'failed' THEN threads ELSE 0 END AS failed,
            0 AS listed
        FROM query_table(fates)
        UNION ALL
        SELECT curve, entry, -threads, 0, 0, 0, 0
        FROM query_table(fates)
        UNION ALL
        SELECT curve, age, 0, 0, 0, 0, listed
        FROM query_table(listings)
    ),

    risks AS (
        SELECT
            curve,
            age,
            -sum(sum(leaving)) OVER earlier ::DOUBLE AS at_risk,
            CASE
                WHEN sum(vanished) > 0 THEN least(
                    greatest(at_risk / nullif(sum(sum(listed)) OVER earlier ::DOUBLE, 0), 1),
                    (at_risk - sum(seen) - sum(failed)) / sum(vanished)
                )
                ELSE 1
            END AS per_vanished,
            (sum(seen) + sum(vanished) * per_vanished)::DOUBLE AS closed,
            sum(failed)::DOUBLE AS failed,
            CASE
                WHEN at_risk > 0 THEN (sum(seen) + sum(vanished) * per_vanished + sum(failed)) / at_risk
                ELSE 0
            END AS hazard
        FROM flows
        GROUP BY curve, age
        WINDOW earlier AS (PARTITION BY curve ORDER BY age ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ),

    -- Logarithms as decimals add up to the same in any order. Whoever is open when a curve has fallen
    -- to 0 (it entered later) has no weight.
    weighed AS (
        SELECT
            *,
            CASE
                WHEN at_risk > 0 AND NOT coalesce(bool_or(hazard = 1) OVER sooner, FALSE)
                    THEN exp(coalesce(sum(CASE WHEN hazard < 1 THEN ln(1 - hazard) END::DECIMAL(18, 15)) OVER sooner, 0))
                    / at_risk
                ELSE 0
            END AS weight
        FROM risks
        WINDOW sooner AS (PARTITION BY curve ORDER BY age ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    )

    SELECT
        *,
        round(sum((weight * closed)::DECIMAL(18, 16)) OVER so_far ::DOUBLE, 12) AS closed_share,
        round(sum((weight * failed)::DECIMAL(18, 16)) OVER so_far ::DOUBLE, 12) AS failed_share,
        sum((weight * closed * age / 100)::DECIMAL(18, 15)) OVER so_far ::DOUBLE AS log_age
    FROM weighed
    WINDOW so_far AS (PARTITION BY curve ORDER BY age ROWS UNBOUNDED PRECEDING)
);

-- What a curve is summarized by at its last age, and what a single thread adds to that (its influence).
-- `failures` is the share that has failed; `speed` the mean logarithm of the lifetimes of those that have
-- not, those still open at the curve's `horizon` (a step) counting as that. By closing or failing at an
-- age a thread adds what the columns _if_closed and _if_failed say, less the _compensator there: what
-- every thread at risk was to add until then. `points` names the rows of aalen_johansen, with horizon.
CREATE OR REPLACE MACRO influence_function(points) AS TABLE (
    WITH ends AS (
        SELECT
            curve,
            any_value(horizon) / 100 AS log_horizon,
            arg_max(failed_share, age) AS end_failed,
            arg_max(closed_share, age) AS end_closed,
            arg_max(log_age, age) AS end_log_age,
            CASE WHEN end_failed < 1 - 1e-9 THEN 1 - end_failed END AS unfailed,
            (end_log_age + (unfailed - end_closed) * log_horizon) / unfailed AS log_lifetime
        FROM query_table(points)
        GROUP BY curve
    ),

    -- What is to come after an age, of what the whole curve adds up to; those at risk share it.
    futures AS (
        SELECT
            at_age.*,
            end_failed AS failures,
            log_lifetime AS speed,
            (at_age.age / 100 - log_horizon) / unfailed AS speed_of_closed,
            (log_lifetime - log_horizon) / unfailed AS speed_of_failed,
            CASE WHEN hazard < 1 AND at_risk > 0 THEN 1 / (at_risk * (1 - hazard)) ELSE 0 END AS per_survivor,
            end_failed - at_age.failed_share AS failures_to_come,
            (
                end_log_age - at_age.log_age - log_horizon * (end_closed - at_age.closed_share)
            ) / unfailed + speed_of_failed * failures_to_come AS speed_to_come
        FROM query_table(points) AS at_age
        JOIN ends USING (curve)
    ),

    jumps AS (
        SELECT
            *,
            -per_survivor * failures_to_come AS failures_if_closed,
            weight - per_survivor * failures_to_come AS failures_if_failed,
            weight * speed_of_closed - per_survivor * speed_to_come AS speed_if_closed,
            weight * speed_of_failed - per_survivor * speed_to_come AS speed_if_failed
        FROM futures
    )

    SELECT
        curve,
        age,
        per_vanished,
        failures,
        failures_if_closed,
        failures_if_failed,
        sum(
            ((closed * failures_if_closed + failed * failures_if_failed) / if(at_risk > 0, at_risk, 1))::DECIMAL(38, 18)
        ) OVER until_then ::DOUBLE AS failures_compensator,
        speed,
        speed_if_closed,
        speed_if_failed,
        sum(
            ((closed * speed_if_closed + failed * speed_if_failed) / if(at_risk > 0, at_risk, 1))::DECIMAL(38, 18)
        ) OVER until_then ::DOUBLE AS speed_compensator
    FROM jumps
    WINDOW until_then AS (PARTITION BY curve ORDER BY age ROWS UNBOUNDED PRECEDING)
);
