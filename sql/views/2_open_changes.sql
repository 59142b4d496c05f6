CREATE OR REPLACE VIEW open_changes AS
SELECT source, session_id, born_at AS changed_at, 1::TINYINT AS change, FALSE AS is_completion
FROM thread_intervals
UNION ALL
SELECT source, session_id, closed_at, -1, is_completed
FROM thread_intervals
WHERE closed_at IS NOT NULL;
COMMENT ON VIEW open_changes IS 'Every change of the number of open threads: their sum until an instant is the number then.';
COMMENT ON COLUMN open_changes.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN open_changes.session_id IS 'Session that was polled';
COMMENT ON COLUMN open_changes.changed_at IS 'When a thread was created, closed or went missing';
COMMENT ON COLUMN open_changes.change IS '1 if a thread was created, -1 if it closed or went missing';
COMMENT ON COLUMN open_changes.is_completion IS 'Whether a thread closed';
