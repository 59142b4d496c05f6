-- A thread that went missing while it was open counts until then, and is not completed. One that
-- closed at a time that the server does not say had closed when it was seen so.
CREATE OR REPLACE VIEW thread_intervals AS
SELECT
    source,
    session_id,
    thread_id,
    created_at AS born_at,
    CASE
        WHEN NOT is_open THEN greatest(created_at, coalesce(archived_at, updated_at, last_changed_at))
        WHEN missing_since IS NOT NULL THEN greatest(created_at, missing_since)
    END AS closed_at,
    NOT is_open AS is_completed
FROM threads
WHERE created_at IS NOT NULL;
COMMENT ON VIEW thread_intervals IS 'When each thread was open: from born_at until just before closed_at. Threads without created_at are left out.';
COMMENT ON COLUMN thread_intervals.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN thread_intervals.session_id IS 'Session that was polled';
COMMENT ON COLUMN thread_intervals.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN thread_intervals.born_at IS 'When it was created';
COMMENT ON COLUMN thread_intervals.closed_at IS 'When it closed, or went missing, never before born_at; null while it is open';
COMMENT ON COLUMN thread_intervals.is_completed IS 'Whether it closed; one that is open, or went missing while it was open, did not';
