-- All sessions of a run have one sequence.
CREATE OR REPLACE VIEW source_as_of AS
SELECT
    source,
    greatest(arg_max(loaded_at, (loaded_sequence, loaded_at)), max(unwatched_since)) AS as_of,
    coalesce(min(loaded_at) FILTER (unwatched_since IS NULL), as_of) AS as_of_oldest
FROM latest_polls
LEFT JOIN unwatched_sessions USING (source, session_id)
GROUP BY source;
COMMENT ON VIEW source_as_of IS 'Per source that was ever polled, the time that its tables speak of.';
COMMENT ON COLUMN source_as_of.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN source_as_of.as_of IS 'Beginning of the newest poll that brought something, or said that a session is not to be watched; null if there was none';
COMMENT ON COLUMN source_as_of.as_of_oldest IS 'Beginning of the oldest of the newest such polls of each session that is watched';
