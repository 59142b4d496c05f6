-- How many threads were created, were closed, and were open at once, of all sources together, in some
-- 60 equal spans of time at most: since the first was created, and of the last 31 days.
WITH present AS (
    SELECT max(as_of) AS as_of FROM source_as_of
),

changes AS (
    SELECT least(changed_at, as_of) AS changed_at, change, is_completion
    FROM open_changes, present
),

span AS (
    SELECT
        as_of,
        greatest(min(changed_at), as_of - INTERVAL 31 DAY) AS first,
        bucket_seconds(seconds_between(first, as_of), 60) AS width
    FROM changes, present
    GROUP BY as_of
),

placed AS (
    SELECT
        bucket_start(changed_at, width) AS starts_at,
        change,
        is_completion,
        sum(change::BIGINT) OVER (ORDER BY changed_at, change ROWS UNBOUNDED PRECEDING) AS open
    FROM changes, span
),

counted AS (
    SELECT
        starts_at,
        count_if(change > 0) AS created,
        count_if(is_completion) AS closed,
        max(open) AS peak,
        sum(change) AS change
    FROM placed
    GROUP BY starts_at
),

-- A span without a change has as many open as the one before.
spans AS (
    SELECT as_of, width, unnest(generate_series(bucket_start(first, width), as_of, to_seconds(width))) AS starts_at
    FROM span
)

SELECT
    starts_at,
    starts_at + to_seconds(width) AS ends_at,
    ends_at <= as_of AS is_over,
    width,
    coalesce(created, 0) AS created,
    coalesce(closed, 0) AS closed,
    greatest(coalesce(peak, 0), coalesce(before.open_at_end, 0))::BIGINT AS peak
FROM spans
LEFT JOIN counted USING (starts_at)
ASOF LEFT JOIN (
    SELECT starts_at AS counted_at, sum(change) OVER (ORDER BY starts_at) AS open_at_end
    FROM counted
) AS before ON before.counted_at < spans.starts_at
ORDER BY starts_at
