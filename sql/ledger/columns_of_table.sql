-- The columns of a table with their comments.
SELECT column_name, data_type, comment
FROM duckdb_columns()
WHERE schema_name = ? AND table_name = ? AND database_name = current_database()
ORDER BY column_index
