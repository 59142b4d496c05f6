CREATE OR REPLACE VIEW thread_dimensions AS
SELECT
    source,
    session_id,
    thread_id,
    unnest(
        dimensions(
            source,
            session_id,
            role,
            key_of_agent(agent_id, agent_name, agent_type, agent_model),
            agent_version,
            agent_model
        ),
        recursive := TRUE
    )
FROM threads;
COMMENT ON VIEW thread_dimensions IS 'Per thread, the groups it is counted in: seven rows of dimension and value.';
COMMENT ON COLUMN thread_dimensions.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN thread_dimensions.session_id IS 'Session that was polled';
COMMENT ON COLUMN thread_dimensions.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN thread_dimensions.dimension IS 'What the thread is grouped by: all, source, session, role, agent, agent_version, model';
COMMENT ON COLUMN thread_dimensions.value IS 'The group';
