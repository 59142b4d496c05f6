-- Where the time of all threads went, with the bounds of the estimate.
SELECT
    spent.status,
    spent.threads,
    spent.seconds,
    spent.seconds_low,
    spent.seconds_high,
    spent.share,
    count(*) OVER () AS total
FROM analytics.time_in_status AS spent
WHERE spent.dimension = 'all'
ORDER BY spent.seconds DESC, spent.status
LIMIT 15
