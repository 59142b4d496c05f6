-- answers: How probable is it that a thread is still open after a time?
-- grain: one row per dimension, value, role and t_seconds; a curve of more than 200 threads has a row for every 200th part of them, and every time only where it falls to a half and to a tenth
-- show: [dimension, name or value, role, t_seconds, survival, ci_low, ci_high, at_risk, closed, censored]
-- columns:
--   dimension: "what the threads are grouped by: all, source, session, role, agent, agent_version, model"
--   value: the group by its id; an agent version is agent@version; a session of the same id in two sources counts as one group
--   name: what people call the group, by its label or the agent's name; value if there is none
--   agent: id of the agent, or its name if it has no id, of the dimensions agent and agent_version
--   agent_version: version of the agent, of the dimension agent_version
--   role: coordinator or child, never mixed
--   t_seconds: time since the thread was created (seconds)
--   at_risk: number of threads that were open until then, as far as is known; of a source that did not list what had closed, those that were younger at their session's first poll (entry_seconds of thread_durations); if the last of the row vanished, those that had been listed by then (listed_seconds)
--   closed: number of threads that closed since the row before, at t_seconds at the latest; vanished ones at times spread over what is possible of each (spread_between)
--   censored: number of threads of which no more is known than that they were open until a time since the row before
--   survival: Kaplan-Meier estimate of the share of threads open for longer than t_seconds
--   ci_low: lower end of its 95 % confidence interval (Greenwood, on the log-log scale, wider if threads of a session are alike; of one session, for threads of that session), and lower by those that vanished and may have closed before; null if survival is 0 or 1
--   ci_high: upper end of it, higher by those that vanished and may have closed later
--   as_of: beginning of the newest poll that the curve rests on (UTC)
--   as_of_oldest: the oldest of the newest polls that its threads rest on (UTC)
-- checks:
--   curves_fall: >-
--     SELECT dimension, value, role, t_seconds, survival FROM analytics.survival
--     QUALIFY survival > lag(survival) OVER (PARTITION BY dimension, value, role ORDER BY t_seconds) + 1e-9
--   ends_are_in_order: >-
--     FROM analytics.survival WHERE ci_low > survival + 1e-9 OR survival > ci_high + 1e-9
--   no_thread_is_lost: >-
--     SELECT count(*) AS threads FROM analytics.thread_durations WHERE elapsed_seconds IS NOT NULL
--     HAVING count(*) <> (
--       SELECT coalesce(sum(closed + censored), 0) FROM analytics.survival WHERE dimension = 'all'
--     )
WITH durations AS NOT MATERIALIZED (SELECT *, 0 AS piece, 1 AS pieces FROM analytics.thread_durations),

groups AS MATERIALIZED (
    SELECT
        unnest(dimension_of(
            grouping(source, session_id, role, agent, agent_version, model),
            source, session_id, role, agent, agent_version, model
        )),
        own_role AS role,
        count(*) AS n,
        max(as_of) AS as_of,
        min(as_of) AS as_of_oldest
    FROM (SELECT *, role AS own_role FROM durations WHERE elapsed_seconds IS NOT NULL) AS lived
    GROUP BY own_role, GROUPING SETS (
        (), (source), (session_id), (role), (agent), (agent, agent_version), (model)
    )
),

-- To sort by a number is much faster than by three strings. A group that has all threads of a role has the curve of
-- `all`, but not a session: its interval is another.
curves AS MATERIALIZED (
    SELECT *, dense_rank() OVER (ORDER BY is_all, if(is_all, NULL, (dimension, value)), role)::UINTEGER AS curve
    FROM (SELECT *, n = max(n) OVER (PARTITION BY role) AND dimension <> 'session' AS is_all FROM groups) AS divided
),

sessions AS (
    SELECT source, session_id, row_number() OVER (ORDER BY source, session_id)::UINTEGER AS session
    FROM (SELECT DISTINCT source, session_id FROM durations) AS named
),

lifetimes AS MATERIALIZED (
    SELECT
        COLUMNS('^((elapsed|entry|listed)_seconds|elapsed_low|elapsed_high|is_censored|is_vanished)$'),
        session,
        of_all.curve AS of_all,
        of_source.curve AS of_source,
        of_session.curve AS of_session,
        of_agent.curve AS of_agent,
        of_version.curve AS of_version,
        of_model.curve AS of_model
    FROM curve_lifetimes('durations') AS lived
    JOIN sessions USING (source, session_id)
    JOIN curves AS of_all ON of_all.dimension = 'all' AND of_all.role IS NOT DISTINCT FROM lived.role
    JOIN (FROM curves WHERE dimension = 'source') AS of_source
        ON of_source.value = lived.source AND of_source.role IS NOT DISTINCT FROM lived.role
    JOIN (FROM curves WHERE dimension = 'session') AS of_session
        ON of_session.value = lived.session_id AND of_session.role IS NOT DISTINCT FROM lived.role
    JOIN (FROM curves WHERE dimension = 'agent') AS of_agent
        ON of_agent.value = coalesce(lived.agent, '(none)') AND of_agent.role IS NOT DISTINCT FROM lived.role
    JOIN (FROM curves WHERE dimension = 'agent_version') AS of_version
        ON of_version.value = coalesce(lived.agent, '(none)') || '@' || coalesce(lived.agent_version::VARCHAR, '(none)')
        AND of_version.role IS NOT DISTINCT FROM lived.role
    JOIN (FROM curves WHERE dimension = 'model') AS of_model
        ON of_model.value = coalesce(lived.model, '(none)') AND of_model.role IS NOT DISTINCT FROM lived.role
),

numbered AS NOT MATERIALIZED (
    SELECT of_all AS curve, * FROM lifetimes
    UNION ALL SELECT of_source, * FROM lifetimes WHERE of_source <> of_all
    UNION ALL SELECT of_session, * REPLACE (NULL::UINTEGER AS session) FROM lifetimes
    UNION ALL SELECT of_agent, * FROM lifetimes WHERE of_agent <> of_all
    UNION ALL SELECT of_version, * FROM lifetimes WHERE of_version <> of_all
    UNION ALL SELECT of_model, * FROM lifetimes WHERE of_model <> of_all
)

SELECT
    dimension, value, coalesce(names.name, value) AS name,
    names.* EXCLUDE (dimension, value, name),
    curves.role, points.* EXCLUDE (curve), curves.as_of, curves.as_of_oldest
FROM kaplan_meier_of_sessions('numbered') AS points
JOIN curves USING (curve)
LEFT JOIN group_names AS names USING (dimension, value)
ORDER BY dimension <> 'all', dimension, value, curves.role, points.t_seconds
