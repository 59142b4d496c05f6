-- Numbers that grow by themselves are stored with a change and are none; and when what is stored is an
-- hour old, for a session may run for days of which its object says nothing else.
UPDATE sessions
SET
    title = came.title,
    status = came.status,
    agent_id = came.agent_id,
    agent_name = came.agent_name,
    agent_version = came.agent_version,
    environment_id = came.environment_id,
    deployment_id = came.deployment_id,
    metadata = came.metadata,
    created_at = came.created_at,
    updated_at = came.updated_at,
    archived_at = came.archived_at,
    active_seconds = came.active_seconds,
    duration_seconds = came.duration_seconds,
    usage = came.usage,
    input_tokens = came.input_tokens,
    output_tokens = came.output_tokens,
    cache_read_tokens = came.cache_read_tokens,
    cache_write_tokens = came.cache_write_tokens,
    cost_amount = came.cost_amount,
    cost_currency = came.cost_currency,
    extra = came.extra,
    last_changed_at = came.observed_at
FROM (SELECT *, unnest(used) FROM (SELECT *, read_usage(usage) AS used FROM landed_sessions)) AS came
SEMI JOIN (FROM registry_sources WHERE NOT is_overtaken) AS current_sources USING (source)
WHERE sessions.source = came.source
    AND sessions.session_id = came.session_id
    AND (
        (
            sessions.title, sessions.status, sessions.agent_id, sessions.agent_name, sessions.agent_version,
            sessions.environment_id, sessions.deployment_id, sessions.metadata, sessions.created_at,
            sessions.updated_at, sessions.archived_at, sessions.extra,
            CASE WHEN sessions.status IS DISTINCT FROM 'running' THEN sessions.usage END
        )
        IS DISTINCT FROM (
            came.title, came.status, came.agent_id, came.agent_name, came.agent_version,
            came.environment_id, came.deployment_id, came.metadata, came.created_at,
            came.updated_at, came.archived_at, came.extra,
            CASE WHEN came.status IS DISTINCT FROM 'running' THEN came.usage END
        )
        OR (sessions.usage, sessions.active_seconds) IS DISTINCT FROM (came.usage, came.active_seconds)
        AND came.observed_at NOT BETWEEN sessions.last_changed_at - INTERVAL 1 HOUR
        AND sessions.last_changed_at + INTERVAL 1 HOUR - INTERVAL 1 MICROSECOND
    );

-- Only a complete listing may conclude that a session is no longer listed.
UPDATE sessions
SET missing_since = CASE WHEN listed.session_id IS NULL THEN listings.started_at END
FROM sessions AS known
JOIN landed_listings AS listings ON listings.source = known.source AND listings.outcome = 'complete'
JOIN (FROM registry_sources WHERE NOT is_overtaken) AS current_sources ON current_sources.source = known.source
LEFT JOIN (FROM landed_sessions WHERE is_listed) AS listed
    ON listed.source = known.source AND listed.session_id = known.session_id
WHERE sessions.source = known.source
    AND sessions.session_id = known.session_id
    AND known.origin = 'discovered'
    AND (known.missing_since IS NULL) <> (listed.session_id IS NOT NULL);
