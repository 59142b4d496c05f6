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

-- To sort by a number is much faster than by three strings.
lifetimes AS MATERIALIZED (
    SELECT
        COLUMNS('^((elapsed|entry|listed)_seconds|elapsed_low|elapsed_high|is_censored|is_vanished)$'),
        hash(source, session_id) AS session,
        hash('all', 'all', role) AS of_all,
        hash('source', source, role) AS of_source,
        hash('session', session_id, role) AS of_session,
        hash('agent', coalesce(agent, '(none)'), role) AS of_agent,
        hash(
            'agent_version', coalesce(agent, '(none)') || '@' || coalesce(agent_version::VARCHAR, '(none)'), role
        ) AS of_version,
        hash('model', coalesce(model, '(none)'), role) AS of_model
    FROM curve_lifetimes('durations')
),

groups AS MATERIALIZED (
    SELECT
        unnest(dimension_of(
            grouping(source, session_id, role, agent, agent_version, model),
            source, session_id, role, agent, agent_version, model
        )),
        own_role AS role,
        max(as_of) AS as_of,
        min(as_of) AS as_of_oldest
    FROM (SELECT *, role AS own_role FROM durations WHERE elapsed_seconds IS NOT NULL) AS lived
    GROUP BY own_role, GROUPING SETS (
        (), (source), (session_id), (role), (agent), (agent, agent_version), (model)
    )
),

several_sources AS (
    SELECT count(DISTINCT value) AS sources
    FROM groups
    WHERE dimension = 'source'
    HAVING sources > 1
),

numbered AS NOT MATERIALIZED (
    SELECT of_all AS curve, * FROM lifetimes
    UNION ALL SELECT of_source, * FROM lifetimes WHERE EXISTS (FROM several_sources)
    UNION ALL SELECT of_session, * REPLACE (NULL::UBIGINT AS session) FROM lifetimes
    UNION ALL SELECT of_agent, * FROM lifetimes
    UNION ALL SELECT of_version, * FROM lifetimes
    UNION ALL SELECT of_model, * FROM lifetimes
),

-- By role, and by source if there is one alone, threads divide as they do in `all`.
curves AS (
    SELECT *, CASE
        WHEN dimension = 'role' OR dimension = 'source' AND NOT EXISTS (FROM several_sources)
            THEN hash('all', 'all', role)
        ELSE hash(dimension, value, role)
    END AS curve
    FROM groups
)

SELECT
    dimension, value, coalesce(names.name, value) AS name,
    names.* EXCLUDE (dimension, value, name),
    curves.role, points.* EXCLUDE (curve), curves.as_of, curves.as_of_oldest
FROM kaplan_meier_of_sessions('numbered') AS points
JOIN curves USING (curve)
LEFT JOIN group_names AS names USING (dimension, value)
ORDER BY dimension <> 'all', dimension, value, curves.role, points.t_seconds
