-- All sessions of a run have one sequence.
CREATE OR REPLACE VIEW source_as_of AS
SELECT source, arg_max(loaded_at, (loaded_sequence, loaded_at)) AS as_of
FROM latest_polls
GROUP BY source;
COMMENT ON VIEW source_as_of IS 'Per source that was ever polled, the time that its tables speak of.';
COMMENT ON COLUMN source_as_of.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN source_as_of.as_of IS 'Beginning of the newest poll that brought something; null if none did';
