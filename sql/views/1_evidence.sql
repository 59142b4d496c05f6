CREATE OR REPLACE VIEW evidence AS
WITH trials AS (
    SELECT polls.source, polls.sequence, polls.started_at, trials.kind, trials.count
    FROM evidence_trials AS trials
    JOIN source_polls AS polls USING (run_id, source)
),

misses AS (
    SELECT
        source,
        sum(count) AS changes,
        max(sequence) AS sequence,
        arg_max(started_at, sequence) AS missed_at
    FROM trials
    WHERE kind = 'missed'
    GROUP BY source
),

announced AS (
    SELECT
        source,
        sum(trials.count) AS changes,
        arg_min(trials.started_at, trials.sequence) AS first_at,
        arg_max(trials.started_at, trials.sequence) AS last_at
    FROM trials
    LEFT JOIN misses USING (source)
    WHERE kind = 'announced' AND trials.sequence > coalesce(misses.sequence, trials.sequence - 1)
    GROUP BY source
),

announcing AS (
    SELECT source, count(*) AS sessions
    FROM session_evidence
    LEFT JOIN misses USING (source)
    WHERE announced_sequence > coalesce(misses.sequence, announced_sequence - 1)
    GROUP BY source
),

trust AS (
    SELECT
        source,
        arg_max(is_trusted, sequence) AS is_trusted,
        max(sequence) FILTER (NOT is_trusted) AS untrusted_sequence
    FROM source_polls
    WHERE is_trusted IS NOT NULL
    GROUP BY source
)

SELECT
    trust.source,
    trust.is_trusted,
    (
        SELECT arg_min(polls.started_at, polls.sequence)
        FROM source_polls AS polls
        WHERE polls.source = trust.source
            AND polls.is_trusted
            AND polls.sequence > coalesce(trust.untrusted_sequence, polls.sequence - 1)
    ) AS trusted_since,
    coalesce(announced.changes, 0)::BIGINT AS changes_announced,
    coalesce(announcing.sessions, 0) AS sessions_announcing,
    announced.first_at AS first_announced_at,
    announced.last_at AS last_announced_at,
    coalesce(misses.changes, 0)::BIGINT AS changes_missed,
    misses.missed_at,
    missed_share_upper(coalesce(announced.changes, 0)) AS missed_share_upper
FROM trust
LEFT JOIN announced USING (source)
LEFT JOIN announcing USING (source)
LEFT JOIN misses USING (source);
COMMENT ON VIEW evidence IS 'What the objects of sessions are worth as evidence of their threads, per source that lists its sessions: a bound for the mix of changes that were seen, no certainty.';
COMMENT ON COLUMN evidence.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN evidence.is_trusted IS 'Whether the newest run that decided it trusted the evidence, so that quiet sessions could rest';
COMMENT ON COLUMN evidence.trusted_since IS 'Beginning of the first run since which every one did; null if the newest did not';
COMMENT ON COLUMN evidence.changes_announced IS 'Changes of sessions that were announced since the last one that was missed';
COMMENT ON COLUMN evidence.sessions_announcing IS 'Number of sessions that they are of';
COMMENT ON COLUMN evidence.first_announced_at IS 'Beginning of the first run that saw one of them';
COMMENT ON COLUMN evidence.last_announced_at IS 'Beginning of the last run that did';
COMMENT ON COLUMN evidence.changes_missed IS 'Changes that were missed, ever';
COMMENT ON COLUMN evidence.missed_at IS 'Beginning of the newest run that found one missed; null if none did';
COMMENT ON COLUMN evidence.missed_share_upper IS 'Upper bound of the share of changes that are not announced, with a confidence of 95 % (Clopper-Pearson, about 3 / changes_announced)';
