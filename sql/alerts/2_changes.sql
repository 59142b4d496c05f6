-- How the findings differ from those that were told.
SELECT
    (SELECT count(*) FROM findings ANTI JOIN told USING (source, session_id, thread_id, reason)) AS come,
    (SELECT count(*) FROM told ANTI JOIN findings USING (source, session_id, thread_id, reason)) AS gone
