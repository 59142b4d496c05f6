-- The last complete poll of each session.
SELECT source, session_id, max(sequence) AS sequence
FROM complete_polls
GROUP BY source, session_id
