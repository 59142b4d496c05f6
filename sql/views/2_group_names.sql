-- An id stays when its name changes: the newest name counts.
CREATE OR REPLACE VIEW group_names AS
WITH named AS (
    SELECT
        key_of_agent(agent_id, agent_name, agent_type, agent_model) AS agent,
        name_of_agent(agent_id, agent_name, agent_type, agent_model) AS name,
        agent_version,
        max(coalesce(updated_at, first_seen_at)) AS named_at
    FROM threads
    GROUP BY agent_id, agent_name, agent_type, agent_model, agent_version
    HAVING agent IS NOT NULL
)

SELECT 'session' AS dimension, session_id AS value, max(label) AS name, NULL AS agent, NULL AS agent_version
FROM latest_polls
WHERE label IS NOT NULL
GROUP BY session_id
UNION ALL
SELECT 'agent', agent, arg_max(name, (named_at, name)), agent, NULL
FROM named
GROUP BY agent
UNION ALL
SELECT
    'agent_version',
    agent || '@' || coalesce(agent_version::VARCHAR, '(none)'),
    arg_max(name, (named_at, name)) || '@' || coalesce(agent_version::VARCHAR, '(none)'),
    agent,
    agent_version
FROM named
GROUP BY agent, agent_version;
COMMENT ON VIEW group_names IS 'What people call the groups of a dimension: sessions that have a label, agents and their versions.';
COMMENT ON COLUMN group_names.dimension IS 'session, agent or agent_version';
COMMENT ON COLUMN group_names.value IS 'The group, by its id';
COMMENT ON COLUMN group_names.name IS 'Label of the session, name of the agent, or that and its version, as the newest poll or thread has it';
COMMENT ON COLUMN group_names.agent IS 'Id of the agent, or its name if it has no id; null of a session';
COMMENT ON COLUMN group_names.agent_version IS 'Version of the agent; null of a session and of all versions together';
