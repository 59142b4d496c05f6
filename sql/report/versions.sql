-- Each version of an agent beside the one it is compared with, what differs most surely first.
SELECT
    agent_name,
    agent,
    role,
    version,
    compared_with,
    failures,
    speed,
    failed_share,
    failed_share_low,
    failed_share_high,
    failed_share_compared,
    lifetime_seconds,
    lifetime_low_seconds,
    lifetime_high_seconds,
    lifetime_compared_seconds,
    common_age_seconds,
    n,
    n_compared,
    created_from,
    created_until,
    created_from_compared,
    created_until_compared,
    compared,
    count(*) OVER () AS total
FROM analytics.agent_versions
WHERE compared_with IS NOT NULL
ORDER BY least(failures_p_adjusted, speed_p_adjusted), n DESC, agent, role, version
LIMIT 50
