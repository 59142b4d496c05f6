-- What is new in the data: fields and types that no column holds, and values of enumerations.
-- Unchanged threads are looked at too: an upgraded warehouse knows them from when nobody looked.
INSERT INTO schema_drift BY NAME
WITH objects AS (
    SELECT source, session_id, thread_id, observed_at, '' AS prefix, extra AS object FROM incoming_threads
    UNION ALL
    SELECT source, session_id, thread_id, observed_at, 'usage', usage FROM incoming_threads
    UNION ALL
    SELECT source, session_id, thread_id, observed_at, 'stop_reason', stop_reason FROM incoming_threads
),

fields AS (
    SELECT
        objects.* EXCLUDE (prefix, object),
        ltrim(objects.prefix || regexp_replace(node.fullkey[2:], '\[\d+\]', '[]', 'g'), '.') AS path,
        CASE node.type
            WHEN 'VARCHAR' THEN 'string'
            WHEN 'BOOLEAN' THEN 'boolean'
            WHEN 'OBJECT' THEN 'object'
            WHEN 'ARRAY' THEN 'array'
            WHEN 'NULL' THEN 'null'
            ELSE 'number'
        END AS json_type
    FROM objects, json_tree(objects.object) AS node
    WHERE node.parent IS NOT NULL
),

enumerations AS (
    UNPIVOT (
        SELECT
            source,
            session_id,
            thread_id,
            observed_at,
            status,
            stop_reason_type AS "stop_reason.type",
            role,
            agent_type AS "agent.type"
        FROM incoming_threads
    ) ON status, "stop_reason.type", role, "agent.type" INTO NAME path VALUE value
),

found AS (
    SELECT source, session_id, thread_id, observed_at, path, json_type, NULL AS value
    FROM fields
    WHERE path NOT IN (SELECT path FROM documented WHERE value IS NULL)
    UNION ALL
    SELECT source, session_id, thread_id, observed_at, path, 'string', value
    FROM enumerations
    ANTI JOIN documented USING (path, value)
)

SELECT
    found.path,
    found.json_type,
    found.value,
    count(DISTINCT (found.source, found.session_id, found.thread_id)) AS examples,
    min(found.observed_at) AS first_seen_at,
    landed_run.run_id
FROM found
CROSS JOIN landed_run
WHERE NOT EXISTS (
    FROM schema_drift AS known
    WHERE known.path = found.path
        AND known.json_type = found.json_type
        AND known.value IS NOT DISTINCT FROM found.value
)
GROUP BY ALL
ORDER BY found.path, found.json_type, found.value;
