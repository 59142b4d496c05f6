CREATE OR REPLACE TEMP TABLE session_news (
    source VARCHAR,
    session_id VARCHAR,
    changes BIGINT,
    late_archivals BIGINT,
    thread_id VARCHAR,
    change VARCHAR,
    observed_at TIMESTAMPTZ
);
