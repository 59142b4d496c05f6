-- Whether the tables are in a file, and the threads one row group at most, which DuckDB does not divide: then
-- several analyses are built at once, and to update ages costs less than to write a table anew. A catalog of
-- several processes is written by one connection; of a million threads queries are on disk in part, and what is
-- left out of them costs little.
SELECT max(estimated_size) <= 122_880
FROM duckdb_tables()
WHERE database_name = current_database()
    AND table_name = 'threads'
    AND (SELECT type = 'duckdb' FROM duckdb_databases() WHERE database_name = current_database())
