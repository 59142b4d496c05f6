-- What the sessions' objects said before this run's first request, beside what they had said before the
-- last complete poll: of sessions that were listed whole, and of suspects.
CREATE OR REPLACE TEMP TABLE tested AS
SELECT
    came.*,
    known.may_rest AS might_rest,
    known.announced_sequence,
    (came.status, came.updated_at, came.archived_at, came.tokens)
    IS NOT DISTINCT FROM (known.status, known.updated_at, known.archived_at, known.tokens) AS is_same,
    suspects.sequence AS suspected,
    polls.session_id IS NOT NULL AS is_listed,
    coalesce(news.changes, 0) AS changes,
    CASE
        WHEN polls.session_id IS NULL OR NOT coalesce(known.may_rest, FALSE) THEN NULL
        WHEN news.changes > 0 THEN if(is_same, 'suspect', 'announced')
        WHEN is_same THEN if(news.late_archivals > 0, 'late_archival', 'quiet_unchanged')
    END AS kind
FROM landed_evidence AS came
SEMI JOIN (FROM registry_sources WHERE NOT is_overtaken) AS current_sources USING (source)
LEFT JOIN session_evidence AS known USING (source, session_id)
LEFT JOIN (FROM unannounced_changes WHERE missed_sequence IS NULL) AS suspects USING (source, session_id)
LEFT JOIN (FROM incoming_polls WHERE is_complete_poll(outcome, status_filter)) AS polls USING (source, session_id)
LEFT JOIN session_news AS news USING (source, session_id)
WHERE polls.session_id IS NOT NULL OR suspects.sequence IS NOT NULL;

INSERT INTO evidence_trials BY NAME
SELECT landed_run.run_id, kinds.source, kinds.kind, count(*) AS count
FROM (
    SELECT source, kind FROM tested WHERE kind <> 'suspect'
    UNION ALL
    SELECT source, 'missed' FROM tested WHERE suspected IS NOT NULL AND is_same
) AS kinds
CROSS JOIN landed_run
GROUP BY ALL
ORDER BY ALL;

-- Evidence may lag, and what changes while a session is listed comes too late for its object: a suspect
-- is a miss only if nothing is said in the next run either.
DELETE FROM unannounced_changes
USING tested
WHERE unannounced_changes.missed_sequence IS NULL
    AND tested.suspected IS NOT NULL
    AND NOT tested.is_same
    AND tested.source = unannounced_changes.source
    AND tested.session_id = unannounced_changes.session_id;

UPDATE unannounced_changes
SET missed_sequence = landed_run.sequence
FROM tested
CROSS JOIN landed_run
WHERE unannounced_changes.missed_sequence IS NULL
    AND tested.source = unannounced_changes.source
    AND tested.session_id = unannounced_changes.session_id;

INSERT INTO unannounced_changes BY NAME
SELECT
    tested.source,
    tested.session_id,
    news.thread_id,
    news.change,
    landed_run.sequence,
    news.observed_at
FROM tested
JOIN session_news AS news USING (source, session_id)
CROSS JOIN landed_run
WHERE tested.kind = 'suspect'
ORDER BY tested.source, tested.session_id;

CREATE OR REPLACE TEMP TABLE new_evidence AS
SELECT
    source,
    session_id,
    status,
    updated_at,
    archived_at,
    tokens,
    may_rest,
    reading,
    CASE WHEN kind = 'announced' THEN landed_run.sequence ELSE announced_sequence END AS announced_sequence
FROM tested
CROSS JOIN landed_run
WHERE is_listed
EXCEPT
FROM session_evidence;

DELETE FROM session_evidence
USING new_evidence
WHERE new_evidence.source = session_evidence.source
    AND new_evidence.session_id = session_evidence.session_id;

INSERT INTO session_evidence BY NAME
FROM new_evidence
ORDER BY source, session_id;
