-- What is new in the data: fields and types that no column holds, and values of enumerations.
-- Unchanged threads are looked at too: an upgraded warehouse knows them from when nobody looked.
INSERT INTO schema_drift BY NAME
SELECT landed_drift.*, landed_run.run_id
FROM landed_drift
CROSS JOIN landed_run
WHERE NOT EXISTS (
    FROM schema_drift AS known
    WHERE known.path = landed_drift.path
        AND known.json_type = landed_drift.json_type
        AND known.value IS NOT DISTINCT FROM landed_drift.value
)
ORDER BY landed_drift.path, landed_drift.json_type, landed_drift.value;
