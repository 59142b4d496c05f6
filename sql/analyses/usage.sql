-- answers: What do threads use, and what does it cost?
-- grain: one row per dimension, value and currency; threads whose cost is not known have the currency (none)
-- show: [dimension, name or value, currency, threads, n, tokens_known, input_tokens, output_tokens, cost_known, cost_amount, cost_per_closed_thread]
-- columns:
--   dimension: "what the threads are grouped by: all, source, session, role, agent, agent_version, model"
--   value: the group by its id; an agent version is agent@version; a session of the same id in two sources counts as one group
--   name: what people call the group, by its label or the agent's name; value if there is none
--   agent: id of the agent, or its name if it has no id, of the dimensions agent and agent_version
--   agent_version: version of the agent, of the dimension agent_version
--   currency: currency of the costs, or credits, or (none); amounts of different ones are not to be added
--   threads: number of threads, those that are missing or no longer watched included, because they were paid for
--   n: number of threads in the group, in all currencies
--   tokens_known: how many of the threads say how many tokens they used
--   input_tokens: tokens read by those that say so; null if none does
--   output_tokens: tokens written by those that say so; null if none does
--   cache_read_tokens: tokens read from the cache by those that say so; null if none does
--   cache_write_tokens: tokens written into the cache by those that say so; null if none does
--   cost_known: how many of the threads say what they cost
--   cost_amount: what those have cost by list price, in major units; costs of threads do not add up to those of their session, which session_summary has
--   closed_known: how many of those are closed
--   cost_per_closed_thread: mean cost of those that are closed, in major units; null if there is none
--   as_of: beginning of the newest poll that the group rests on (UTC)
-- checks:
--   threads_add_up: >-
--     SELECT dimension, value, sum(threads) AS total, max(n) AS n
--     FROM analytics.usage GROUP BY ALL HAVING sum(threads) <> max(n)
--   no_cost_without_a_currency: >-
--     SELECT * FROM analytics.usage WHERE (currency = '(none)') <> (cost_known = 0)
WITH used AS (
    SELECT
        lived.source,
        lived.session_id,
        lived.role,
        lived.agent,
        lived.agent_version,
        lived.model,
        lived.as_of,
        lived.is_censored,
        coalesce(threads.cost_currency, '(none)') AS currency,
        threads.input_tokens,
        threads.output_tokens,
        threads.cache_read_tokens,
        threads.cache_write_tokens,
        threads.cost_amount
    FROM analytics.thread_durations AS lived
    JOIN threads USING (source, session_id, thread_id)
),

totals AS (
    SELECT
        unnest(dimension_of(
            grouping(source, session_id, role, agent, agent_version, model),
            source, session_id, role, agent, agent_version, model
        )),
        currency,
        count(*) AS threads,
        count(coalesce(input_tokens, output_tokens, cache_read_tokens, cache_write_tokens)) AS tokens_known,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
        sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
        count(cost_amount) AS cost_known,
        sum(cost_amount) AS cost_amount,
        count(cost_amount) FILTER (NOT is_censored) AS closed_known,
        sum(cost_amount) FILTER (NOT is_censored) AS closed_amount,
        max(as_of) AS as_of
    FROM used
    GROUP BY currency, GROUPING SETS (
        (), (source), (session_id), (role), (agent), (agent, agent_version), (model)
    )
)

SELECT
    dimension,
    value,
    coalesce(names.name, value) AS name,
    names.agent,
    names.agent_version,
    currency,
    threads,
    (sum(threads) OVER same_group)::BIGINT AS n,
    * EXCLUDE (
        dimension, value, name, agent, agent_version, currency, threads, as_of, closed_amount
    ),
    closed_amount::DOUBLE / nullif(closed_known, 0) AS cost_per_closed_thread,
    max(as_of) OVER same_group AS as_of
FROM totals
LEFT JOIN group_names AS names USING (dimension, value)
WINDOW same_group AS (PARTITION BY dimension, value)
ORDER BY dimension <> 'all', dimension, value, currency
