-- Each version of an agent beside the one it is compared with: the largest of those that began before
-- it. `lifetimes` names what has the columns agent, role, version, created_at, as_of and followed (a step).
-- A pair's common age, its horizon, is one to which at least half of the threads of each have been
-- followed. What is known of a version until a horizon is one curve, though it be of several pairs.
CREATE OR REPLACE MACRO version_pairs(lifetimes) AS TABLE (
    WITH versions AS (
        SELECT
            row_number() OVER () AS number,
            agent,
            role,
            version,
            count(*) AS n,
            min(created_at) AS created_from,
            max(created_at) AS created_until,
            quantile_disc(followed, 0.5) AS half_followed,
            max(as_of) AS as_of
        FROM query_table(lifetimes)
        GROUP BY agent, role, version
    ),

    pairs AS (
        SELECT
            *,
            max({
                'n': n,
                'created_from': created_from,
                'version': version,
                'number': number,
                'created_until': created_until,
                'half_followed': half_followed,
                'as_of': as_of
            }) OVER began_earlier AS larger
        FROM versions
        WINDOW began_earlier AS (
            PARTITION BY agent, role
            ORDER BY created_from, version
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        )
    )

    SELECT
        number AS pair,
        agent,
        role,
        version,
        n,
        created_from,
        created_until,
        larger.version AS compared_with,
        larger.n AS n_compared,
        larger.created_from AS created_from_compared,
        larger.created_until AS created_until_compared,
        greatest(as_of, larger.as_of) AS as_of,
        least(half_followed, larger.half_followed) AS horizon,
        10_000 * number + horizon AS curve,
        10_000 * larger.number + horizon AS compared_curve
    FROM pairs
);
