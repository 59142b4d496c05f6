-- A thread is met in the middle of a silence, in a long one rather than in a short one: so long is usual
-- that at most 2.5 % of the time that threads are silent comes after it: half of what is allowed, for the
-- longest silences are those that have not ended and are not counted yet. Below 60 silences their largest is
-- no upper bound of the 95th percentile, but all that is known of an agent: the next one exceeds the
-- largest of n in one of n + 1 cases.
CREATE OR REPLACE VIEW usual_silences AS
WITH counts AS (
    SELECT source, agent, status, grouping(agent) = 1 AS is_of_all, step, sum(silences) AS silences
    FROM silences
    GROUP BY GROUPING SETS ((source, agent, status, step), (status, step))
),

ranked AS (
    SELECT
        * EXCLUDE (silences),
        sum(silences) OVER by_length AS up_to,
        sum(silences) OVER same_group AS n,
        (silences * age_of_step(step))::DECIMAL(38, 3) AS seconds,
        sum(seconds) OVER same_group AS all_seconds,
        all_seconds - sum(seconds) OVER by_length - age_of_step(step) * (n - up_to) AS seconds_beyond
    FROM counts
    WINDOW same_group AS (PARTITION BY source, agent, status, is_of_all), by_length AS (same_group ORDER BY step)
)

SELECT
    source,
    agent,
    status,
    any_value(n)::BIGINT AS n,
    age_of_step(min(step) FILTER (up_to >= upper_rank(n, 0.95) AND seconds_beyond <= 0.025 * all_seconds) + 0.5)
    AS upper_seconds
FROM ranked
WHERE n >= 60 OR NOT is_of_all
GROUP BY source, agent, status;
COMMENT ON VIEW usual_silences IS 'How long it is usual for an open thread to stay quiet: of an agent in a status, and of all agents together (agent null).';
COMMENT ON COLUMN usual_silences.source IS 'Name of the source in the configuration; null of all agents';
COMMENT ON COLUMN usual_silences.agent IS 'Id of the agent, or its name if it has no id; (none) without both; null of all agents';
COMMENT ON COLUMN usual_silences.status IS 'Status while they were quiet, verbatim; (none) if the server says none';
COMMENT ON COLUMN usual_silences.n IS 'Number of silences; of all agents at least 60';
COMMENT ON COLUMN usual_silences.upper_seconds IS 'Upper bound of the 95th percentile of their lengths, with a confidence of 95 %, and more if more than 2.5 % of the time of silence comes after that; below 60 the largest; to within one per cent';
