CREATE OR REPLACE VIEW complete_polls AS
SELECT run_id, sequence, source, session_id, started_at, finished_at
FROM session_polls
WHERE is_complete_poll(outcome, status_filter);
COMMENT ON VIEW complete_polls IS 'The polls that listed all threads of their session: outcome complete, and no status_filter.';
COMMENT ON COLUMN complete_polls.run_id IS 'Run of the job';
COMMENT ON COLUMN complete_polls.sequence IS 'Place of the run among all';
COMMENT ON COLUMN complete_polls.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN complete_polls.session_id IS 'Session that was polled';
COMMENT ON COLUMN complete_polls.started_at IS 'Client clock: before the first request';
COMMENT ON COLUMN complete_polls.finished_at IS 'Client clock: after the last answer';
