-- answers: Did the new version of an agent get worse?
-- grain: one row per agent, role and version that has a thread of known age, beside the version it is compared with; coordinators and children are never mixed
-- show: [agent_name or agent, role, version, compared_with, failures, speed, failed_share, failed_share_compared, lifetime_seconds, lifetime_compared_seconds, followed, n]
-- columns:
--   agent_name: newest name of the agent, or what else it is called
--   agent: id of the agent, or its name if it has no id
--   role: coordinator or child
--   version: version of the agent
--   compared_with: the version with most threads of those that began before it, whether they still run or not; null for the first
--   failures: "more, fewer or unclear: whether more of its threads fail by the common age (failures_p_adjusted up to 5 %); too few if one of the two has fewer than 20 threads or 5 sessions that were followed to that age"
--   speed: "slower, faster or unclear: whether those of its threads that do not fail live longer; too few likewise"
--   common_age_seconds: age to which at least half of the threads of each of the two were followed; of a version that is compared with none, half of that one (seconds)
--   failed_share: share of threads that were terminated or gave up by the common age, open ones in the denominator (Aalen-Johansen)
--   failed_share_low: lower end of its 95 % confidence interval, threads of a session being alike; null if there is one session
--   failed_share_high: upper end of it
--   failed_share_compared: the same share of the version it is compared with
--   failed_share_compared_low: lower end of its 95 % confidence interval
--   failed_share_compared_high: upper end of it
--   failures_p: probability of such a difference, or a larger one, by chance; null if too few
--   failures_p_adjusted: the same in view of how many were compared (Benjamini-Hochberg)
--   lifetime_seconds: typical lifetime (geometric mean) of threads that do not fail by the common age; a longer one counts as that age, one that vanished as closed between its last listing and missing_since (seconds)
--   lifetime_low_seconds: lower end of its 95 % confidence interval (seconds)
--   lifetime_high_seconds: upper end of it (seconds)
--   lifetime_compared_seconds: the same of the version it is compared with (seconds)
--   lifetime_compared_low_seconds: lower end of its 95 % confidence interval (seconds)
--   lifetime_compared_high_seconds: upper end of it (seconds)
--   speed_p: probability of such a difference, or a larger one, by chance; null if too few
--   speed_p_adjusted: the same in view of how many were compared
--   followed: number of its threads that were followed to the common age, or would have been had they not closed
--   followed_compared: the same of the version it is compared with
--   sessions: number of sessions of these threads
--   sessions_compared: the same of the version it is compared with
--   n: number of threads of the version
--   n_compared: number of threads of the version it is compared with
--   created_from: when its first thread was created (UTC)
--   created_until: when its last thread was created (UTC)
--   created_from_compared: when the first thread of the version it is compared with was created (UTC)
--   created_until_compared: when the last one was (UTC)
--   compared: number of versions of this table that are compared, each in two ways
--   as_of: beginning of the newest poll that the row rests on (UTC)
-- checks:
--   bounds_are_in_order: >-
--     FROM analytics.agent_versions WHERE NOT coalesce(failed_share BETWEEN failed_share_low - 1e-9
--     AND failed_share_high + 1e-9 AND lifetime_seconds BETWEEN lifetime_low_seconds AND lifetime_high_seconds, TRUE)
--   compared_with_an_earlier_one: FROM analytics.agent_versions WHERE created_from_compared > created_from
WITH durations AS NOT MATERIALIZED (
    -- Of few threads that vanished young by chance none or some would count, each for many; pieces count a little.
    SELECT *, if(basis = 'vanished', 16, 1) AS pieces, unnest(range(pieces)) AS piece
    FROM analytics.thread_durations
),

lifetimes AS MATERIALIZED (
    SELECT
        agent,
        role,
        agent_version AS version,
        session,
        created_at,
        as_of,
        piece,
        -- Sixteenths add up to the same in any order.
        1 / pieces AS part,
        -- A thread that closed was followed on: for as long as its session was.
        age_step(seconds_between(created_at, greatest(as_of, complete_at))) AS followed,
        CASE WHEN entry_seconds > 0 THEN age_step(entry_seconds) ELSE -1 END AS entry,
        CASE WHEN listed_seconds > 0 THEN age_step(least(listed_seconds, elapsed_low)) ELSE -1 END AS listed,
        -- An open thread that gave up did so when it fell quiet.
        age_step(elapsed_seconds - if(is_censored AND gave_up(stop_reason_type), coalesce(quiet_seconds, 0), 0)) AS age,
        CASE
            WHEN basis = 'terminated' OR gave_up(stop_reason_type) THEN 'failed'
            WHEN is_censored THEN 'open'
            WHEN is_vanished THEN 'vanished'
            ELSE 'closed'
        END::ENUM ('open', 'closed', 'vanished', 'failed') AS cause
    FROM curve_lifetimes('durations')
    JOIN (
        SELECT *, row_number() OVER (ORDER BY source, session_id) AS session
        FROM latest_polls
    ) AS latest USING (source, session_id)
    WHERE agent IS NOT NULL AND agent_version IS NOT NULL
),

threads AS NOT MATERIALIZED (FROM lifetimes WHERE piece = 0),
pairs AS MATERIALIZED (FROM version_pairs('threads'))

SELECT
    names.name AS agent_name,
    pairs.agent,
    role,
    version,
    compared_with,
    failures,
    speed,
    age_of_step(horizon) AS common_age_seconds,
    results.* EXCLUDE (pair, failures, speed, compared),
    n,
    n_compared,
    created_from,
    created_until,
    created_from_compared,
    created_until_compared,
    compared,
    as_of
FROM pairs
JOIN compare_versions('pairs', 'lifetimes') AS results USING (pair)
LEFT JOIN group_names AS names ON names.dimension = 'agent' AND names.value = pairs.agent
ORDER BY pairs.agent, role, version
