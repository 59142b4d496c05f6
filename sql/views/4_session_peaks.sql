-- To sort by numbers is much faster than by strings.
CREATE OR REPLACE VIEW session_peaks AS
WITH sessions AS (
    SELECT source, session_id, row_number() OVER ()::INTEGER AS session
    FROM latest_polls
),

counted AS (
    SELECT
        sessions.session,
        sum(changes.change::DOUBLE) OVER (
            PARTITION BY sessions.session
            ORDER BY changes.changed_at, changes.change
            ROWS UNBOUNDED PRECEDING
        ) AS open
    FROM open_changes AS changes
    JOIN sessions USING (source, session_id)
)

SELECT sessions.source, sessions.session_id, peaks.peak::BIGINT AS peak_concurrency
FROM sessions
JOIN (
    SELECT session, max(open) AS peak
    FROM counted
    GROUP BY session
) AS peaks USING (session);
COMMENT ON VIEW session_peaks IS 'Per session that has a thread, how many were open at once.';
COMMENT ON COLUMN session_peaks.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN session_peaks.session_id IS 'Session that was polled';
COMMENT ON COLUMN session_peaks.peak_concurrency IS 'Largest number of threads open at one time';
