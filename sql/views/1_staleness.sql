CREATE OR REPLACE VIEW staleness AS
SELECT value * 60 AS stale_after_seconds
FROM analysis_settings
WHERE name = 'stale_after_minutes';
COMMENT ON VIEW staleness IS 'When a session is stale: one row.';
COMMENT ON COLUMN staleness.stale_after_seconds IS 'Time without a complete poll after which it is (seconds)';
