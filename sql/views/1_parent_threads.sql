-- Few threads are parents: only these are looked up, and any other is one level below its own.
CREATE OR REPLACE VIEW parent_threads AS
WITH RECURSIVE parents AS MATERIALIZED (
    SELECT
        source,
        session_id,
        thread_id,
        threads.rowid AS thread_row,
        threads.parent_thread_id,
        named.children
    FROM (
        SELECT source, session_id, parent_thread_id AS thread_id, count(*) AS children
        FROM threads
        WHERE parent_thread_id IS NOT NULL
        GROUP BY ALL
    ) AS named
    JOIN threads USING (source, session_id, thread_id)
),

links AS MATERIALIZED (
    SELECT child.thread_row, child.parent_thread_id, parent.thread_row AS parent_row
    FROM parents AS child
    LEFT JOIN parents AS parent
        ON parent.source = child.source
        AND parent.session_id = child.session_id
        AND parent.thread_id = child.parent_thread_id
),

-- Each round doubles how far a thread has come: as many as a depth has bits, however deep the tree.
-- Below an orphan the depth is null; in a cycle there is always another ancestor.
hops AS (
    SELECT
        thread_row,
        parent_row AS ancestor,
        CASE WHEN parent_row IS NOT NULL THEN 1 WHEN parent_thread_id IS NULL THEN 0 END AS distance,
        0 AS round
    FROM links
    UNION ALL
    SELECT
        here.thread_row,
        there.ancestor,
        here.distance + CASE WHEN here.ancestor IS NULL THEN 0 ELSE there.distance END,
        here.round + 1
    FROM hops AS here
    LEFT JOIN hops AS there ON there.thread_row = here.ancestor
    WHERE here.round < (SELECT ceil(log2(count(*) + 1)) FROM links)
        AND EXISTS (FROM hops WHERE ancestor IS NOT NULL)
),

descent AS (
    SELECT thread_row, distance AS depth
    FROM hops
    WHERE ancestor IS NULL
)

-- One row each; grouped, for how many groups there are DuckDB guesses well, and recursions badly.
SELECT
    thread_row,
    any_value(parents.source) AS source,
    any_value(parents.session_id) AS session_id,
    any_value(parents.thread_id) AS thread_id,
    any_value(parents.children) AS children,
    any_value(descent.depth) AS depth,
    count(descent.thread_row) = 0 AS is_in_cycle
FROM parents
LEFT JOIN descent USING (thread_row)
GROUP BY thread_row;
COMMENT ON VIEW parent_threads IS 'The threads that created others.';
COMMENT ON COLUMN parent_threads.thread_row IS 'rowid of the thread in threads';
COMMENT ON COLUMN parent_threads.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN parent_threads.session_id IS 'Session that was polled';
COMMENT ON COLUMN parent_threads.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN parent_threads.children IS 'Number of threads that it created itself';
COMMENT ON COLUMN parent_threads.depth IS 'Number of its ancestors; null below a parent that was never listed, and in a cycle';
COMMENT ON COLUMN parent_threads.is_in_cycle IS 'Whether its ancestors lead back to themselves';
