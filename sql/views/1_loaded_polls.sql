CREATE OR REPLACE VIEW loaded_polls AS
SELECT run_id, sequence, source, session_id, started_at, finished_at
FROM session_polls
WHERE is_loaded_poll(outcome, pages);
COMMENT ON VIEW loaded_polls IS 'The polls that brought pages and were not overtaken by a later one: what they showed is in threads.';
COMMENT ON COLUMN loaded_polls.run_id IS 'Run of the job';
COMMENT ON COLUMN loaded_polls.sequence IS 'Place of the run among all';
COMMENT ON COLUMN loaded_polls.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN loaded_polls.session_id IS 'Session that was polled';
COMMENT ON COLUMN loaded_polls.started_at IS 'Client clock: before the first request';
COMMENT ON COLUMN loaded_polls.finished_at IS 'Client clock: after the last answer';
