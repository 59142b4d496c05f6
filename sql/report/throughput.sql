-- What was created and closed on each of the last 14 days (UTC), the newest first.
SELECT
    day,
    source,
    coalesce(role, '(none)') AS role,
    created,
    closed,
    terminated,
    net,
    median_seconds
FROM analytics.throughput
QUALIFY dense_rank() OVER (ORDER BY day DESC) <= 14
ORDER BY day DESC, source, role
