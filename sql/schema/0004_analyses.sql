-- What threads are grouped by, once for every analysis: unnest(dimensions(...)) gives seven rows of
-- dimension and value.
CREATE MACRO dimensions(source, session_id, role, agent, agent_version, model) AS [
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

CREATE OR REPLACE VIEW thread_dimensions AS
SELECT
    source,
    session_id,
    thread_id,
    unnest(
        dimensions(source, session_id, role, coalesce(agent_id, agent_name), agent_version, agent_model),
        recursive := TRUE
    )
FROM threads;
COMMENT ON VIEW thread_dimensions IS 'Per thread, the groups it is counted in: seven rows of dimension and value.';

CREATE TABLE analysis_settings (
    name VARCHAR NOT NULL,
    value DOUBLE NOT NULL
);
INSERT INTO analysis_settings VALUES ('attention_after_minutes', 60);
COMMENT ON TABLE analysis_settings IS 'What the configuration tells the analyses, so that a query gives the same answer wherever it is run.';
COMMENT ON COLUMN analysis_settings.name IS 'Key of the configuration';
COMMENT ON COLUMN analysis_settings.value IS 'Its value when the analyses were built last';

CREATE TABLE analysis_builds (
    name VARCHAR NOT NULL,
    runs BIGINT NOT NULL
);
COMMENT ON TABLE analysis_builds IS 'Per analysis, the state of the tables for which it was built, or tried, last.';
COMMENT ON COLUMN analysis_builds.name IS 'Table in schema analytics';
COMMENT ON COLUMN analysis_builds.runs IS 'Number of runs that were loaded then';
