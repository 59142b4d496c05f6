-- What comes hour by hour has the same hours: those that polls speak of, and that of the newest.
CREATE OR REPLACE VIEW source_hours AS
SELECT
    source,
    as_of,
    as_of_oldest,
    first_hour,
    dated_hour,
    greatest(first_hour, time_bucket(INTERVAL 1 HOUR, as_of)) AS hour_of_newest,
    greatest(last_hour, hour_of_newest) AS last_hour
FROM polled_hours
JOIN source_as_of USING (source);
COMMENT ON VIEW source_hours IS 'Per source that was ever polled, the hours that its tables speak of.';
COMMENT ON COLUMN source_hours.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN source_hours.as_of IS 'Beginning of the newest poll that brought something, or said that a session is not to be watched; null if there was none';
COMMENT ON COLUMN source_hours.as_of_oldest IS 'Beginning of the oldest of the newest such polls of each session that is watched';
COMMENT ON COLUMN source_hours.first_hour IS 'Beginning of the hour of its first poll; what was before is there as it begins';
COMMENT ON COLUMN source_hours.dated_hour IS 'Beginning of the hour from which on dates of threads speak of what was before: of the first birth, 31 days before first_hour at most';
COMMENT ON COLUMN source_hours.hour_of_newest IS 'Beginning of the hour of as_of; what is dated later counts in it';
COMMENT ON COLUMN source_hours.last_hour IS 'Beginning of the hour in which its newest poll ended';
