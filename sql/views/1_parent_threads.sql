CREATE OR REPLACE VIEW parent_threads AS
WITH listed AS (
    SELECT source, session_id, thread_id, parent_thread_id, rowid AS thread_row
    FROM threads
)

FROM parents_of('listed');
COMMENT ON VIEW parent_threads IS 'The threads that created others.';
COMMENT ON COLUMN parent_threads.thread_row IS 'rowid of the thread in threads';
COMMENT ON COLUMN parent_threads.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN parent_threads.session_id IS 'Session that was polled';
COMMENT ON COLUMN parent_threads.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN parent_threads.children IS 'Number of threads that it created itself';
COMMENT ON COLUMN parent_threads.depth IS 'Number of its ancestors; null below a parent that was never listed, and in a cycle';
COMMENT ON COLUMN parent_threads.is_in_cycle IS 'Whether its ancestors lead back to themselves';
