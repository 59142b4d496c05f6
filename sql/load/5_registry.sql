-- Runs that come before the newest of their source change nothing of what is known of its sessions.
CREATE OR REPLACE TEMP TABLE registry_sources AS
WITH polled AS (
    SELECT source, count(*) AS sessions_polled
    FROM incoming_polls
    GROUP BY source
),

sources AS (
    SELECT source FROM polled
    UNION
    SELECT source FROM landed_listings
    UNION
    SELECT source FROM landed_decisions
),

newest AS (
    SELECT source, max(sequence) AS sequence
    FROM source_polls
    GROUP BY source
)

SELECT
    sources.source,
    coalesce(polled.sessions_polled, 0) AS sessions_polled,
    coalesce(newest.sequence >= landed_run.sequence, FALSE) AS is_overtaken
FROM sources
CROSS JOIN landed_run
LEFT JOIN polled USING (source)
LEFT JOIN newest USING (source)
WHERE NOT EXISTS (
    FROM source_polls AS known
    WHERE known.run_id = landed_run.run_id AND known.source = sources.source
);

INSERT INTO source_polls BY NAME
SELECT
    landed_run.run_id,
    landed_run.sequence,
    landed_run.door,
    coalesce(listings.started_at, landed_run.started_at) AS started_at,
    coalesce(listings.finished_at, landed_run.finished_at) AS finished_at,
    registry_sources.source,
    registry_sources.sessions_polled,
    coalesce(landed_plans.sessions_resting, 0) AS sessions_resting,
    coalesce(landed_plans.sessions_due, 0) AS sessions_due,
    landed_plans.is_trusted,
    listings.outcome,
    listings.end_reason,
    coalesce(listings.pages, 0) AS pages,
    coalesce(listings.requests, 0) AS requests,
    coalesce(listings.retries, 0) AS retries,
    coalesce(listings.bytes, 0) AS bytes,
    listings.threads_listed AS sessions_listed,
    listings.clock_skew_seconds,
    listings.error_type,
    listings.error_message,
    listings.request_id
FROM registry_sources
CROSS JOIN landed_run
LEFT JOIN landed_listings AS listings USING (source)
LEFT JOIN landed_plans USING (source);

-- What each session that was asked for, or is no more, is to be from now on.
CREATE OR REPLACE TEMP TABLE registry_states AS
SELECT
    source,
    session_id,
    label,
    origin,
    started_at,
    CASE
        WHEN outcome IN ('gone', 'forbidden') THEN outcome
        WHEN is_leaving AND is_complete_poll(outcome, status_filter) THEN 'out_of_scope'
        ELSE 'polled'
    END AS state,
    CASE
        WHEN outcome = 'gone' THEN 'the server answered 404'
        WHEN outcome = 'forbidden' THEN 'the server answered 403'
        WHEN is_leaving AND is_complete_poll(outcome, status_filter)
            THEN 'it has left the list, and was listed one last time'
        WHEN is_leaving THEN 'it has left the list, and is still to be listed one last time'
    END AS state_reason
FROM incoming_polls
SEMI JOIN (FROM registry_sources WHERE NOT is_overtaken) AS current_sources USING (source)
WHERE outcome <> 'overtaken'
UNION ALL
SELECT known.source, known.session_id, known.label, known.origin, landed_run.started_at, decided.state, decided.reason
FROM landed_decisions AS decided
JOIN sessions AS known USING (source, session_id)
CROSS JOIN landed_run
SEMI JOIN (FROM registry_sources WHERE NOT is_overtaken) AS current_sources USING (source)
UNION ALL
SELECT
    known.source,
    known.session_id,
    known.label,
    known.origin,
    landed_run.started_at,
    'resting' AS state,
    'the list of sessions says nothing new of it' AS state_reason
FROM sessions AS known
SEMI JOIN (FROM landed_plans WHERE sessions_resting > 0) AS plans USING (source)
SEMI JOIN (FROM registry_sources WHERE NOT is_overtaken) AS current_sources USING (source)
ANTI JOIN landed_polls USING (source, session_id)
ANTI JOIN landed_decisions USING (source, session_id)
CROSS JOIN landed_run
WHERE known.state IN ('polled', 'resting');

INSERT INTO sessions BY NAME
SELECT
    source,
    session_id,
    label,
    origin,
    state,
    state_reason,
    started_at AS first_seen_at,
    started_at AS last_changed_at,
    started_at AS state_since
FROM registry_states
ANTI JOIN sessions USING (source, session_id);

UPDATE sessions
SET
    label = registry_states.label,
    origin = registry_states.origin,
    state = registry_states.state,
    state_reason = registry_states.state_reason,
    state_since = CASE
        WHEN sessions.state = registry_states.state THEN sessions.state_since
        ELSE registry_states.started_at
    END
FROM registry_states
WHERE sessions.source = registry_states.source
    AND sessions.session_id = registry_states.session_id
    AND (sessions.label, sessions.origin, sessions.state, sessions.state_reason)
    IS DISTINCT FROM
    (registry_states.label, registry_states.origin, registry_states.state, registry_states.state_reason);
