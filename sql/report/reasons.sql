-- How many threads need someone, by reason.
SELECT
    reason,
    count(*) AS threads,
    count_if(severity = 'high') AS high,
    count_if(severity = 'medium') AS medium,
    count_if(severity = 'low') AS low
FROM analytics.attention
GROUP BY reason
ORDER BY threads DESC, reason
