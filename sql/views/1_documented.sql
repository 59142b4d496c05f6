-- A documented object that comes as something else is news, too.
CREATE OR REPLACE VIEW documented AS
SELECT path, 'string' AS json_type, value
FROM (
    VALUES
        ('status', ['idle', 'running', 'rescheduling', 'blocked', 'archived', 'terminated']),
        (
            'stop_reason.type',
            ['end_turn', 'requires_action', 'retries_exhausted', 'budget_reached', 'refusal', 'archive']
        ),
        ('role', ['coordinator', 'child']),
        ('agent.type', ['agent', 'advisor', 'inline'])
) AS enumerations (path, known), unnest(known) AS element (value)
UNION ALL
SELECT path, json_type, NULL
FROM (
    VALUES
        ('agent', 'object'),
        ('agent.model', 'object'),
        ('agent.system', NULL),
        ('agent.tools', NULL),
        ('agent.skills', NULL),
        ('agent.mcp_servers', NULL),
        ('agent.description', NULL),
        ('stats', 'object'),
        ('usage', 'object'),
        ('stop_reason', 'object'),
        ('stop_reason.type', 'string'),
        ('stop_reason.event_ids', 'array'),
        ('stop_reason.event_ids[]', 'string')
) AS fields (path, json_type);
COMMENT ON VIEW documented IS 'What the server documents: the values of its enumerations, and (value null) the fields that no column of threads holds whole.';
COMMENT ON COLUMN documented.path IS 'Path of the field in the thread object';
COMMENT ON COLUMN documented.json_type IS 'JSON type of the field; null if any is documented';
COMMENT ON COLUMN documented.value IS 'Value of an enumeration; null if the field itself is documented';
