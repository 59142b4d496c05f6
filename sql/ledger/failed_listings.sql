-- The sources whose sessions could not be listed to the end in some runs.
SELECT run_id, source, outcome, error_type, error_message
FROM source_polls
WHERE run_id IN (SELECT unnest(?)) AND outcome <> 'complete'
ORDER BY source
