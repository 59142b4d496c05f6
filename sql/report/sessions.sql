-- The sessions, those with most to look at first.
WITH waiting AS (
    SELECT
        source,
        session_id,
        count_if(severity <> 'low') AS attention,
        count_if(severity = 'low') AS attention_low,
        count_if(severity = 'high') AS attention_high
    FROM analytics.attention
    GROUP BY source, session_id
)

SELECT
    summary.label AS session,
    summary.session_id,
    summary.source,
    coalesce(waiting.attention, 0) AS attention,
    coalesce(waiting.attention_low, 0) AS attention_low,
    summary.threads,
    summary.open,
    summary.running,
    summary.idle,
    summary.blocked,
    summary.peak_concurrency,
    summary.last_updated_at,
    health.last_outcome,
    health.last_complete_poll,
    count(*) OVER () AS total
FROM analytics.session_summary AS summary
JOIN analytics.ingestion_health AS health USING (source, session_id)
LEFT JOIN waiting USING (source, session_id)
ORDER BY
    coalesce(waiting.attention_high, 0) DESC,
    attention DESC,
    attention_low DESC,
    summary.open DESC,
    summary.threads DESC,
    summary.source,
    summary.session_id
LIMIT 200
