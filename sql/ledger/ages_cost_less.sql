-- Whether to update ages costs less than to write a table anew: of a file, and of few threads. Of a million queries
-- are on disk in part, and what is left out of them costs little.
SELECT max(estimated_size) <= 122_880
FROM duckdb_tables()
WHERE database_name = current_database()
    AND table_name = 'threads'
    AND (SELECT type = 'duckdb' FROM duckdb_databases() WHERE database_name = current_database())
