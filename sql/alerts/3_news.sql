-- The findings that were not sent, sessions first: without their polls the rest is old.
SELECT *
FROM findings
ANTI JOIN sent USING (source, session_id, thread_id, reason)
ORDER BY
    thread_id <> '',
    CASE severity WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END,
    reason = 'gave_up',
    quiet_seconds DESC NULLS LAST,
    source,
    session_id,
    thread_id
LIMIT 10
