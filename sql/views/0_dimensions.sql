-- What threads are grouped by, once for every analysis: unnest(dimensions(...)) gives seven rows of
-- dimension and value.
CREATE OR REPLACE MACRO dimensions(source, session_id, role, agent, agent_version, model) AS [
    {'dimension': 'all', 'value': 'all'},
    {'dimension': 'source', 'value': source},
    {'dimension': 'session', 'value': session_id},
    {'dimension': 'role', 'value': coalesce(role, '(none)')},
    {'dimension': 'agent', 'value': coalesce(agent, '(none)')},
    {
        'dimension': 'agent_version',
        'value': coalesce(agent, '(none)') || '@' || coalesce(agent_version::VARCHAR, '(none)')
    },
    {'dimension': 'model', 'value': coalesce(model, '(none)')}
];

-- Which of them a row of GROUP BY GROUPING SETS is of; mask is
-- grouping(source, session_id, role, agent, agent_version, model).
CREATE OR REPLACE MACRO dimension_of(mask, source, session_id, role, agent, agent_version, model) AS
dimensions(source, session_id, role, agent, agent_version, model)[
    list_position([63, 31, 47, 55, 59, 57, 62], mask)
];
