-- How many threads were in each status at the end of some 150 equal spans of time at most, as long as
-- fits the time that was polled. Statuses that the server does not document count together. A source
-- that is polled no longer keeps its last counts, as it does in what is known now.
WITH span AS (
    SELECT
        bucket_seconds(seconds_between(min(started_at), max(started_at)), 150) AS width,
        bucket_start(min(started_at), width) AS first_start,
        bucket_start(max(started_at), width) AS last_start
    FROM session_polls
    WHERE outcome <> 'overtaken'
),

-- What lies outside counts in the first span, and in the last.
changes AS (
    SELECT
        least(greatest(bucket_start(changed_at, width), first_start), last_start) AS starts_at,
        coalesce(statuses.status, 'other') AS status,
        sum(change) AS change
    FROM status_changes
    CROSS JOIN span
    LEFT JOIN statuses ON statuses.status = status_changes.status
    WHERE status_changes.status <> '(unobserved)'
    GROUP BY ALL
),

spans AS (
    SELECT unnest(generate_series(first_start, last_start, to_seconds(width))) AS starts_at, width
    FROM span
)

SELECT
    starts_at,
    starts_at + to_seconds(width) AS ends_at,
    status,
    coalesce(sum(change) OVER (PARTITION BY status ORDER BY starts_at), 0)::BIGINT AS threads
FROM spans
CROSS JOIN (SELECT DISTINCT status FROM changes) AS seen
LEFT JOIN changes USING (starts_at, status)
ORDER BY starts_at, status
