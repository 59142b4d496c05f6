-- The sources whose sessions could not be listed to the end in some runs.
SELECT source, outcome, error_type, error_message
FROM source_polls
WHERE run_id IN (SELECT unnest(?)) AND outcome <> 'complete'
ORDER BY source
