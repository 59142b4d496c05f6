CREATE OR REPLACE VIEW latest_polls AS
SELECT
    source,
    session_id,
    coalesce(arg_max(polls.label, sequence), any_value(title)) AS label,
    arg_max(outcome, sequence) FILTER (outcome <> 'overtaken' AND status_filter IS NULL)
    AS last_outcome,
    arg_min(started_at, sequence) FILTER (is_loaded_poll(outcome, pages)) AS first_loaded_at,
    arg_max(started_at, sequence) FILTER (is_complete_poll(outcome, status_filter)) AS complete_at,
    arg_max(pages, sequence) FILTER (is_complete_poll(outcome, status_filter)) AS complete_pages,
    max(sequence) FILTER (is_complete_poll(outcome, status_filter)) AS complete_sequence,
    arg_max(started_at, sequence) FILTER (is_loaded_poll(outcome, pages)) AS loaded_at,
    max(sequence) FILTER (is_loaded_poll(outcome, pages)) AS loaded_sequence
FROM session_polls AS polls
LEFT JOIN (SELECT source, session_id, title FROM sessions) AS registry USING (source, session_id)
GROUP BY source, session_id;
COMMENT ON VIEW latest_polls IS 'Per session that was ever polled, its newest poll of each kind: the one with the highest sequence.';
COMMENT ON COLUMN latest_polls.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN latest_polls.session_id IS 'Session that was polled';
COMMENT ON COLUMN latest_polls.label IS 'What the configuration called the session at the newest poll that gave it a label, else the title that the server gives it';
COMMENT ON COLUMN latest_polls.last_outcome IS 'Outcome of the newest poll that was not overtaken or filtered; null if there was none';
COMMENT ON COLUMN latest_polls.first_loaded_at IS 'Beginning of the first poll that brought something; null if none did';
COMMENT ON COLUMN latest_polls.complete_at IS 'Beginning of the newest complete poll; null if there was none';
COMMENT ON COLUMN latest_polls.complete_pages IS 'Pages that it brought';
COMMENT ON COLUMN latest_polls.complete_sequence IS 'Place of its run among all';
COMMENT ON COLUMN latest_polls.loaded_at IS 'Beginning of the newest poll that brought something; null if none did';
COMMENT ON COLUMN latest_polls.loaded_sequence IS 'Place of its run among all';
