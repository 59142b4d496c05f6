-- How many analyses are built at once: as many as there are cores, if the threads are one row group at
-- most, which DuckDB does not divide. A catalog of several processes is written by one connection.
SELECT
    current_setting('threads')::INTEGER AS cores,
    CASE
        WHEN list_contains(current_setting('allowed_configs'), 'threads')
            AND (SELECT type = 'duckdb' FROM duckdb_databases() WHERE database_name = current_database())
            AND (
                SELECT max(estimated_size) <= 122_880
                FROM duckdb_tables()
                WHERE database_name = current_database() AND table_name = 'threads'
            )
            THEN least(cores, 4)
        ELSE 1
    END AS lanes;
