-- A thread is met in the middle of a silence, in a long one rather than in a short one: so long is usual
-- that at most 3 % of the time that threads are silent comes after it: less than the 5 % that are allowed,
-- for the longest silences are those that have not ended and are not counted yet. Of an agent that has fewer
-- than 60 silences the mean is known sooner than such a bound. That is then as many times the mean as it is
-- of all agents, and no fewer than if silences ended by chance alone (the exponential distribution), with
-- 2 % after it: an agent of few silences is one that has been watched for a short time, in which long ones
-- do not end. The mean of n silences may be too low by chance: it counts for half a silence more.
CREATE OR REPLACE VIEW usual_silences AS
WITH means AS (
    SELECT
        source,
        agent,
        status,
        sum(silences)::BIGINT AS n,
        sum((silences * age_of_step(step))::DECIMAL(38, 3))::DOUBLE / n AS mean_seconds
    FROM silences
    GROUP BY source, agent, status
),

-- How long silences are: those of each agent, those of all, and those of all in multiples of their agent's
-- mean, where each counts as often as that has seconds.
counts AS (
    SELECT source, agent, status, 'agent' AS unit, step, silences::DECIMAL(38, 3) AS silences
    FROM silences
    UNION ALL
    SELECT NULL, NULL, status, 'second', step, sum(silences)
    FROM silences
    GROUP BY status, step
    UNION ALL
    SELECT NULL, NULL, status, 'mean', step - age_step(mean_seconds), sum((silences * mean_seconds)::DECIMAL(38, 3))
    FROM silences
    JOIN means USING (source, agent, status)
    GROUP BY ALL
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
    WINDOW same_group AS (PARTITION BY source, agent, status, unit), by_length AS (same_group ORDER BY step)
),

bounds AS (
    SELECT
        source,
        agent,
        status,
        unit,
        any_value(n) AS n,
        age_of_step(
            min(step) FILTER (up_to >= upper_rank(n, 0.95) AND seconds_beyond <= 0.03 * all_seconds) + 0.5
        ) AS upper
    FROM ranked
    GROUP BY source, agent, status, unit
)

SELECT
    means.source,
    means.agent,
    status,
    means.n,
    CASE
        WHEN means.n >= 60 THEN of_agent.upper
        ELSE mean_seconds * (1 + 0.5 / means.n) * greatest(of_means.upper, -ln(0.02))
    END AS upper_seconds
FROM means
JOIN bounds AS of_agent USING (source, agent, status)
JOIN bounds AS of_means USING (status)
WHERE of_agent.unit = 'agent' AND of_means.unit = 'mean'
UNION ALL
SELECT NULL, NULL, status, n::BIGINT, upper
FROM bounds
WHERE unit = 'second' AND n >= 60;
COMMENT ON VIEW usual_silences IS 'How long it is usual for an open thread to stay quiet: of an agent in a status, and of all agents together (agent null).';
COMMENT ON COLUMN usual_silences.source IS 'Name of the source in the configuration; null of all agents';
COMMENT ON COLUMN usual_silences.agent IS 'Id of the agent, or its name if it has no id; (none) without both; null of all agents';
COMMENT ON COLUMN usual_silences.status IS 'Status while they were quiet, verbatim; (none) if the server says none';
COMMENT ON COLUMN usual_silences.n IS 'Number of silences; of all agents at least 60';
COMMENT ON COLUMN usual_silences.upper_seconds IS 'From 60 silences on an upper bound of the 95th percentile of their lengths, with a confidence of 95 %, and more if more than 3 % of the time of silence comes after that, to within one per cent; below as many times the mean of n silences and half a one as that bound has in all agents (3.9 times if that is less)';
