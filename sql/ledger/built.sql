-- The analyses whose tables are of inputs that begin so, and the digests of their files then.
SELECT name, version
FROM analysis_builds
WHERE starts_with(inputs, $1) AND name IN (SELECT table_name FROM duckdb_columns() WHERE schema_name = 'analytics')
