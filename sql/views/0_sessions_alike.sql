-- The ages by which a quarter, half and three quarters of a curve have closed (the last one if it does not
-- fall that far), and the cumulative hazard until each. `points` names the rows of kaplan_meier.
CREATE OR REPLACE MACRO quarters_of_curves(points) AS TABLE (
    SELECT
        curve,
        coalesce(min(t_seconds) FILTER (survival <= 0.75), max(t_seconds)) AS age_1,
        coalesce(min(t_seconds) FILTER (survival <= 0.5), max(t_seconds)) AS age_2,
        coalesce(min(t_seconds) FILTER (survival <= 0.25), max(t_seconds)) AS age_3,
        -ln(greatest(coalesce(max(survival) FILTER (survival <= 0.75), min(survival)), 0.05)) AS hazard_1,
        -ln(greatest(coalesce(max(survival) FILTER (survival <= 0.5), min(survival)), 0.05)) AS hazard_2,
        -ln(greatest(coalesce(max(survival) FILTER (survival <= 0.25), min(survival)), 0.05)) AS hazard_3
    FROM query_table(points)
    GROUP BY curve
);

-- How many more threads of a session closed by each quarter's age than those of all sessions would have
-- (martingale residuals; the hazard is taken to be constant from one quarter to the next). `lifetimes`
-- names what kaplan_meier reads, with session, `quarters` the rows of quarters_of_curves.
CREATE OR REPLACE MACRO session_residuals(lifetimes, quarters) AS TABLE (
    WITH exposures AS (
        SELECT
            curve,
            session,
            count(*) AS threads,
            count_if(NOT is_censored AND elapsed_seconds <= age_1) AS closed_1,
            count_if(NOT is_censored AND elapsed_seconds <= age_2) AS closed_2,
            count_if(NOT is_censored AND elapsed_seconds <= age_3) AS closed_3,
            -- How long they were watched by then. Whole microseconds add up to the same in any order.
            sum(((least(elapsed_seconds, age_1) - least(entry_seconds, age_1)) * 1e6)::BIGINT) / 1e6 AS watched_1,
            sum(((least(elapsed_seconds, age_2) - least(entry_seconds, age_2)) * 1e6)::BIGINT) / 1e6 AS watched_2,
            sum(((least(elapsed_seconds, age_3) - least(entry_seconds, age_3)) * 1e6)::BIGINT) / 1e6 AS watched_3
        FROM query_table(lifetimes)
        JOIN query_table(quarters) USING (curve)
        WHERE session IS NOT NULL
        GROUP BY curve, session
    )

    SELECT
        curve,
        threads,
        closed_1,
        closed_2,
        closed_3,
        coalesce(hazard_1 * watched_1 / nullif(age_1, 0), 0) AS due_1,
        due_1 + coalesce((hazard_2 - hazard_1) * (watched_2 - watched_1) / nullif(age_2 - age_1, 0), 0) AS due_2,
        due_2 + coalesce((hazard_3 - hazard_2) * (watched_3 - watched_2) / nullif(age_3 - age_2, 0), 0) AS due_3,
        closed_1 - due_1 AS residual_1,
        closed_2 - due_2 AS residual_2,
        closed_3 - due_3 AS residual_3
    FROM exposures
    JOIN query_table(quarters) USING (curve)
);

-- By how much the interval of a curve is wider for its sessions, by each quarter's age: the root of the
-- design effect (how much larger the residuals' squares are than if threads of a session were not alike:
-- then they would be as many as closed), times Student's quantile of so many sessions of equal size. Never
-- narrower. `residuals` names the rows of session_residuals.
CREATE OR REPLACE MACRO widenings(residuals) AS TABLE (
    WITH measured AS (
        SELECT
            curve,
            unnest([
                {'quarter': 1, 'closed': closed_1, 'residual': residual_1},
                {'quarter': 2, 'closed': closed_2, 'residual': residual_2},
                {'quarter': 3, 'closed': closed_3, 'residual': residual_3}
            ], recursive := TRUE),
            threads
        FROM query_table(residuals)
    ),

    summed AS (
        SELECT
            curve,
            quarter,
            count(*) AS sessions,
            sum(closed) AS closed,
            greatest(1, pow(sum(threads), 2) / sum(threads * threads) - 1) AS df,
            sum(pow(residual, 2)::DECIMAL(38, 9))::DOUBLE AS squares
        FROM measured
        GROUP BY curve, quarter
        HAVING sessions > 1 AND sum(closed) > 0
    )

    SELECT
        curve,
        quarter,
        greatest(
            1, sqrt(squares / closed * sessions / (sessions - 1)) * student_t_95(df) / 1.959963984540054
        ) AS widening
    FROM summed
);

-- Kaplan-Meier curves whose 95 % intervals are those of sessions: threads of a session are alike, and it
-- is sessions that chance draws. `lifetimes` names what kaplan_meier reads, with session. Where that is
-- null, or the same in a whole curve, the intervals are those of threads that chance draws one by one.
CREATE OR REPLACE MACRO kaplan_meier_of_sessions(lifetimes) AS TABLE (
    WITH points AS MATERIALIZED (
        SELECT *, CASE WHEN survival > 0.625 THEN 1 WHEN survival > 0.375 THEN 2 ELSE 3 END AS quarter
        FROM kaplan_meier(lifetimes)
    ),

    quarters AS MATERIALIZED (FROM quarters_of_curves('points')),
    residuals AS MATERIALIZED (FROM session_residuals(lifetimes, 'quarters')),

    bounded AS (
        SELECT *, survival_interval(survival, log_error * coalesce(widening, 1), sooner, later) AS bounds
        FROM points
        LEFT JOIN widenings('residuals') USING (curve, quarter)
    )

    SELECT
        * EXCLUDE (quarter, log_error, sooner, later, widening, bounds)
        REPLACE (bounds.low AS ci_low, bounds.high AS ci_high)
    FROM bounded
);
