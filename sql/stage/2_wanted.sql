-- The sessions whose threads are read: overtaken polls, and those that bring no news, are not.
SELECT source, session_id
FROM incoming_polls
WHERE outcome <> 'overtaken' AND NOT repeats AND pages > 0;
