CREATE OR REPLACE VIEW staleness AS
SELECT
    any_value(value) FILTER (name = 'stale_after_minutes') * 60 AS stale_after_seconds,
    any_value(value) FILTER (name = 'resting_stale_after_minutes') * 60 AS resting_stale_after_seconds
FROM analysis_settings;
COMMENT ON VIEW staleness IS 'When a session is stale: one row.';
COMMENT ON COLUMN staleness.stale_after_seconds IS 'Time without a complete poll after which it is, and of one that rests time without a complete list of the sessions (seconds)';
COMMENT ON COLUMN staleness.resting_stale_after_seconds IS 'Time without a complete poll after which one that rests is stale (seconds)';
