-- How the findings differ from those that were sent.
SELECT
    (SELECT count(*) FROM findings ANTI JOIN sent USING (source, session_id, thread_id, reason)) AS come,
    (SELECT count(*) FROM sent ANTI JOIN findings USING (source, session_id, thread_id, reason)) AS gone
