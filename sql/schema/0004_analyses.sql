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

-- Which of them a row of GROUP BY GROUPING SETS stands for; mask is
-- grouping(source, session_id, role, agent, agent_version, model).
CREATE MACRO dimension_of(mask, source, session_id, role, agent, agent_version, model) AS
dimensions(source, session_id, role, agent, agent_version, model)[
    list_position([63, 31, 47, 55, 59, 57, 62], mask)
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

-- Most threads are listed, and changed no later than in the newest complete poll of their session:
-- these are not looked up as of an instant.
CREATE OR REPLACE VIEW threads_seen AS
WITH complete_polls AS (
    SELECT source, session_id, started_at
    FROM session_polls
    WHERE outcome = 'complete' AND status_filter IS NULL
),

loaded_polls AS (
    SELECT source, session_id, started_at
    FROM session_polls
    WHERE outcome <> 'stale' AND pages > 0
),

newest_polls AS (
    SELECT source, session_id, max(started_at) AS started_at
    FROM complete_polls
    GROUP BY ALL
),

listings AS (
    SELECT source, session_id, thread_id, last_changed_at, newest.started_at AS listed_at
    FROM threads
    LEFT JOIN newest_polls AS newest USING (source, session_id)
    WHERE missing_since IS NULL
    UNION ALL
    SELECT missing.source, missing.session_id, missing.thread_id, missing.last_changed_at, listing.started_at
    FROM (FROM threads WHERE missing_since IS NOT NULL) AS missing
    ASOF LEFT JOIN complete_polls AS listing
        ON listing.source = missing.source
        AND listing.session_id = missing.session_id
        AND listing.started_at < missing.missing_since
)

SELECT source, session_id, thread_id, listed_at AS as_of
FROM listings
WHERE last_changed_at <= listed_at
UNION ALL
SELECT
    listing.source,
    listing.session_id,
    listing.thread_id,
    greatest(listing.listed_at, change.started_at) AS as_of
FROM (FROM listings WHERE coalesce(last_changed_at > listed_at, TRUE)) AS listing
ASOF LEFT JOIN loaded_polls AS change
    ON change.source = listing.source
    AND change.session_id = listing.session_id
    AND change.started_at <= listing.last_changed_at;
COMMENT ON VIEW threads_seen IS 'Per thread, the beginning (as_of) of the newest poll that its row rests on.';
