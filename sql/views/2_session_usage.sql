-- A session's own object is believed before the sum of its threads, of which each was rounded.
CREATE OR REPLACE VIEW session_usage AS
WITH of_threads AS (
    SELECT
        source,
        session_id,
        count(coalesce(input_tokens, output_tokens, cache_read_tokens, cache_write_tokens)) AS tokens_known,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        count(cost_amount) AS cost_known,
        CASE WHEN min(cost_currency) = max(cost_currency) THEN sum(cost_amount) END AS cost_amount,
        min(cost_currency) AS cost_currency
    FROM latest_polls
    LEFT JOIN threads USING (source, session_id)
    GROUP BY source, session_id
)

SELECT
    source,
    session_id,
    CASE
        WHEN coalesce(said.input_tokens, said.output_tokens) IS NOT NULL THEN 'session'
        WHEN tokens_known > 0 THEN 'threads'
    END AS tokens_from,
    tokens_known,
    CASE tokens_from WHEN 'session' THEN said.input_tokens ELSE of_threads.input_tokens END AS input_tokens,
    CASE tokens_from WHEN 'session' THEN said.output_tokens ELSE of_threads.output_tokens END AS output_tokens,
    CASE
        WHEN said.cost_amount IS NOT NULL THEN 'session'
        WHEN of_threads.cost_amount IS NOT NULL THEN 'threads'
    END AS cost_from,
    cost_known,
    coalesce(said.cost_amount, of_threads.cost_amount) AS cost_amount,
    CASE cost_from WHEN 'session' THEN said.cost_currency WHEN 'threads' THEN of_threads.cost_currency END
    AS cost_currency
FROM of_threads
LEFT JOIN (
    SELECT source, session_id, input_tokens, output_tokens, cost_amount, cost_currency
    FROM sessions
) AS said USING (source, session_id);
COMMENT ON VIEW session_usage IS 'What each session that was ever polled used and cost, and who says it: its own object, or its threads added up.';
COMMENT ON COLUMN session_usage.source IS 'Name of the source';
COMMENT ON COLUMN session_usage.session_id IS 'Session';
COMMENT ON COLUMN session_usage.tokens_from IS 'session, or threads, of those that say it; null if nobody does';
COMMENT ON COLUMN session_usage.tokens_known IS 'Number of threads that say how many tokens they used';
COMMENT ON COLUMN session_usage.input_tokens IS 'Tokens read, as tokens_from says';
COMMENT ON COLUMN session_usage.output_tokens IS 'Tokens written, as tokens_from says';
COMMENT ON COLUMN session_usage.cost_from IS 'session, or threads, where those that say it do so in one currency; null if nobody does';
COMMENT ON COLUMN session_usage.cost_known IS 'Number of threads that say what they cost';
COMMENT ON COLUMN session_usage.cost_amount IS 'Cost by list price, in major units';
COMMENT ON COLUMN session_usage.cost_currency IS 'Currency of that, or credits';
