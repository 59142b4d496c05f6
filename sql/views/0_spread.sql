-- When something happened that nobody saw. Of one thread the middle of what is possible is as good as
-- any time; of many threads it would be a pulse in the middle between any two polls, so that curves
-- were flat between. In a curve each has its own place between the bounds, all equally probable: by its
-- id, so that it is the same again tomorrow.
CREATE OR REPLACE MACRO spread_between(low, high, id) AS
low + (high - low) * ((md5_number_lower(id) >> 12)::DOUBLE + 0.5) / 4_503_599_627_370_496;

-- What kaplan_meier reads of threads: `durations` names rows of thread_durations. All their columns, those
-- that vanished at the age that they have in a curve.
CREATE OR REPLACE MACRO curve_lifetimes(durations) AS TABLE (
    SELECT
        * REPLACE (
            CASE WHEN basis <> 'vanished' THEN elapsed_seconds ELSE spread_between(
                elapsed_low, elapsed_high, concat_ws('/', source, session_id, thread_id)
            ) END AS elapsed_seconds
        ),
        basis = 'vanished' AS is_vanished
    FROM query_table(durations)
    WHERE elapsed_seconds IS NOT NULL
);
