-- What people call the agent of a thread: its name, else what it is, else its id.
CREATE OR REPLACE MACRO name_of_agent(agent_id, agent_name, agent_type, agent_model) AS
coalesce(
    agent_name,
    CASE agent_type
        WHEN 'advisor' THEN 'advisor' || coalesce(' (' || agent_model || ')', '')
        WHEN 'inline' THEN 'inline'
    END,
    agent_id
);

-- What tells agents apart: the id, which stays when the name changes, or else that name.
CREATE OR REPLACE MACRO key_of_agent(agent_id, agent_name, agent_type, agent_model) AS
coalesce(agent_id, name_of_agent(agent_id, agent_name, agent_type, agent_model));
