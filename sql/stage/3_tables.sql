-- What look-ups of threads that were not listed have answered: 200, or 404 for one that is gone.
CREATE OR REPLACE TEMP TABLE incoming_lookups (
    source VARCHAR,
    session_id VARCHAR,
    thread_id VARCHAR,
    status SMALLINT
);

-- The threads that came as they are known, and as of when their growing numbers are stored.
CREATE OR REPLACE TEMP TABLE incoming_seen (
    source VARCHAR,
    session_id VARCHAR,
    digest BIGINT,
    growing_since TIMESTAMPTZ
);

-- The others.
CREATE OR REPLACE TEMP TABLE incoming_threads AS
SELECT
    NULL::TIMESTAMPTZ AS observed_at,
    NULL::VARCHAR AS growing,
    * EXCLUDE (
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_amount, cost_currency,
        first_seen_at, last_changed_at, last_changed_sequence, missing_since, missing_sequence, grows
    )
FROM threads
LIMIT 0;
