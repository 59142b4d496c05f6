-- A status is any text a server sends. What grows faster than their number, such as pairs of them, or
-- statuses in every hour, is of these names: the known statuses, the 20 most frequent others, and (other).
CREATE OR REPLACE VIEW status_names AS
SELECT
    status,
    CASE
        WHEN is_known OR row_number() OVER (PARTITION BY is_known ORDER BY spells DESC, status) <= 20
            THEN status
        ELSE '(other)'
    END AS name
FROM (
    SELECT history.status, statuses.status IS NOT NULL AS is_known, count(*) AS spells
    FROM thread_status_history AS history
    LEFT JOIN statuses USING (status)
    WHERE history.status IS NOT NULL
    GROUP BY ALL
) AS seen;
COMMENT ON VIEW status_names IS 'What the analyses call each status that a thread ever had: the known ones and the 20 most frequent others as the server does, all the rest (other). No status at all is called (none), and has no row.';
COMMENT ON COLUMN status_names.status IS 'Status, verbatim';
COMMENT ON COLUMN status_names.name IS 'The status, or (other)';
