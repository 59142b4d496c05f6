-- answers: What should a person look at now?
-- grain: one row per thread that needs someone; threads of a session that is gone (its newest poll, overtaken ones not counted, ended so) are left out, for nobody can look at them
-- columns:
--   source: name of the source
--   session_id: session
--   thread_id: thread, unique within its session
--   role: coordinator or child
--   agent: id of the agent, or its name where it has no id
--   status: status as the server says it
--   stop_reason_type: why its last turn ended
--   reason: "gave_up (retries exhausted, budget reached, refusal; open, or closed within a day of as_of, at archived_at or, where that is null, updated_at), needs_you (its turn ended for required action), blocked, or stuck (open, in any status but idle, for longer than threshold_seconds); the first that holds"
--   quiet_seconds: as_of - updated_at; 0 where it was updated during the poll (seconds)
--   threshold_seconds: how long it is usual to stay quiet (seconds)
--   threshold_basis: "where that comes from: agent_and_status or status (the 95th percentile of at least 20 ended spells), or configured (attention_after_minutes)"
--   severity: "low below the threshold, and of a closed thread, in which nobody waits; medium up to three times as long, high beyond"
--   as_of: beginning of the newest poll that the row rests on (UTC)
-- checks:
--   one_row_per_thread: >-
--     SELECT source, session_id, thread_id, count(*) AS found FROM analytics.attention
--     GROUP BY ALL HAVING count(*) > 1
--   stuck_threads_exceed_their_threshold: >-
--     FROM analytics.attention WHERE reason = 'stuck' AND severity = 'low'
WITH gone AS (
    SELECT source, session_id
    FROM session_polls
    WHERE outcome <> 'overtaken'
    GROUP BY source, session_id
    HAVING arg_max(outcome, started_at) = 'gone'
),

listed AS (
    SELECT
        durations.*,
        CASE
            WHEN threads.updated_at IS NOT NULL
                THEN greatest(epoch_us(durations.as_of) - epoch_us(threads.updated_at), 0) / 1e6
        END AS still_seconds,
        (epoch_us(durations.as_of) - epoch_us(coalesce(threads.archived_at, threads.updated_at))) / 1e6
        AS closed_seconds
    FROM analytics.thread_durations AS durations
    JOIN threads USING (source, session_id, thread_id)
    ANTI JOIN gone USING (source, session_id)
    WHERE durations.missing_since IS NULL
        AND (
            durations.is_censored
            OR durations.stop_reason_type IN ('retries_exhausted', 'budget_reached', 'refusal')
        )
),

candidates AS (
    SELECT
        source,
        session_id,
        thread_id,
        role,
        agent,
        status,
        stop_reason_type,
        still_seconds AS quiet_seconds,
        is_censored,
        as_of,
        CASE
            WHEN stop_reason_type IN ('retries_exhausted', 'budget_reached', 'refusal')
                AND (is_censored OR closed_seconds < 86400) THEN 'gave_up'
            WHEN NOT is_censored THEN NULL
            WHEN stop_reason_type = 'requires_action' THEN 'needs_you'
            WHEN status = 'blocked' THEN 'blocked'
            WHEN status IS DISTINCT FROM 'idle' THEN 'stuck'
        END AS reason
    FROM listed
),

statuses AS (
    SELECT DISTINCT status
    FROM candidates
    WHERE reason IS NOT NULL
),

ended AS (
    SELECT durations.agent, spells.status, spells.seconds
    FROM thread_spells AS spells
    SEMI JOIN statuses USING (status)
    JOIN analytics.thread_durations AS durations USING (source, session_id, thread_id)
    WHERE NOT spells.is_current
),

usual AS (
    SELECT
        agent,
        status,
        grouping(agent) = 1 AS is_of_all_agents,
        quantile_cont(seconds, 0.95) AS threshold_seconds
    FROM ended
    GROUP BY GROUPING SETS ((agent, status), (status))
    HAVING count(*) >= 20
),

judged AS (
    SELECT
        candidates.*,
        coalesce(
            of_agent.threshold_seconds,
            of_status.threshold_seconds,
            (SELECT value * 60 FROM analysis_settings WHERE name = 'attention_after_minutes')
        ) AS threshold_seconds,
        CASE
            WHEN of_agent.threshold_seconds IS NOT NULL THEN 'agent_and_status'
            WHEN of_status.threshold_seconds IS NOT NULL THEN 'status'
            ELSE 'configured'
        END AS threshold_basis
    FROM candidates
    LEFT JOIN usual AS of_agent
        ON of_agent.status = candidates.status
        AND of_agent.agent = candidates.agent
        AND NOT of_agent.is_of_all_agents
    LEFT JOIN usual AS of_status
        ON of_status.status = candidates.status
        AND of_status.is_of_all_agents
    WHERE candidates.reason IS NOT NULL
)

SELECT
    source,
    session_id,
    thread_id,
    role,
    agent,
    status,
    stop_reason_type,
    reason,
    quiet_seconds,
    threshold_seconds,
    threshold_basis,
    CASE
        WHEN NOT is_censored THEN 'low'
        WHEN quiet_seconds > 3 * threshold_seconds THEN 'high'
        WHEN quiet_seconds > threshold_seconds THEN 'medium'
        ELSE 'low'
    END AS severity,
    as_of
FROM judged
WHERE reason <> 'stuck' OR quiet_seconds > threshold_seconds
ORDER BY
    CASE severity WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END,
    is_censored DESC,
    quiet_seconds DESC NULLS LAST,
    source,
    session_id,
    thread_id
