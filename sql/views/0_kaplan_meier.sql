-- The 95 % interval of a survival, from its standard deviation on the scale of ln(-ln(survival)), and from
-- the shares of those at risk that may have closed sooner, and later, than they count.
CREATE OR REPLACE MACRO survival_interval(survival, log_error, sooner, later) AS {
    'low': CASE
        WHEN log_error IS NOT NULL
            THEN pow(survival, exp(1.959963984540054 * log_error)) * greatest(1 - sooner, 0)
    END,
    'high': CASE
        WHEN log_error IS NOT NULL
            THEN least(pow(survival, exp(-1.959963984540054 * log_error)) * (1 + later), 1)
    END
};

-- What the closing of one adds to the logarithm of a curve, and to Greenwood's sum, if so many stay at
-- risk. As decimals they add up to the same in any order.
CREATE OR REPLACE MACRO log_share_of(staying) AS ln(staying / (staying + 1))::DECIMAL(18, 15);
CREATE OR REPLACE MACRO variance_of(staying) AS (1 / ((staying::BIGINT + 1) * staying))::DECIMAL(18, 17);

-- Kaplan-Meier curves with Greenwood's 95 % intervals on the log-log scale. `lifetimes` names what has
-- the columns curve, elapsed_seconds, is_censored, entry_seconds: the age after which it was under
-- observation (delayed entry; 0 if from birth on), listed_seconds: the age at which it was first listed,
-- and is_vanished: that it closed unseen. That is known only of what had been listed before: it is one of
-- those at risk that had been listed by that age. When it was is not known: the lower bound takes it for
-- elapsed_low, the upper one for elapsed_high. A curve has at most 200 points, and every one where it
-- falls to a half and to a tenth. log_error is the standard deviation on the scale of ln(-ln(survival)).
CREATE OR REPLACE MACRO kaplan_meier(lifetimes) AS TABLE (
    -- What is not at risk before an age: of being seen to close, and of closing unseen.
    WITH late AS (
        SELECT curve, FALSE AS is_vanished, entry_seconds AS from_seconds
        FROM query_table(lifetimes)
        WHERE entry_seconds > 0
        UNION ALL
        SELECT curve, TRUE, least(listed_seconds, elapsed_seconds)
        FROM query_table(lifetimes)
        SEMI JOIN (SELECT curve FROM query_table(lifetimes) WHERE is_vanished) AS lossy USING (curve)
        WHERE listed_seconds > 0
    ),

    -- How many lifetimes of a curve are not at risk yet, beyond an age. Ranks cost less than sums.
    awaited AS (
        SELECT curve, is_vanished, -1 AS from_seconds, count(*) AS awaited
        FROM late
        GROUP BY curve, is_vanished
        UNION ALL
        SELECT
            curve,
            is_vanished,
            from_seconds,
            rank() OVER (PARTITION BY curve, is_vanished ORDER BY from_seconds DESC) - 1
        FROM late
    ),

    latest AS (
        SELECT curve, is_vanished, max(from_seconds) AS from_seconds
        FROM late
        GROUP BY curve, is_vanished
    ),

    -- Only those that end while others are awaited are looked up.
    watched AS (
        SELECT curve, elapsed_seconds, is_censored, 0 AS awaited
        FROM query_table(lifetimes) AS lifetimes
        ANTI JOIN latest
            ON latest.curve = lifetimes.curve
            AND latest.is_vanished = lifetimes.is_vanished
            AND latest.from_seconds >= lifetimes.elapsed_seconds
        UNION ALL
        SELECT early.curve, early.elapsed_seconds, early.is_censored, awaited.awaited
        FROM (
            SELECT lifetimes.*
            FROM query_table(lifetimes) AS lifetimes
            SEMI JOIN latest
                ON latest.curve = lifetimes.curve
                AND latest.is_vanished = lifetimes.is_vanished
                AND latest.from_seconds >= lifetimes.elapsed_seconds
        ) AS early
        ASOF JOIN awaited
            ON awaited.curve = early.curve
            AND awaited.is_vanished = early.is_vanished
            AND awaited.from_seconds < early.elapsed_seconds
    ),

    ranked AS (
        SELECT
            curve,
            elapsed_seconds,
            is_censored,
            awaited > 0 AS is_awaiting,
            count(*) OVER (PARTITION BY curve) AS n,
            rank() OVER (PARTITION BY curve ORDER BY elapsed_seconds) - 1 AS ended_before,
            n - ended_before - awaited AS at_risk,
            n - row_number() OVER (PARTITION BY curve ORDER BY elapsed_seconds, is_censored) - awaited AS staying
        FROM watched
    ),

    -- Closings at the same time may be taken one by one, before the censorings at that time:
    -- (1 - 1/n) (1 - 1/(n-1)) = 1 - 2/n, and likewise the terms of Greenwood's sum. The closing of the last
    -- one at risk takes all, but not while others are still to come, or the curve would be 0 for them too:
    -- the last one stays. Rows are narrow, for there is one for each thread and curve.
    risks AS MATERIALIZED (
        SELECT
            curve,
            elapsed_seconds,
            is_censored,
            at_risk::INTEGER AS at_risk,
            (ended_before * least(n, 200) // n)::SMALLINT AS part,
            NOT is_censored AND staying = 0 AND NOT is_awaiting AS is_last,
            CASE WHEN NOT is_censored AND staying > 0 THEN staying END::INTEGER AS stayed
        FROM ranked
    ),

    parts AS (
        SELECT
            curve,
            part,
            max(elapsed_seconds) AS t_seconds,
            arg_max(at_risk, elapsed_seconds) AS at_risk,
            count(*) FILTER (NOT is_censored) AS closed,
            count(*) FILTER (is_censored) AS censored,
            bool_or(is_last) AS is_last,
            sum(log_share_of(stayed)) AS log_share,
            sum(variance_of(stayed)) AS variance
        FROM risks
        GROUP BY curve, part
    ),

    running AS (
        SELECT
            *,
            coalesce(sum(log_share) OVER so_far, 0) AS log_so_far,
            coalesce(sum(variance) OVER so_far, 0) AS variance_so_far,
            round(exp(log_so_far), 12) AS survival,
            exp(log_so_far - coalesce(log_share, 0)) AS survival_before,
            survival <= 0.5 AND survival_before > 0.5 - 1e-9
            OR survival <= 0.1 AND survival_before > 0.1 - 1e-9
            OR is_last AS is_drop
        FROM parts
        WINDOW so_far AS (PARTITION BY curve ORDER BY part ROWS UNBOUNDED PRECEDING)
    ),

    points AS (
        SELECT curve, t_seconds, at_risk, closed, censored, is_last, log_so_far, variance_so_far
        FROM running
        WHERE NOT is_drop
        UNION ALL
        SELECT
            curve,
            elapsed_seconds,
            min(risks.at_risk),
            count(*) FILTER (NOT is_censored),
            count(*) FILTER (is_censored),
            bool_or(risks.is_last),
            any_value(log_so_far - coalesce(drops.log_share, 0)) + coalesce(sum(sum(log_share_of(stayed))) OVER in_part, 0),
            any_value(variance_so_far - coalesce(drops.variance, 0)) + coalesce(sum(sum(variance_of(stayed))) OVER in_part, 0)
        FROM risks
        JOIN (FROM running WHERE is_drop) AS drops USING (curve, part)
        GROUP BY curve, part, elapsed_seconds
        WINDOW in_part AS (PARTITION BY curve, part ORDER BY elapsed_seconds ROWS UNBOUNDED PRECEDING)
    ),

    -- How many that vanished may have closed by an age though they count later, and the other way about.
    doubts AS (
        SELECT
            curve,
            at_seconds,
            sum(sum(sooner)) OVER until_then AS maybe_sooner,
            sum(sum(later)) OVER until_then AS maybe_later
        FROM (
            SELECT
                curve,
                unnest([
                    {'at_seconds': elapsed_low, 'sooner': 1, 'later': 0},
                    {'at_seconds': elapsed_seconds, 'sooner': -1, 'later': 1},
                    {'at_seconds': elapsed_high, 'sooner': 0, 'later': -1}
                ], recursive := TRUE)
            FROM query_table(lifetimes)
            WHERE is_vanished
        ) AS ends
        GROUP BY curve, at_seconds
        WINDOW until_then AS (PARTITION BY curve ORDER BY at_seconds)
    ),

    steps AS (
        SELECT
            *,
            CASE WHEN is_last THEN 0 ELSE round(exp(log_so_far), 12) END AS survival,
            CASE WHEN survival > 0 AND survival < 1 THEN sqrt(variance_so_far) / -ln(survival) END AS log_error
        FROM points
    ),

    -- In few curves a thread vanished: only these are looked up.
    doubted AS (
        SELECT *, NULL AS maybe_sooner, NULL AS maybe_later
        FROM steps
        ANTI JOIN doubts USING (curve)
        UNION ALL
        SELECT lossy.*, doubts.maybe_sooner, doubts.maybe_later
        FROM (FROM steps SEMI JOIN doubts USING (curve)) AS lossy
        ASOF LEFT JOIN doubts ON doubts.curve = lossy.curve AND doubts.at_seconds <= lossy.t_seconds
    )

    SELECT
        curve,
        t_seconds,
        at_risk,
        closed,
        censored,
        survival,
        log_error,
        coalesce(maybe_sooner, 0) / greatest(at_risk, 1) AS sooner,
        coalesce(maybe_later, 0) / greatest(at_risk, 1) AS later,
        survival_interval(survival, log_error, sooner, later).low AS ci_low,
        survival_interval(survival, log_error, sooner, later).high AS ci_high
    FROM doubted
);
