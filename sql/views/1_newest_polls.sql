CREATE OR REPLACE VIEW newest_polls AS
SELECT
    source,
    session_id,
    arg_max_null(label, started_at) AS label,
    arg_max(outcome, started_at) FILTER (outcome <> 'overtaken') AS last_outcome,
    max(started_at) FILTER (is_complete_poll(outcome, status_filter)) AS complete_at,
    max(started_at) FILTER (is_loaded_poll(outcome, pages)) AS loaded_at
FROM session_polls
GROUP BY source, session_id;
COMMENT ON VIEW newest_polls IS 'Per session that was ever polled, its newest poll of each kind.';
COMMENT ON COLUMN newest_polls.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN newest_polls.session_id IS 'Session that was polled';
COMMENT ON COLUMN newest_polls.label IS 'What the configuration called the session at its newest poll';
COMMENT ON COLUMN newest_polls.last_outcome IS 'Outcome of the newest poll that was not overtaken';
COMMENT ON COLUMN newest_polls.complete_at IS 'Beginning of the newest complete poll; null if there was none';
COMMENT ON COLUMN newest_polls.loaded_at IS 'Beginning of the newest poll that brought something; null if none did';
