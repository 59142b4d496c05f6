-- How many sessions rested in some runs.
SELECT coalesce(sum(sessions_resting), 0)::BIGINT
FROM source_polls
WHERE run_id IN (SELECT unnest(?))
