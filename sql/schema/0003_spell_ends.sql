-- A spell's end stands beside its beginning: no reader has to look the next spell up.
ALTER TABLE thread_status_history ADD COLUMN ended_after TIMESTAMPTZ;
ALTER TABLE thread_status_history ADD COLUMN ended_at TIMESTAMPTZ;
ALTER TABLE thread_status_history ADD COLUMN next_status VARCHAR;
COMMENT ON COLUMN thread_status_history.ended_after IS 'changed_after of the next spell; null for the current one. The spell ended after it, and by ended_by';
COMMENT ON COLUMN thread_status_history.ended_at IS 'changed_at of the next spell, the best estimate of when this one ended; null for the current one';
COMMENT ON COLUMN thread_status_history.next_status IS 'Status of the next spell; null for the current one';

UPDATE thread_status_history
SET ended_after = next.changed_after, ended_at = next.changed_at, next_status = next.status
FROM thread_status_history AS next
WHERE next.source = thread_status_history.source
    AND next.session_id = thread_status_history.session_id
    AND next.thread_id = thread_status_history.thread_id
    AND next.spell = thread_status_history.spell + 1;
