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
    coalesce(landed_digests.repeats, FALSE) AS repeats
FROM landed_polls
CROSS JOIN landed_run
LEFT JOIN (FROM landed_digests WHERE endpoint = 'threads') AS landed_digests USING (source, session_id)
LEFT JOIN latest USING (source, session_id)
WHERE NOT EXISTS (
    FROM session_polls AS known
    WHERE known.run_id = landed_run.run_id
        AND known.source = landed_polls.source
        AND known.session_id = landed_polls.session_id
);

-- What look-ups of threads that were not listed have answered: 200, or 404 for one that is gone.
CREATE OR REPLACE TEMP TABLE incoming_lookups (
    source VARCHAR,
    session_id VARCHAR,
    thread_id VARCHAR,
    status SMALLINT
);

CREATE OR REPLACE TEMP TABLE incoming_threads AS
SELECT
    NULL::TIMESTAMPTZ AS observed_at,
    NULL::VARCHAR AS growing,
    * EXCLUDE (
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_amount, cost_currency,
        first_seen_at, last_changed_at, last_changed_sequence, missing_since, missing_sequence
    )
FROM threads
LIMIT 0;
