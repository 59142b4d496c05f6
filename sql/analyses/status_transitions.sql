-- answers: What follows what?
-- grain: one row per source, from_status and to_status
-- show: [source, from_status, to_status, transitions, share, n, possibly_missed, p50_seconds_before, p50_seconds_before_low, p50_seconds_before_high]
-- columns:
--   source: name of the source
--   from_status: status that a thread was seen to leave, (none) if the server says none, (other) for all but the known and the 20 most frequent others
--   to_status: status that it was seen in next; the same one if only the stop reason was another
--   transitions: number of times that this was seen
--   share: transitions / n
--   n: number of times that a thread was seen to leave from_status
--   p50_seconds_before: median time, one that was estimated of a thread, in from_status before the transition, as estimated (seconds)
--   p50_seconds_before_low: median of the lower bounds of these times (seconds)
--   p50_seconds_before_high: median of their upper bounds (seconds)
--   p90_seconds_before: 90th percentile of the estimates (seconds)
--   possibly_missed: "upper estimate of how many of them passed through a status that no poll saw. The claim, of at least 95 % of rows: transitions - possibly_missed of them or more were direct, and the time before each of these lies between its bounds"
--   as_of: beginning of the newest poll of the source that brought something, or said that a session is gone (UTC)
--   as_of_oldest: the oldest of such polls, each the newest of its session (UTC)
-- checks:
--   shares_add_up: >-
--     SELECT source, from_status, sum(share) AS total FROM analytics.status_transitions
--     GROUP BY ALL HAVING abs(sum(share) - 1) > 1e-9
--   missed_are_a_part: FROM analytics.status_transitions WHERE possibly_missed > transitions
WITH counts AS (
    -- A spell that one poll alone saw could as well have fallen between two: if such glimpses are
    -- common, unseen spells are too. age: how old the next spell was when first seen, as a share of
    -- the poll gap.
    SELECT
        source,
        coalesce(names.name, '(none)') AS from_status,
        coalesce(next_names.name, '(none)') AS to_status,
        count(*) AS transitions,
        sum(transitions) OVER same_start AS n,
        sum(count_if(seconds_low = 0)) OVER same_start / n AS glimpsed,
        quantile_disc(seconds, [0.5, 0.9]) AS percentiles,
        quantile_disc(seconds_low, 0.5) AS p50_low,
        quantile_disc(seconds_high, 0.5) AS p50_high,
        avg(
            (epoch_us(ended_before) - epoch_us(ended_at))
            / nullif(epoch_us(ended_before) - epoch_us(ended_after), 0)
        ) AS age
    FROM thread_spells
    LEFT JOIN status_names AS names USING (status)
    LEFT JOIN status_names AS next_names ON next_names.status = thread_spells.next_status
    WHERE NOT is_current
    GROUP BY source, from_status, to_status
    WINDOW same_start AS (PARTITION BY source, from_status)
),

-- What hides is a spell after from_status: each glimpse of what follows it is counted twice. What
-- never ends cannot hide, and says nothing; nor does a status that no poll ever saw. And if
-- changes are rarer than polls, a spell is half a gap old when first seen; as far as it is younger,
-- changes are too fast for the polls.
starts AS (
    SELECT
        counts.source,
        counts.from_status,
        2 * coalesce(
            sum(transitions * after.glimpsed) / sum(transitions) FILTER (after.glimpsed IS NOT NULL),
            any_value(counts.glimpsed)
        )
        + greatest(1 - 2 * sum(transitions * coalesce(age, 0)) / sum(transitions), 0) AS missed
    FROM counts
    LEFT JOIN (SELECT DISTINCT source, from_status AS to_status, glimpsed FROM counts) AS after
        USING (source, to_status)
    GROUP BY counts.source, counts.from_status
),

-- A rare pair may be nothing but a common way through a third status that was not seen.
passages AS (
    SELECT
        enters.source,
        enters.from_status,
        leaves.to_status,
        sum(enters.transitions * least(2 * leaves.glimpsed, 1) * leaves.transitions / leaves.n) AS unseen
    FROM counts AS enters
    JOIN counts AS leaves ON leaves.source = enters.source AND leaves.from_status = enters.to_status
    WHERE enters.from_status <> enters.to_status AND leaves.from_status <> leaves.to_status
    GROUP BY enters.source, enters.from_status, leaves.to_status
)

SELECT
    source,
    from_status,
    to_status,
    transitions,
    transitions / n AS share,
    n::BIGINT AS n,
    percentiles[1] AS p50_seconds_before,
    p50_low AS p50_seconds_before_low, p50_high AS p50_seconds_before_high,
    percentiles[2] AS p90_seconds_before,
    CASE
        WHEN from_status = to_status THEN transitions
        ELSE least(poisson_upper(transitions * least(missed, 1) + coalesce(unseen, 0)), transitions)
    END::BIGINT AS possibly_missed,
    as_of, as_of_oldest
FROM counts
JOIN starts USING (source, from_status)
LEFT JOIN passages USING (source, from_status, to_status)
JOIN source_as_of USING (source)
ORDER BY source, from_status, transitions DESC, to_status
