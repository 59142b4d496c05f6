-- Every table and view of the schema main with its columns, as docs/data-dictionary.md lists them.
WITH tables AS (
    SELECT table_name AS name, comment, false AS is_view
    FROM duckdb_tables()
    WHERE schema_name = 'main' AND NOT internal
    UNION ALL
    SELECT view_name, comment, true
    FROM duckdb_views()
    WHERE schema_name = 'main' AND NOT internal
)

SELECT
    tables.name,
    tables.comment,
    tables.is_view,
    list(
        {'name': column_name, 'type': data_type, 'comment': columns.comment} ORDER BY column_index
    ) AS columns
FROM tables
JOIN duckdb_columns() AS columns ON columns.table_name = tables.name AND columns.schema_name = 'main'
GROUP BY ALL
ORDER BY tables.name
