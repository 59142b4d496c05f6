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
--   possibly_missed: "upper estimate of how many of them passed through a status that no poll saw. The claim, of at least 95 % of rows: transitions - possibly_missed of them or more were direct, and the time before each of these lies between its bounds"
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
        (epoch_us(ended_by) - epoch_us(ended_at)) / nullif(epoch_us(ended_by) - epoch_us(ended_after), 0) AS age
    FROM thread_spells
    WHERE NOT is_current
),

-- age: how old the next spell was when first seen, as a share of the poll gap.
counts AS (
    SELECT
        source,
        from_status,
        to_status,
        count(*) AS transitions,
        quantile_cont(seconds, [0.5, 0.9]) AS percentiles,
        median(seconds_low) AS seconds_low,
        median(seconds_high) AS seconds_high,
        count_if(seconds_low = 0) AS glimpses,
        coalesce(avg(age), 0) AS age
    FROM ended
    GROUP BY source, from_status, to_status
),

-- A spell that one poll alone saw could as well have fallen between two: where such glimpses are
-- common, unseen spells are too.
glimpsed AS (
    SELECT source, from_status AS status, sum(glimpses) / sum(transitions) AS glimpsed
    FROM counts
    GROUP BY source, from_status
),

-- What hides is a spell after from_status: each glimpse of what follows it is counted twice. And
-- where changes are rarer than polls, a spell is half a gap old when first seen; as far as it is
-- younger, changes are too fast for the polls.
starts AS (
    SELECT
        counts.source,
        counts.from_status,
        sum(counts.transitions) AS n,
        2 * sum(counts.transitions * coalesce(glimpsed.glimpsed, 0)) / sum(counts.transitions)
        + greatest(1 - 2 * sum(counts.transitions * counts.age) / sum(counts.transitions), 0) AS missed
    FROM counts
    LEFT JOIN glimpsed ON glimpsed.source = counts.source AND glimpsed.status = counts.to_status
    GROUP BY counts.source, counts.from_status
),

-- A rare pair may be nothing but a common way through a third status that was not seen.
passages AS (
    SELECT
        enters.source,
        enters.from_status,
        leaves.to_status,
        sum(enters.transitions * least(2 * glimpsed.glimpsed, 1) * leaves.transitions / starts.n) AS unseen
    FROM counts AS enters
    JOIN glimpsed ON glimpsed.source = enters.source AND glimpsed.status = enters.to_status
    JOIN starts ON starts.source = enters.source AND starts.from_status = enters.to_status
    JOIN counts AS leaves ON leaves.source = enters.source AND leaves.from_status = enters.to_status
    WHERE enters.from_status <> enters.to_status AND leaves.from_status <> leaves.to_status
    GROUP BY enters.source, enters.from_status, leaves.to_status
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
    counts.transitions / starts.n AS share,
    starts.n::BIGINT AS n,
    counts.percentiles[1] AS p50_seconds_before,
    counts.seconds_low AS p50_seconds_before_low,
    counts.seconds_high AS p50_seconds_before_high,
    counts.percentiles[2] AS p90_seconds_before,
    CASE
        WHEN counts.from_status = counts.to_status THEN counts.transitions
        ELSE least(
            ceil(counts.transitions * least(starts.missed, 1) + coalesce(passages.unseen, 0)),
            counts.transitions
        )::BIGINT
    END AS possibly_missed,
    newest.as_of
FROM counts
JOIN newest USING (source)
JOIN starts USING (source, from_status)
LEFT JOIN passages USING (source, from_status, to_status)
ORDER BY counts.source, counts.from_status, transitions DESC, counts.to_status
