-- A number between 0 and 1, all equally probable, and the same whenever an id is asked for it.
CREATE OR REPLACE MACRO place_of(id) AS
((md5_number_lower(id) >> 12)::DOUBLE + 0.5) / 4_503_599_627_370_496;

-- When something happened that nobody saw. Of one thread the middle of what is possible is as good as any
-- time; of many threads it would be a pulse in the middle between any two polls, so that curves were flat
-- between. In a curve each has another `place` (0 to 1) between the bounds, by its id, so that it is the same
-- again tomorrow: as likely to close at any instant as the others of its source, at `rate` a second.
CREATE OR REPLACE MACRO spread_between(low, high, place, rate) AS
low + CASE
    WHEN rate * (high - low) > 1e-4 THEN -ln(1 - place * (1 - exp(-rate * (high - low)))) / rate
    ELSE place * (high - low)
END;

-- What curves are made of: `durations` names rows of thread_durations, each the `piece` (from 0 on) of so many
-- equal `pieces` of a thread. All their columns, those that vanished at the age that they have in a curve:
-- each piece elsewhere between the bounds.
CREATE OR REPLACE MACRO curve_lifetimes(durations) AS TABLE (
    WITH rates AS (
        SELECT source, count_if(NOT is_censored) / sum(elapsed_seconds::DECIMAL(18, 6))::DOUBLE AS rate
        FROM query_table(durations)
        WHERE piece = 0
        GROUP BY source
        HAVING bool_or(basis = 'vanished')
    )

    SELECT
        * EXCLUDE (rate) REPLACE (
            CASE WHEN basis = 'vanished' AND elapsed_high > elapsed_low THEN spread_between(
                elapsed_low,
                elapsed_high,
                (piece + place_of(concat_ws('/', source, session_id, thread_id))) / pieces,
                rate
            ) ELSE elapsed_seconds END AS elapsed_seconds
        ),
        basis = 'vanished' AS is_vanished
    FROM query_table(durations)
    LEFT JOIN rates USING (source)
    WHERE elapsed_seconds IS NOT NULL
);
