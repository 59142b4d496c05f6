-- Whether more of a version's threads fail by the common age than of the one it is compared with, and
-- whether those that do not fail live longer: both numbers of both, with their intervals, and what chance
-- says of them. `pairs` names the rows of version_pairs, `lifetimes` what these were made of, with
-- session, entry, listed and age (steps), cause (open, closed, vanished or failed), and which part of a
-- thread a row is. One row per pair.
CREATE OR REPLACE MACRO compare_versions(pairs, lifetimes) AS TABLE (
    WITH curves AS MATERIALIZED (
        SELECT curve, agent, role, version, horizon FROM query_table(pairs)
        UNION
        SELECT compared_curve, agent, role, compared_with, horizon
        FROM query_table(pairs)
        WHERE compared_curve IS NOT NULL
    ),

    members AS MATERIALIZED (
        SELECT
            curve,
            session,
            part,
            least(entry, age - 1) AS entry,
            listed,
            least(age, horizon) AS age,
            CASE WHEN age <= horizon THEN cause ELSE 'open' END AS cause,
            followed >= horizon AS is_followed
        FROM query_table(lifetimes)
        JOIN curves USING (agent, role, version)
        WHERE entry < horizon
    ),

    fates AS MATERIALIZED (
        SELECT curve, entry, age, cause, part, sum(part) AS threads
        FROM members
        GROUP BY curve, entry, age, cause, part
    ),

    -- Which threads are at risk of closing unseen: from their first listing on.
    listings AS MATERIALIZED (
        SELECT curve, unnest([listed, age]) AS age, unnest([part, -part]) AS listed
        FROM members
        SEMI JOIN (FROM fates WHERE cause = 'vanished') AS lossy USING (curve)
        WHERE listed < age
    ),

    points AS MATERIALIZED (
        SELECT at_age.*, horizon
        FROM aalen_johansen('fates', 'listings') AS at_age
        JOIN curves USING (curve)
    ),

    functions AS MATERIALIZED (FROM influence_function('points')),
    influences AS MATERIALIZED (FROM session_influences('members', 'fates', 'functions')),
    changes AS MATERIALIZED (FROM leave_one_out('influences')),
    estimates AS MATERIALIZED (FROM jackknife('changes')),
    differences AS MATERIALIZED (FROM jackknife_of_differences('changes', 'estimates', pairs)),
    tests AS MATERIALIZED (FROM moderated_t('differences')),
    adjusted AS MATERIALIZED (FROM benjamini_hochberg('tests')),

    summaries AS (
        SELECT
            curve,
            any_value(n_followed) AS followed,
            any_value(sessions_followed) AS sessions,
            any_value(CASE WHEN measure = 'failures' THEN share_with_interval(estimate, n, variance, df) END) AS failed,
            any_value(CASE WHEN measure = 'speed' THEN exp_with_interval(estimate, variance, df) END) AS lifetime
        FROM estimates
        GROUP BY curve
    ),

    outcomes AS (
        SELECT
            pair,
            any_value(verdict(p_adjusted, difference, 'more', 'fewer')) FILTER (measure = 'failures') AS failures,
            any_value(p) FILTER (measure = 'failures') AS failures_p,
            any_value(p_adjusted) FILTER (measure = 'failures') AS failures_p_adjusted,
            any_value(verdict(p_adjusted, difference, 'slower', 'faster')) FILTER (measure = 'speed') AS speed,
            any_value(p) FILTER (measure = 'speed') AS speed_p,
            any_value(p_adjusted) FILTER (measure = 'speed') AS speed_p_adjusted
        FROM adjusted
        GROUP BY pair
    )

    SELECT
        beside.pair,
        CASE WHEN compared_curve IS NOT NULL THEN coalesce(failures, 'too few') END AS failures,
        CASE WHEN compared_curve IS NOT NULL THEN coalesce(speed, 'too few') END AS speed,
        newer.failed.at AS failed_share,
        newer.failed.low AS failed_share_low,
        newer.failed.high AS failed_share_high,
        older.failed.at AS failed_share_compared,
        older.failed.low AS failed_share_compared_low,
        older.failed.high AS failed_share_compared_high,
        failures_p,
        failures_p_adjusted,
        newer.lifetime.at AS lifetime_seconds,
        newer.lifetime.low AS lifetime_low_seconds,
        newer.lifetime.high AS lifetime_high_seconds,
        older.lifetime.at AS lifetime_compared_seconds,
        older.lifetime.low AS lifetime_compared_low_seconds,
        older.lifetime.high AS lifetime_compared_high_seconds,
        speed_p,
        speed_p_adjusted,
        coalesce(newer.followed, 0) AS followed,
        CASE WHEN compared_curve IS NOT NULL THEN coalesce(older.followed, 0) END AS followed_compared,
        coalesce(newer.sessions, 0) AS sessions,
        CASE WHEN compared_curve IS NOT NULL THEN coalesce(older.sessions, 0) END AS sessions_compared,
        (SELECT count(DISTINCT pair) FROM adjusted WHERE p IS NOT NULL) AS compared
    FROM query_table(pairs) AS beside
    LEFT JOIN summaries AS newer ON newer.curve = beside.curve
    LEFT JOIN summaries AS older ON older.curve = beside.compared_curve
    LEFT JOIN outcomes ON outcomes.pair = beside.pair
);
