-- What is new in the data: fields and types that no column holds, and values of enumerations.
-- Unchanged threads are looked at too: an upgraded warehouse knows them from when nobody looked.
INSERT INTO schema_drift BY NAME
WITH objects AS (
    SELECT '' AS prefix, extra AS object, observed_at FROM incoming_threads
    UNION ALL
    SELECT 'usage', usage, observed_at FROM incoming_threads
    UNION ALL
    SELECT 'stop_reason', stop_reason, observed_at FROM incoming_threads
),

-- Of objects of one structure, one shows the fields of all; of what is in arrays it does not.
structures AS (
    SELECT
        row_number() OVER () AS number,
        prefix,
        any_value(object) AS object,
        count(*) AS threads,
        min(observed_at) AS first_seen_at
    FROM objects
    WHERE object IS NOT NULL
    GROUP BY prefix, CASE WHEN contains(object, '[') THEN object ELSE json_structure(object) END
),

fields AS (
    SELECT DISTINCT
        structures.* EXCLUDE (prefix, object),
        ltrim(structures.prefix || regexp_replace(node.fullkey[2:], '\[\d+\]', '[]', 'g'), '.') AS path,
        CASE node.type
            WHEN 'VARCHAR' THEN 'string'
            WHEN 'BOOLEAN' THEN 'boolean'
            WHEN 'OBJECT' THEN 'object'
            WHEN 'ARRAY' THEN 'array'
            WHEN 'NULL' THEN 'null'
            ELSE 'number'
        END AS json_type
    FROM structures, json_tree(structures.object) AS node
    WHERE node.parent IS NOT NULL
),

combinations AS (
    SELECT
        status,
        stop_reason_type AS "stop_reason.type",
        role,
        agent_type AS "agent.type",
        count(*) AS threads,
        min(observed_at) AS first_seen_at
    FROM incoming_threads
    GROUP BY ALL
),

enumerations AS (
    UNPIVOT combinations ON status, "stop_reason.type", role, "agent.type" INTO NAME path VALUE value
),

found AS (
    SELECT path, json_type, NULL AS value, threads, first_seen_at
    FROM fields
    ANTI JOIN documented
        ON documented.path = fields.path
        AND documented.value IS NULL
        AND coalesce(documented.json_type = fields.json_type, TRUE)
    UNION ALL
    SELECT path, 'string', value, threads, first_seen_at
    FROM enumerations
    ANTI JOIN documented USING (path, value)
)

SELECT
    found.path,
    found.json_type,
    found.value,
    sum(found.threads) AS examples,
    min(found.first_seen_at) AS first_seen_at,
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
