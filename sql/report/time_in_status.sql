-- Where the time of all threads went, with the bounds of the estimate, as shares of all of it.
SELECT
    status,
    threads,
    seconds,
    seconds / nullif(threads, 0) AS seconds_each,
    share,
    seconds_low / nullif(sum(seconds) OVER (), 0) AS share_low,
    least(seconds_high / nullif(sum(seconds) OVER (), 0), 1) AS share_high,
    count(*) OVER () AS total
FROM analytics.time_in_status
WHERE dimension = 'all'
ORDER BY seconds DESC, status
LIMIT 15
