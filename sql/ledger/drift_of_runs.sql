-- What some runs saw first, a line each: an unknown value, or a field and its type.
SELECT coalesce(path || ' = "' || value || '"', format('{} ({})', path, json_type)) AS line
FROM schema_drift
WHERE run_id IN (SELECT unnest(?))
