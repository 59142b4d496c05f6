-- The polls of this run that the ledger does not hold yet. One whose run comes
-- before that of the latest loaded poll of its session is too late: it is recorded as overtaken and
-- changes nothing.
CREATE OR REPLACE TEMP TABLE incoming_polls AS
WITH latest AS (
    SELECT source, session_id, max(sequence) AS sequence
    FROM session_polls
    GROUP BY ALL
)
SELECT
    landed_run.run_id,
    landed_run.sequence,
    landed_polls.* REPLACE (
        CASE WHEN latest.sequence >= landed_run.sequence THEN 'overtaken' ELSE landed_polls.outcome END
        AS outcome
    ),
    landed_digests.digest,
    coalesce(landed_digests.repeats, FALSE) AS repeats,
    -- Its threads are read: neither an overtaken poll nor one that repeats what is known brings news.
    pages > 0 AND landed_digests.repeats IS NOT TRUE AND coalesce(latest.sequence < landed_run.sequence, TRUE) AS is_read,
    0::BIGINT AS threads_new,
    0::BIGINT AS threads_changed,
    CASE
        WHEN landed_digests.repeats AND coalesce(latest.sequence < landed_run.sequence, TRUE) THEN landed_polls.threads_listed
        ELSE 0
    END AS threads_unchanged,
    0::BIGINT AS threads_missing,
    0::BIGINT AS threads_regressed
FROM landed_polls
CROSS JOIN landed_run
LEFT JOIN (FROM landed_digests WHERE endpoint = 'threads') AS landed_digests USING (source, session_id)
LEFT JOIN latest USING (source, session_id)
ANTI JOIN (FROM session_polls SEMI JOIN landed_run USING (run_id, sequence)) AS known
    USING (source, session_id);
