-- What is odd in the data.
SELECT "check", source, rows, example, count(*) OVER () AS total
FROM analytics.data_quality
WHERE rows > 0
ORDER BY rows DESC, "check", source
LIMIT 30
