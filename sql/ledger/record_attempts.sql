-- For what the analyses were built, from one text: each value of a parameter costs more than its parsing.
INSERT INTO analysis_builds BY NAME
SELECT *, (SELECT count(*) FROM runs) AS runs
FROM (
    SELECT unnest(
        from_json($1, '[{"name": "VARCHAR", "version": "VARCHAR", "inputs": "VARCHAR", "error": "VARCHAR"}]'),
        max_depth := 2
    )
)
