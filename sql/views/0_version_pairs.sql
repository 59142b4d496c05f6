-- Each version of an agent, and the one it is compared with: the largest of those that began before it.
-- `lifetimes` names what has the columns agent, role, version, created_at, as_of and followed (a step).
-- Two rows per pair, but one of a version that is compared with none; each is a curve. A pair's common
-- age, its horizon, is one to which at least half of the threads of each have been followed.
CREATE OR REPLACE MACRO version_pairs(lifetimes) AS TABLE (
    WITH versions AS (
        SELECT
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
            row_number() OVER () AS pair,
            max({
                'n': n,
                'created_from': created_from,
                'version': version,
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
    ),

    curves AS (
        SELECT pair, TRUE AS is_new, agent, role, version, n, created_from, created_until, as_of, half_followed
        FROM pairs
        UNION ALL
        SELECT
            pair,
            FALSE,
            agent,
            role,
            larger.version,
            larger.n,
            larger.created_from,
            larger.created_until,
            larger.as_of,
            larger.half_followed
        FROM pairs
        WHERE larger IS NOT NULL
    )

    SELECT
        * EXCLUDE (half_followed),
        2 * pair + is_new::INTEGER AS curve,
        min(half_followed) OVER (PARTITION BY pair) AS horizon
    FROM curves
);
