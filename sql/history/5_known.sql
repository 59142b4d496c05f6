-- The threads of each session that are not missing, by the run that looked each up last; but not the
-- closed ones that were looked up since they left the list: no news is to be had of them.
SELECT
    threads.source,
    threads.session_id,
    to_json(list(threads.thread_id) FILTER (unseen.looked_up IS NULL))::VARCHAR AS never,
    to_json(
        list(threads.thread_id ORDER BY unseen.looked_up, random()) FILTER (unseen.looked_up IS NOT NULL)
    )::VARCHAR AS once
FROM threads
LEFT JOIN spells_unseen AS unseen USING (source, session_id, thread_id)
WHERE threads.missing_since IS NULL AND (threads.is_open OR unseen.looked_up IS NULL)
GROUP BY threads.source, threads.session_id
