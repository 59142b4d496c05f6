-- How each session was polled last, and what its object had said before its last complete poll.
SELECT
    source,
    session_id,
    latest.complete_sequence,
    latest.last_outcome,
    epoch_us(latest.complete_at) AS complete_at,
    latest.complete_pages,
    evidence.may_rest,
    evidence.status,
    epoch_us(evidence.updated_at) AS updated_at,
    epoch_us(evidence.archived_at) AS archived_at,
    evidence.tokens,
    suspects.sequence IS NOT NULL AS is_suspect,
    evidence.reading
FROM latest_polls AS latest
LEFT JOIN session_evidence AS evidence USING (source, session_id)
LEFT JOIN (FROM unannounced_changes WHERE missed_sequence IS NULL) AS suspects USING (source, session_id)
