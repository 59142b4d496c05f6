CREATE OR REPLACE VIEW resting_sessions AS
SELECT source, session_id, listings.quiet_as_of, evidence.missed_share_upper
FROM sessions
JOIN (
    SELECT source, arg_max(started_at, sequence) AS quiet_as_of
    FROM source_polls
    WHERE outcome = 'complete'
    GROUP BY source
) AS listings USING (source)
LEFT JOIN evidence USING (source)
WHERE sessions.state = 'resting';
COMMENT ON VIEW resting_sessions IS 'The sessions that were not asked in the newest run, because nothing points to news: what is known of their threads is as old as their last complete poll.';
COMMENT ON COLUMN resting_sessions.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN resting_sessions.session_id IS 'Session';
COMMENT ON COLUMN resting_sessions.quiet_as_of IS 'Beginning of the newest complete list of the source''s sessions, which found it quiet';
COMMENT ON COLUMN resting_sessions.missed_share_upper IS 'Upper bound of the share of changes that its source does not announce, with a confidence of 95 %';
