-- Most threads were listed by the newest complete poll, or changed in the newest poll of all.
CREATE OR REPLACE VIEW earlier_observations AS
WITH earlier AS (
    SELECT
        source,
        session_id,
        threads.rowid AS thread_row,
        threads.last_changed_at,
        coalesce(threads.missing_since, TIMESTAMPTZ 'infinity') AS missing_since
    FROM threads
    LEFT JOIN latest_polls AS latest USING (source, session_id)
    WHERE threads.missing_since IS NOT NULL
        OR NOT coalesce(
            threads.last_changed_at <= latest.complete_at OR threads.last_changed_at >= latest.loaded_at,
            FALSE
        )
)

SELECT earlier.thread_row, greatest(listing.started_at, change.started_at) AS as_of
FROM earlier
ASOF LEFT JOIN complete_polls AS listing
    ON listing.source = earlier.source
    AND listing.session_id = earlier.session_id
    AND listing.started_at < earlier.missing_since
ASOF LEFT JOIN loaded_polls AS change
    ON change.source = earlier.source
    AND change.session_id = earlier.session_id
    AND change.started_at <= earlier.last_changed_at;
COMMENT ON VIEW earlier_observations IS 'The threads that the newest polls of their session do not speak of: missing ones, and those that an incomplete poll brought.';
COMMENT ON COLUMN earlier_observations.thread_row IS 'rowid of the thread in threads';
COMMENT ON COLUMN earlier_observations.as_of IS 'Beginning of the newest poll that listed it or brought its last change; null if none is known';
