-- What all threads used, and those of the agents that cost or read most, as far as the server says.
SELECT
    CASE WHEN dimension = 'all' THEN 'all agents' ELSE name END AS agent,
    CASE WHEN dimension = 'agent' THEN agent END AS agent_id,
    tokens_known,
    n,
    input_tokens,
    output_tokens,
    cache_read_tokens,
    cost_known,
    cost_amount,
    nullif(currency, '(none)') AS currency,
    cost_per_closed_thread,
    count(*) OVER () AS total
FROM analytics.usage
WHERE dimension IN ('all', 'agent') AND (tokens_known > 0 OR cost_known > 0)
ORDER BY dimension = 'all' DESC, cost_amount DESC NULLS LAST, input_tokens DESC NULLS LAST, value, currency
LIMIT 20
