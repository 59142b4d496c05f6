-- Most threads were listed by the newest complete poll, or changed in the newest poll of all.
CREATE OR REPLACE VIEW earlier_observations AS
WITH earlier AS (
    SELECT
        source,
        session_id,
        threads.rowid AS thread_row,
        threads.last_changed_sequence,
        coalesce(threads.missing_sequence, 9_223_372_036_854_775_807) AS missing_sequence
    FROM threads
    LEFT JOIN latest_polls AS latest USING (source, session_id)
    WHERE threads.missing_sequence IS NOT NULL
        OR NOT coalesce(
            threads.last_changed_sequence <= latest.complete_sequence
            OR threads.last_changed_sequence >= latest.loaded_sequence,
            FALSE
        )
)

SELECT
    earlier.thread_row,
    CASE WHEN listing.sequence > change.sequence THEN listing.started_at
        ELSE coalesce(change.started_at, listing.started_at)
    END AS as_of
FROM earlier
ASOF LEFT JOIN complete_polls AS listing
    ON listing.source = earlier.source
    AND listing.session_id = earlier.session_id
    AND listing.sequence < earlier.missing_sequence
LEFT JOIN loaded_polls AS change
    ON change.source = earlier.source
    AND change.session_id = earlier.session_id
    AND change.sequence = earlier.last_changed_sequence;
COMMENT ON VIEW earlier_observations IS 'The threads that the newest polls of their session do not speak of: missing ones, and those that an incomplete poll brought.';
COMMENT ON COLUMN earlier_observations.thread_row IS 'rowid of the thread in threads';
COMMENT ON COLUMN earlier_observations.as_of IS 'Beginning of the newest poll that listed it or brought its last change; null if none is known';
