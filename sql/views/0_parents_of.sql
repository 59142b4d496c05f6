-- Those of some threads that created others of them: few, and any other is one level below its parent. `threads`
-- names what has the columns source, session_id, thread_id, parent_thread_id and thread_row, a number. Whatever
-- holds a thread must hold its parent, or the thread is an orphan.
CREATE OR REPLACE MACRO parents_of(threads) AS TABLE (
    WITH RECURSIVE parents AS MATERIALIZED (
        SELECT
            source,
            session_id,
            thread_id,
            thread_row,
            listed.parent_thread_id,
            named.children
        FROM (
            SELECT source, session_id, parent_thread_id AS thread_id, count(*) AS children
            FROM query_table(threads)
            WHERE parent_thread_id IS NOT NULL
            GROUP BY ALL
        ) AS named
        JOIN query_table(threads) AS listed USING (source, session_id, thread_id)
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
            (SELECT ceil(log2(count(*) + 1)) FROM links) AS rounds
        FROM links
        UNION ALL
        SELECT
            here.thread_row,
            there.ancestor,
            here.distance + CASE WHEN here.ancestor IS NULL THEN 0 ELSE there.distance END,
            here.rounds - 1
        FROM hops AS here
        LEFT JOIN hops AS there ON there.thread_row = here.ancestor
        WHERE here.rounds > 0 AND EXISTS (FROM hops WHERE ancestor IS NOT NULL)
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
    GROUP BY thread_row
);

-- What is wrong with the place of threads in their tree: of those that `threads` names, as above.
CREATE OR REPLACE MACRO places_of(threads) AS TABLE (
    SELECT
        listed.source,
        listed.session_id,
        listed.thread_id,
        listed.parent_thread_id IS NOT NULL AND parent.thread_id IS NULL AS is_orphan,
        coalesce(parent.is_in_cycle, FALSE) AS is_in_cycle
    FROM query_table(threads) AS listed
    LEFT JOIN parents_of(threads) AS parent
        ON parent.source = listed.source
        AND parent.session_id = listed.session_id
        AND parent.thread_id = listed.parent_thread_id
);
