-- A thread that several batches list is kept as of its newest updated_at; of equal ones the last.
DELETE FROM incoming_threads
WHERE rowid IN (
    SELECT rowid
    FROM incoming_threads
    SEMI JOIN (FROM incoming_polls WHERE duplicates > 0) AS polls USING (source, session_id)
    QUALIFY row_number() OVER (
        PARTITION BY source, session_id, thread_id
        ORDER BY updated_at DESC NULLS LAST, rowid DESC
    ) > 1
);
