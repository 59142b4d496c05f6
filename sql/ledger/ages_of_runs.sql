-- How long ago each run began, as later runs show it, the newest last. A clock may have been wrong: a run
-- began no later than any that came after it, a time that cannot be is none, and from one run to the
-- next a day is the most that counts.
WITH starts AS (
    SELECT
        run_id,
        sequence,
        min(CASE WHEN started_at >= $1 THEN started_at END) OVER (
            ORDER BY sequence
            ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) AS began_by
    FROM runs
),

steps AS (
    SELECT
        run_id,
        sequence,
        seconds_between(began_by, lead(began_by) OVER (ORDER BY sequence)) AS gap_seconds,
        CASE WHEN gap_seconds > 86400 THEN 86400 ELSE gap_seconds END AS step_seconds
    FROM starts
)

SELECT
    run_id,
    sequence,
    coalesce(
        sum(step_seconds) OVER (ORDER BY sequence ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
        0
    ) AS seconds
FROM steps
ORDER BY sequence
