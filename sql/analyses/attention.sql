-- answers: What should a person look at now?
-- grain: one row per thread that needs someone; threads of sessions that are gone, forbidden or no longer configured are left out, because nobody can look at them
-- show: [reason, severity, quiet_seconds, agent_name or agent, session_label or session_id, thread_id, status, name]
-- columns:
--   source: name of the source
--   session_id: session
--   session_label: what the configuration calls it, else its title; null without both
--   thread_id: thread, unique within its session
--   name: name of the thread; null if it has none
--   role: coordinator or child
--   agent: id of the agent, or its name if it has no id
--   agent_name: name of the agent, or what comes next to one
--   status: status as the server says it
--   stop_reason_type: why its last turn ended
--   reason: "gave_up (retries exhausted, budget reached, refusal; open, or closed, as thread_durations says, within a day of as_of), needs_you (its turn ended for required action), blocked, or stuck (open, in any status but idle, for longer than threshold_seconds); the first that holds"
--   created_at: when the thread was created (UTC)
--   quiet_seconds: as_of - updated_at; 0 if it was updated during the poll (seconds)
--   threshold_seconds: how long it is usual to stay quiet (seconds)
--   threshold_basis: "where that comes from: agent_and_status (silences of the agent in the status, that is times from updated_at to the last poll before it moved: from 60 on an upper bound of their 95th percentile, and such that 3 % of the time of silence is beyond; below as many times their mean, with half a silence more, as it is for all agents, 3.9 times or more; below 5 only if that is longer than what follows), status (the bound of at least 60 silences of all agents), or configured (attention_after_minutes)"
--   severity: "low below the threshold, and of a closed thread, in which nobody waits; medium up to three times as long, high beyond"
--   as_of: beginning of the newest poll that the row rests on, or of the list of sessions that found its session quiet (UTC)
--   as_of_basis: "poll, or evidence: the session rests, and nothing pointed to news at as_of"
-- checks:
--   one_row_per_thread: >-
--     SELECT source, session_id, thread_id, count(*) AS found FROM analytics.attention
--     GROUP BY ALL HAVING count(*) > 1
--   stuck_threads_exceed_their_threshold: >-
--     FROM analytics.attention WHERE reason = 'stuck' AND severity = 'low'
WITH seen AS (
    SELECT
        durations.* REPLACE (greatest(durations.as_of, resting.quiet_as_of) AS as_of),
        if(resting.quiet_as_of IS NULL, 'poll', 'evidence') AS as_of_basis
    FROM analytics.thread_durations AS durations
    LEFT JOIN resting_sessions AS resting USING (source, session_id)
    WHERE missing_since IS NULL
        AND unwatched_since IS NULL
        AND (is_censored OR gave_up(stop_reason_type))
),

candidates AS (
    SELECT
        * REPLACE (
            CASE WHEN updated_at IS NOT NULL THEN greatest(seconds_between(updated_at, as_of), 0) END
            AS quiet_seconds
        ),
        CASE
            WHEN gave_up(stop_reason_type)
                AND (is_censored OR seconds_between(closed_at, as_of) < 86400)
                THEN 'gave_up'
            WHEN NOT is_censored THEN NULL
            WHEN stop_reason_type = 'requires_action' THEN 'needs_you'
            WHEN status = 'blocked' THEN 'blocked'
            WHEN status IS DISTINCT FROM 'idle' THEN 'stuck'
        END AS reason
    FROM seen
    WHERE reason IS NOT NULL
),

usual AS MATERIALIZED (FROM usual_silences),

compared AS (
    SELECT
        candidates.*,
        coalesce(of_status.upper_seconds, configured.value * 60) AS wider_seconds,
        coalesce(of_agent.n >= 5 OR of_agent.upper_seconds > wider_seconds, FALSE) AS is_of_agent,
        if(is_of_agent, of_agent.upper_seconds, wider_seconds) AS threshold_seconds,
        CASE
            WHEN is_of_agent THEN 'agent_and_status'
            WHEN of_status.n IS NOT NULL THEN 'status'
            ELSE 'configured'
        END AS threshold_basis
    FROM candidates
    LEFT JOIN usual AS of_agent
        ON of_agent.source = candidates.source
        AND of_agent.agent = coalesce(candidates.agent, '(none)')
        AND of_agent.status = coalesce(candidates.status, '(none)')
    LEFT JOIN usual AS of_status
        ON of_status.agent IS NULL
        AND of_status.status = coalesce(candidates.status, '(none)')
    LEFT JOIN analysis_settings AS configured ON configured.name = 'attention_after_minutes'
)

SELECT
    source,
    session_id,
    session_label,
    thread_id,
    name,
    role,
    agent,
    agent_name,
    status,
    stop_reason_type,
    reason,
    created_at,
    quiet_seconds,
    threshold_seconds,
    threshold_basis,
    CASE
        WHEN NOT is_censored THEN 'low'
        WHEN quiet_seconds > 3 * threshold_seconds THEN 'high'
        WHEN quiet_seconds > threshold_seconds THEN 'medium'
        ELSE 'low'
    END AS severity,
    as_of,
    as_of_basis
FROM compared
WHERE reason <> 'stuck' OR quiet_seconds > threshold_seconds
ORDER BY
    array_position(['high', 'medium', 'low'], severity),
    is_censored DESC,
    quiet_seconds DESC NULLS LAST,
    source, session_id, thread_id
