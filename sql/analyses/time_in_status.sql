-- answers: Where does the time go?
-- grain: one row per dimension, value and status
-- show: [dimension, name or value, status, seconds, seconds_low, seconds_high, share, threads]
-- columns:
--   dimension: "what the threads are grouped by: all, source, session, role, agent, agent_version, model"
--   value: the group by its id; an agent version is agent@version; a session of the same id in two sources counts as one group
--   name: what people call the group, by its label or the agent's name; value if there is none
--   agent: id of the agent, or its name if it has no id, of the dimensions agent and agent_version
--   agent_version: version of the agent, of the dimension agent_version
--   status: "status as the server says it, (other) for all but the known and the 20 most frequent others, closed ones left out, for they last for ever; (unobserved) is the time between a thread's birth and the spell in which it was first seen, and its bounds are not widened by poll gaps"
--   threads: number of threads that were ever seen in the status
--   seconds: time spent in the status by all of them, up to the newest poll that saw each, as estimated (seconds)
--   seconds_low: lower bound of it, the time between polls that both saw the status, less three poll gaps for spells in other statuses that no poll saw (seconds)
--   seconds_high: "upper bound of it, the time between the nearest polls that did not see the status, and three poll gaps for spells that no poll saw; at most the group's whole time. The claim: at least 95 % of rows have the truth between their bounds. A status that no poll saw in the group has no row, and three poll gaps of time at most likewise (seconds)"
--   share: seconds / seconds of the group in all statuses; null if that is 0
--   as_of: beginning of the newest poll that the group rests on (UTC)
--   as_of_oldest: the oldest of the newest polls that its threads rest on (UTC)
-- checks:
--   shares_add_up: >-
--     SELECT dimension, value, sum(share) AS total FROM analytics.time_in_status
--     GROUP BY ALL HAVING abs(sum(share) - 1) > 1e-9
--   bounds_are_in_order: >-
--     FROM analytics.time_in_status
--     WHERE seconds_low > seconds + 1e-3 OR seconds > seconds_high + 1e-3 OR seconds_low < 0
WITH per_thread AS (
    -- A closed thread spends no time in its last spell, which has no end, nor in one between its
    -- termination and its archival. Whole microseconds add up to the same in any order.
    SELECT
        durations.rowid AS thread,
        intervals.status,
        sum((intervals.seconds * 1e6)::BIGINT)::BIGINT AS us,
        sum((intervals.seconds_low * 1e6)::BIGINT)::BIGINT AS us_low,
        sum((intervals.seconds_high * 1e6)::BIGINT)::BIGINT AS us_high
    FROM status_intervals AS intervals
    JOIN analytics.thread_durations AS durations USING (source, session_id, thread_id)
    WHERE durations.basis IN ('open', 'vanished') OR NOT intervals.is_current
    GROUP BY thread, intervals.status
),

-- The poll gap of a session, on average.
gaps AS (
    SELECT
        source,
        session_id,
        round((epoch_us(max(started_at)) - epoch_us(min(started_at))) / nullif(count(*) - 1, 0))::BIGINT AS gap_us
    FROM complete_polls
    GROUP BY source, session_id
),

-- Of something that n polls never met, three in n are the most that is likely (the rule of three):
-- three poll gaps of time. What happened before the first poll is no matter of gaps.
counts AS (
    SELECT
        unnest(dimension_of(
            grouping(source, session_id, role, agent, agent_version, model),
            source, session_id, role, agent, agent_version, model
        )),
        per_thread.status,
        count(*) AS threads,
        sum(us) AS us,
        sum(us_low) AS us_low,
        sum(us_high) AS us_high,
        CASE WHEN per_thread.status = '(unobserved)' THEN 0 ELSE 3 * sum(coalesce(gap_us, 0)) / count(*) END AS unseen_us,
        max(as_of) AS as_of,
        min(as_of) AS as_of_oldest
    FROM per_thread
    -- A left one, for of how many rows an inner one gives DuckDB has no idea.
    LEFT JOIN analytics.thread_durations AS durations ON durations.rowid = per_thread.thread
    LEFT JOIN gaps USING (source, session_id)
    GROUP BY per_thread.status, GROUPING SETS (
        (), (source), (session_id), (role), (agent), (agent, agent_version), (model)
    )
)

SELECT
    dimension, value, coalesce(names.name, value) AS name, names.agent, names.agent_version, status, threads,
    us / 1e6 AS seconds,
    greatest(us_low - unseen_us, 0) / 1e6 AS seconds_low,
    greatest(least(us_high + unseen_us, sum(us) OVER same_group), us) / 1e6 AS seconds_high,
    us / nullif(sum(us) OVER same_group, 0) AS share,
    max(as_of) OVER same_group AS as_of,
    min(as_of_oldest) OVER same_group AS as_of_oldest
FROM counts
ANTI JOIN (FROM statuses WHERE is_closed) AS closed USING (status)
LEFT JOIN group_names AS names USING (dimension, value)
WINDOW same_group AS (PARTITION BY dimension, value)
ORDER BY dimension <> 'all', dimension, value, seconds DESC, status
