-- answers: What follows what?
-- grain: one row per source, from_status and to_status
-- columns:
--   source: name of the source
--   from_status: status that a thread was seen to leave, (none) where the server says none
--   to_status: status that it was seen in next; the same one where only the stop reason was another
--   transitions: number of times that this was seen
--   share: transitions / n
--   n: number of times that a thread was seen to leave from_status
--   p50_seconds_before: median time in from_status before the transition, as estimated (seconds)
--   p50_seconds_before_low: median of the lower bounds of these times (seconds)
--   p50_seconds_before_high: median of their upper bounds (seconds)
--   p90_seconds_before: 90th percentile of the estimates (seconds)
--   possibly_missed: number of these transitions between which and the last poll before another status may have come and gone unseen, because that poll gap exceeded the spell
--   as_of: beginning of the newest poll of the source (UTC)
-- needs: [session_polls, thread_spells]
-- checks:
--   shares_add_up: >-
--     SELECT source, from_status, sum(share) AS total FROM analytics.status_transitions
--     GROUP BY ALL HAVING abs(sum(share) - 1) > 1e-9
--   missed_are_a_part: FROM analytics.status_transitions WHERE possibly_missed > transitions
WITH ended AS (
    SELECT
        source,
        coalesce(status, '(none)') AS from_status,
        coalesce(next_status, '(none)') AS to_status,
        seconds,
        seconds_low,
        seconds_high,
        (epoch_us(ended_by) - epoch_us(ended_after)) / 1e6 AS gap_seconds
    FROM thread_spells
    WHERE NOT is_current
),

counts AS (
    SELECT
        source,
        from_status,
        to_status,
        count(*) AS transitions,
        quantile_cont(seconds, [0.5, 0.9]) AS percentiles,
        median(seconds_low) AS seconds_low,
        median(seconds_high) AS seconds_high,
        count_if(gap_seconds > seconds OR from_status = to_status) AS possibly_missed
    FROM ended
    GROUP BY source, from_status, to_status
),

newest AS (
    SELECT source, max(started_at) AS as_of
    FROM session_polls
    GROUP BY source
)

SELECT
    counts.source,
    counts.from_status,
    counts.to_status,
    counts.transitions,
    counts.transitions / sum(counts.transitions) OVER same_start AS share,
    (sum(counts.transitions) OVER same_start)::BIGINT AS n,
    counts.percentiles[1] AS p50_seconds_before,
    counts.seconds_low AS p50_seconds_before_low,
    counts.seconds_high AS p50_seconds_before_high,
    counts.percentiles[2] AS p90_seconds_before,
    counts.possibly_missed,
    newest.as_of
FROM counts
JOIN newest USING (source)
WINDOW same_start AS (PARTITION BY counts.source, counts.from_status)
ORDER BY counts.source, counts.from_status, transitions DESC, counts.to_status
