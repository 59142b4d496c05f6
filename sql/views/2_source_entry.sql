-- A thread that never changed since it was first seen closed had closed before.
CREATE OR REPLACE VIEW source_entry AS
SELECT
    source,
    count(*) FILTER (
        NOT is_open
        AND last_changed_at = first_seen_at
        AND coalesce(archived_at, updated_at) < first_loaded_at
    ) AS closed_before,
    count(*) FILTER (created_at < first_loaded_at) AS created_before,
    closed_before = 0 AS is_delayed
FROM threads
JOIN latest_polls USING (source, session_id)
GROUP BY source;
COMMENT ON VIEW source_entry IS 'Per source, whether its first polls listed threads that had closed before. If not, those that live short are not among the threads created before, and each of these counts from the age that it had at that poll (delayed entry).';
COMMENT ON COLUMN source_entry.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN source_entry.closed_before IS 'Number of threads that had closed before the first poll of their session';
COMMENT ON COLUMN source_entry.created_before IS 'Number of threads that were created before it';
COMMENT ON COLUMN source_entry.is_delayed IS 'Whether threads enter at the age that they had at the first poll of their session; if not, at their birth';
