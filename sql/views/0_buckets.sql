-- Spans of time that people count in, from a minute on: the smallest of which at most so many fill a time.
CREATE OR REPLACE MACRO bucket_seconds(span_seconds, most) AS
list_min(
    list_filter(
        [60, 300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800]
        || [2592000 * 2 ** doubled FOR doubled IN range(12)],
        lambda width: span_seconds <= width * most
    )
)::BIGINT;

-- The beginning of the span that an instant lies in.
CREATE OR REPLACE MACRO bucket_start(instant, width_seconds) AS
to_timestamp((epoch_us(instant) // 1_000_000 // width_seconds * width_seconds)::DOUBLE);
