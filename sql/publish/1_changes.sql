-- Why the published copy (attached as published) cannot do with the ledger and the analyses alone;
-- no row where it can.
WITH here AS (
    SELECT schema_name, table_name, column_name, data_type, comment
    FROM duckdb_columns()
    WHERE database_name = current_database() AND NOT internal
    UNION ALL
    SELECT schema_name, table_name, NULL, NULL, comment
    FROM duckdb_tables()
    WHERE database_name = current_database() AND NOT internal
    UNION ALL
    SELECT schema_name, view_name, NULL, sql, comment
    FROM duckdb_views()
    WHERE database_name = current_database() AND NOT internal
),

there AS (
    SELECT schema_name, table_name, column_name, data_type, comment
    FROM duckdb_columns()
    WHERE database_name = 'published' AND NOT internal
    UNION ALL
    SELECT schema_name, table_name, NULL, NULL, comment
    FROM duckdb_tables()
    WHERE database_name = 'published' AND NOT internal
    UNION ALL
    SELECT schema_name, view_name, NULL, sql, comment
    FROM duckdb_views()
    WHERE database_name = 'published' AND NOT internal
)

SELECT 'another schema' AS reason
FROM ((FROM here EXCEPT FROM there) UNION ALL (FROM there EXCEPT FROM here))
UNION ALL
SELECT 'another warehouse'
FROM generation
ANTI JOIN published.generation USING (id)
UNION ALL
SELECT 'a run that changed threads'
FROM session_polls
ANTI JOIN published.session_polls USING (run_id, source, session_id)
WHERE threads_new + threads_changed + threads_missing + threads_regressed > 0
UNION ALL
SELECT 'a run that the warehouse does not have'
FROM published.runs
ANTI JOIN runs USING (run_id)
UNION ALL
SELECT 'another migration'
FROM (SELECT max(version) AS version FROM schema_version) AS ours
JOIN (SELECT max(version) AS version FROM published.schema_version) AS theirs
    ON ours.version <> theirs.version
LIMIT 1;
