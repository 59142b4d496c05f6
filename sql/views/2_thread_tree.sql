CREATE OR REPLACE VIEW thread_tree AS
SELECT
    threads.source,
    threads.session_id,
    threads.thread_id,
    CASE WHEN threads.parent_thread_id IS NULL THEN 0 ELSE parent.depth + 1 END AS depth,
    threads.parent_thread_id IS NOT NULL AND parent.thread_id IS NULL AS is_orphan,
    coalesce(parent.is_in_cycle, FALSE) AS is_in_cycle
FROM threads
LEFT JOIN parent_threads AS parent
    ON parent.source = threads.source
    AND parent.session_id = threads.session_id
    AND parent.thread_id = threads.parent_thread_id;
COMMENT ON VIEW thread_tree IS 'Per thread, its place in the tree of those that created each other.';
COMMENT ON COLUMN thread_tree.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN thread_tree.session_id IS 'Session that was polled';
COMMENT ON COLUMN thread_tree.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN thread_tree.depth IS 'Number of ancestors; null under a parent that was never listed, and in a cycle';
COMMENT ON COLUMN thread_tree.is_orphan IS 'Whether its parent was never listed';
COMMENT ON COLUMN thread_tree.is_in_cycle IS 'Whether its ancestors lead back to themselves';
