INSERT INTO analysis_settings VALUES ('stale_after_minutes', 30);
COMMENT ON COLUMN analysis_settings.name IS 'Key of the configuration, or what follows from one: stale_after_minutes is two intervals of poll_interval_minutes';
