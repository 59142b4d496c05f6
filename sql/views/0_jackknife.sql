-- What the threads of a session add to the summaries of a curve together. `lifetimes` names what has the
-- columns curve, session, entry, age, cause, is_followed and part (of a thread), `fates` what aalen_johansen
-- reads, by these too, `functions` the rows of influence_function. Two rows per curve and session, one per measure: threads, followed, and
-- the sums of their influences and of the squares of these.
CREATE OR REPLACE MACRO session_influences(lifetimes, fates, functions) AS TABLE (
    WITH weighed AS (
        SELECT
            had.curve,
            had.entry,
            had.age,
            had.cause,
            had.part,
            at_exit.failures,
            at_exit.speed,
            CASE had.cause
                WHEN 'closed' THEN at_exit.failures_if_closed
                WHEN 'vanished' THEN at_exit.failures_if_closed * at_exit.per_vanished
                WHEN 'failed' THEN at_exit.failures_if_failed
                ELSE 0
            END
            - at_exit.failures_compensator + coalesce(at_entry.failures_compensator, 0) AS to_failures,
            CASE had.cause
                WHEN 'closed' THEN at_exit.speed_if_closed
                WHEN 'vanished' THEN at_exit.speed_if_closed * at_exit.per_vanished
                WHEN 'failed' THEN at_exit.speed_if_failed
                ELSE 0
            END
            - at_exit.speed_compensator + coalesce(at_entry.speed_compensator, 0) AS to_speed
        FROM query_table(fates) AS had
        JOIN query_table(functions) AS at_exit USING (curve, age)
        LEFT JOIN query_table(functions) AS at_entry ON at_entry.curve = had.curve AND at_entry.age = had.entry
    ),

    -- Decimals add up to the same in any order.
    exact AS (
        SELECT
            * EXCLUDE (to_failures, to_speed),
            (part * to_failures)::DECIMAL(38, 18) AS failures_influence,
            (part * pow(to_failures, 2))::DECIMAL(38, 18) AS failures_square,
            (part * to_speed)::DECIMAL(38, 18) AS speed_influence,
            (part * pow(to_speed, 2))::DECIMAL(38, 18) AS speed_square
        FROM weighed
    ),

    summed AS (
        SELECT
            curve,
            session,
            any_value(failures) AS failures,
            any_value(speed) AS speed,
            sum(part)::BIGINT AS threads,
            coalesce(sum(part) FILTER (is_followed), 0)::BIGINT AS followed,
            sum(failures_influence)::DOUBLE AS failures_influence,
            sum(failures_square)::DOUBLE AS failures_squares,
            sum(speed_influence)::DOUBLE AS speed_influence,
            sum(speed_square)::DOUBLE AS speed_squares
        FROM query_table(lifetimes)
        JOIN exact USING (curve, entry, age, cause, part)
        GROUP BY curve, session
    )

    SELECT
        curve,
        session,
        threads,
        followed,
        unnest([
            {
                'measure': 'failures',
                'estimate': failures,
                'influence': failures_influence,
                'squares': failures_squares
            },
            {'measure': 'speed', 'estimate': speed, 'influence': speed_influence, 'squares': speed_squares}
        ], recursive := TRUE)
    FROM summed
);

-- By how much an estimate changes without one session: by the influences of its threads, the more the
-- larger its share of them. `influences` names the rows of session_influences.
CREATE OR REPLACE MACRO leave_one_out(influences) AS TABLE (
    SELECT
        *,
        sum(threads) OVER curves AS n,
        count(*) OVER curves AS n_sessions,
        sqrt((n_sessions - 1) / n_sessions) * influence / nullif(1 - threads / n, 0) AS change
    FROM query_table(influences)
    WINDOW curves AS (PARTITION BY curve, measure)
);

-- The delete-one-session jackknife: the variance of each estimate. Threads of a session are alike: it is
-- sessions that chance draws. `changes` names the rows of leave_one_out. Degrees of freedom are those of
-- so many sessions of equal size; `independent` is the variance if threads of a session were not alike.
CREATE OR REPLACE MACRO jackknife(changes) AS TABLE (
    SELECT
        curve,
        measure,
        any_value(estimate) AS estimate,
        any_value(n) AS n,
        sum(followed)::BIGINT AS n_followed,
        count(*) FILTER (followed > 0) AS sessions_followed,
        sum(pow(change, 2)::DECIMAL(38, 18))::DOUBLE AS variance,
        sum(squares::DECIMAL(38, 18))::DOUBLE AS independent,
        greatest(1, pow(any_value(n), 2) / sum(threads * threads) - 1) AS df
    FROM query_table(changes)
    GROUP BY curve, measure
);

-- The same of the difference between both versions of a pair that are large enough: what a session with
-- threads of both has in common cancels out. `pairs` names the rows of version_pairs. Degrees of freedom
-- are Welch's, or those of the sessions if these are fewer.
CREATE OR REPLACE MACRO jackknife_of_differences(changes, estimates, pairs) AS TABLE (
    WITH either AS (
        SELECT pair, measure, session, change
        FROM query_table(pairs)
        JOIN query_table(changes) USING (curve)
        UNION ALL
        SELECT pair, measure, session, -change
        FROM query_table(pairs) AS beside
        JOIN query_table(changes) AS moved ON moved.curve = beside.compared_curve
    ),

    varied AS (
        SELECT pair, measure, sum(pow(change, 2)::DECIMAL(38, 18))::DOUBLE AS variance, count(*) AS sessions
        FROM (
            SELECT pair, measure, session, sum(change::DECIMAL(38, 18))::DOUBLE AS change
            FROM either
            GROUP BY pair, measure, session
        )
        GROUP BY pair, measure
    )

    SELECT
        varied.pair,
        varied.measure,
        newer.estimate - older.estimate AS difference,
        varied.variance,
        newer.independent + older.independent AS independent,
        pow(newer.n, -2) + pow(older.n, -2) AS of_one_thread,
        least(
            varied.sessions - 1,
            coalesce(
                pow(newer.variance + older.variance, 2)
                / nullif(pow(newer.variance, 2) / newer.df + pow(older.variance, 2) / older.df, 0),
                newer.df + older.df
            )
        ) AS df
    FROM varied
    JOIN query_table(pairs) AS beside ON beside.pair = varied.pair
    JOIN query_table(estimates) AS newer ON newer.curve = beside.curve AND newer.measure = varied.measure
    JOIN query_table(estimates) AS older ON older.curve = beside.compared_curve AND older.measure = varied.measure
    WHERE least(newer.n_followed, older.n_followed) >= 20
        AND least(newer.sessions_followed, older.sessions_followed) >= 5
);

-- The 95 % interval of an estimate that a jackknife gave, and its value: of a share Wilson's, of as many
-- threads as would make it as uncertain if they were not alike (Korn and Graubard), else on the scale of
-- logarithms.
CREATE OR REPLACE MACRO share_with_interval(share, n, variance, df) AS struct_insert(
    wilson_interval(
        share,
        CASE WHEN variance > 0 THEN least(n, share * (1 - share) / variance) WHEN variance = 0 THEN n END
        * pow(1.959963984540054 / student_t_95(df), 2)
    ),
    at := share
);

CREATE OR REPLACE MACRO exp_with_interval(logarithm, variance, df) AS {
    'at': exp(logarithm),
    'low': exp(logarithm - student_t_95(df) * sqrt(variance)),
    'high': exp(logarithm + student_t_95(df) * sqrt(variance))
};
