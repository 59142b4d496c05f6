-- A clock may have said any year. No poll is much later than the newest, nor, unless the server's clock
-- says so, earlier than the first birth; and nothing is older than ten years.
CREATE OR REPLACE VIEW polled_hours AS
WITH births AS (
    SELECT source, time_bucket(INTERVAL 1 HOUR, min(created_at)) AS hour
    FROM threads
    GROUP BY source
),

polls AS (
    SELECT
        source,
        time_bucket(INTERVAL 1 HOUR, started_at) AS hour,
        clock_skew_seconds IS NOT NULL AS is_proven,
        greatest(started_at, finished_at) AS ended_at,
        arg_max(ended_at, (sequence, ended_at)) OVER (PARTITION BY source) AS newest_at
    FROM session_polls
    WHERE outcome <> 'overtaken'
)

SELECT
    source,
    time_bucket(INTERVAL 1 HOUR, max(ended_at) FILTER (ended_at <= newest_at + INTERVAL 1 DAY)) AS last_hour,
    least(
        last_hour,
        greatest(
            last_hour - INTERVAL 87660 HOUR,
            least(
                min(polls.hour) FILTER (is_proven),
                greatest(min(polls.hour), any_value(births.hour))
            )
        )
    ) AS first_hour,
    least(first_hour, greatest(first_hour - INTERVAL 31 DAY, any_value(births.hour))) AS dated_hour
FROM polls
LEFT JOIN births USING (source)
GROUP BY source;
COMMENT ON VIEW polled_hours IS 'Per source that was ever polled, the hours that its polls can speak of.';
COMMENT ON COLUMN polled_hours.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN polled_hours.last_hour IS 'Beginning of the hour in which its newest poll ended';
COMMENT ON COLUMN polled_hours.first_hour IS 'Beginning of the hour of its first poll';
COMMENT ON COLUMN polled_hours.dated_hour IS 'Beginning of the hour of the first birth of a thread, 31 days before first_hour at most; first_hour if none was born before';
