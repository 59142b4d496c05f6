-- A fleet of $threads threads in $sessions sessions, with $spells spells each, as months of polls
-- leave it: one source, 20 agents in 5 versions, trees three levels deep, a tenth of the threads open.
INSERT INTO session_polls BY NAME
SELECT
    format('run-{:05d}', poll) AS run_id,
    poll AS sequence,
    'fleet' AS source,
    format('sess_{:06d}', session) AS session_id,
    TIMESTAMPTZ '2026-10-01 00:00:00+00' + to_minutes(poll * 60) AS started_at,
    started_at + to_seconds(30) AS finished_at,
    'complete' AS outcome,
    'has_more_false' AS end_reason,
    1 AS pages,
    1 AS requests,
    0 AS retries,
    0.0 AS wait_seconds,
    0 AS bytes,
    0 AS threads_listed,
    0 AS duplicates,
    0 AS threads_unlisted,
    0 AS lookups,
    0 AS threads_unconfirmed,
    0 AS threads_new,
    0 AS threads_changed,
    0 AS threads_unchanged,
    0 AS threads_missing,
    0 AS threads_regressed
FROM range($polls) AS polls (poll), range($sessions) AS sessions (session);

INSERT INTO threads BY NAME
WITH drawn AS (
    SELECT
        number,
        number % $sessions AS session,
        number // $sessions AS position,
        (hash(number) >> 1)::BIGINT AS h1,
        (hash(number, 1) >> 1)::BIGINT AS h2,
        (hash(number, 2) >> 1)::BIGINT AS h3,
        -- Lifetimes are exponential, of six hours on average.
        TIMESTAMPTZ '2026-09-21 00:00:00+00' + to_microseconds(h1 % 864_000_000_000) AS born,
        (-ln(1 - (h2 % 1_000_000) / 1e6) * 6 * 3600 * 1e6)::BIGINT AS life_us
    FROM range($threads) AS threads (number)
)

SELECT
    'fleet' AS source,
    format('sess_{:06d}', session) AS session_id,
    format('sthr_{:012d}', number) AS thread_id,
    CASE
        WHEN position > 0
            THEN format('sthr_{:012d}', ((position - 1) // 30) * $sessions + session)
    END AS parent_thread_id,
    CASE WHEN position = 0 THEN 'coordinator' ELSE 'child' END AS role,
    format('agent_{:02d}', h3 % 20) AS agent_id,
    'agent' AS agent_type,
    ['lite', 'ultimate', 'plus'][1 + (h3 // 20) % 3] AS agent_model,
    1 + (h3 // 60) % 5 AS agent_version,
    CASE
        WHEN h2 % 10 = 0 THEN ['idle', 'running', 'blocked'][1 + h3 % 3]
        WHEN h2 % 10 = 1 THEN 'terminated'
        ELSE 'archived'
    END AS status,
    CASE WHEN status = 'terminated' THEN 'rejection' WHEN status <> 'running' THEN 'end_turn' END
    AS stop_reason_type,
    status NOT IN ('archived', 'terminated') AS is_open,
    born AS created_at,
    born + to_microseconds(life_us) AS updated_at,
    CASE WHEN status = 'archived' THEN updated_at END AS archived_at,
    life_us / 2e6 AS active_seconds,
    born AS first_seen_at,
    greatest(updated_at, TIMESTAMPTZ '2026-10-01 00:00:10+00') AS last_changed_at,
    0 AS last_changed_sequence
FROM drawn;

INSERT INTO silences BY NAME
SELECT
    source,
    agent_id AS agent,
    ['idle', 'running', 'blocked'][1 + active_seconds::BIGINT % 3] AS status,
    age_step(active_seconds) AS step,
    count(*) AS silences
FROM threads
GROUP BY ALL;

INSERT INTO thread_status_history BY NAME
WITH cut AS (
    SELECT
        threads.*,
        epoch_us(updated_at) - epoch_us(created_at) AS life_us,
        unnest(range(1, $spells + 1)) AS spell
    FROM threads
),

bounds AS (
    SELECT
        *,
        created_at + to_microseconds(life_us * (spell - 1) // $spells) AS began,
        created_at + to_microseconds(life_us * spell // $spells) AS ended
    FROM cut
)

SELECT
    source,
    session_id,
    thread_id,
    spell,
    CASE
        WHEN spell = $spells THEN bounds.status
        WHEN spell % 2 = 1 THEN 'running'
        ELSE 'idle'
    END AS status,
    CASE WHEN spell = $spells THEN stop_reason_type WHEN spell % 2 = 0 THEN 'end_turn' END
    AS stop_reason_type,
    began + to_seconds(400) AS observed_from,
    CASE WHEN spell = 1 THEN created_at ELSE began - to_seconds(500) END AS changed_after,
    began AS changed_at,
    CASE WHEN spell < $spells THEN ended + to_seconds(400) END AS ended_before,
    CASE WHEN spell < $spells THEN ended - to_seconds(500) END AS ended_after,
    CASE WHEN spell < $spells THEN ended END AS ended_at,
    CASE
        WHEN spell = $spells THEN NULL
        WHEN spell = $spells - 1 THEN bounds.status
        WHEN spell % 2 = 0 THEN 'running'
        ELSE 'idle'
    END AS next_status
FROM bounds;
