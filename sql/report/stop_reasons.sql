-- Why the last turn of the listed threads ended; those of which the server says nothing are left out.
SELECT
    stop_reason_type AS reason,
    threads,
    threads / sum(threads) OVER () AS share,
    (sum(threads) OVER ())::BIGINT AS n,
    count(*) OVER () AS total
FROM analytics.stop_reasons
WHERE dimension = 'all' AND stop_reason_type <> '(none)' AND threads > 0
ORDER BY threads DESC, reason
LIMIT 12
