-- A number for a thread: it is found by it much faster than by three strings. That two of a million have
-- the same one has a chance of 3 in 100 million.
CREATE OR REPLACE MACRO thread_key(source, session_id, thread_id) AS
hash(source, session_id, thread_id);
