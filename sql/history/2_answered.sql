-- The sessions that were complete once, or of which the server last said that there is none to list.
SELECT source, session_id
FROM latest_polls
WHERE complete_at IS NOT NULL OR last_outcome IN ('gone', 'forbidden')
