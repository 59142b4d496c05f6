-- What became of each source's evidence when it was tested.
SELECT
    source,
    changes_announced,
    sessions_announcing,
    epoch_us(first_announced_at) AS first_announced_at,
    epoch_us(last_announced_at) AS last_announced_at,
    epoch_us(missed_at) AS missed_at
FROM evidence
