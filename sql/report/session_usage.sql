-- What sessions used, those that cost or read most first, as far as a server says it.
SELECT
    label AS session,
    session_id,
    input_tokens,
    output_tokens,
    CASE tokens_from
        WHEN 'session' THEN 'the session'
        WHEN 'threads' THEN format('{} of {} threads', tokens_known, threads + missing)
    END AS tokens_said_by,
    cost_amount,
    cost_currency AS currency,
    CASE cost_from
        WHEN 'session' THEN 'the session'
        WHEN 'threads' THEN format('{} of {} threads', cost_known, threads + missing)
    END AS cost_said_by,
    source,
    count(*) OVER () AS total
FROM analytics.session_summary
WHERE tokens_from IS NOT NULL OR cost_from IS NOT NULL
ORDER BY cost_currency NULLS LAST, cost_amount DESC, input_tokens DESC NULLS LAST, source, session_id
LIMIT 20
