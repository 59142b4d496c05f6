-- Benjamini-Hochberg: what p says where many are tested. Of what has p_adjusted below 5 %, one in
-- twenty is chance, on average. `tests` names what has the column p; null is no test.
CREATE OR REPLACE MACRO benjamini_hochberg(tests) AS TABLE (
    WITH ranked AS (
        SELECT *, count(p) OVER () AS tested, rank() OVER (ORDER BY p NULLS LAST) - 1 + count(*) OVER (PARTITION BY p) AS place
        FROM query_table(tests)
    )

    SELECT
        * EXCLUDE (place),
        CASE
            WHEN p IS NOT NULL
                THEN least(1, min(p * tested / place) OVER (ORDER BY p DESC NULLS LAST RANGE UNBOUNDED PRECEDING))
        END AS p_adjusted
    FROM ranked
);
