-- The changes of which some runs found that nothing was ever said, one of each session.
SELECT missed.source, missed.session_id, missed.thread_id, missed.change, missed.observed_at
FROM unannounced_changes AS missed
JOIN runs ON runs.sequence = missed.missed_sequence
WHERE run_id IN (SELECT unnest(?))
ORDER BY missed.source, missed.session_id
