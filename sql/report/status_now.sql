-- How many threads are in each status. The statuses that the server documents come first.
SELECT
    distribution.status,
    distribution.threads,
    distribution.share,
    distribution.n,
    statuses.status IS NOT NULL AS is_documented,
    count(*) OVER () AS total
FROM analytics.status_distribution AS distribution
LEFT JOIN statuses USING (status)
WHERE distribution.dimension = 'all'
ORDER BY is_documented DESC, distribution.threads DESC, distribution.status
LIMIT 15
