-- Each version of an agent beside the one before it, what got worse first.
SELECT
    agent,
    role,
    version,
    version_before,
    n,
    n_before,
    terminated_share,
    terminated_share_low,
    terminated_share_high,
    terminated_share_before,
    km_p50,
    km_p50_before,
    ratio,
    verdict,
    count(*) OVER () AS total
FROM analytics.agent_versions
WHERE version_before IS NOT NULL
ORDER BY array_position(['worse', 'better', 'unclear', 'too few'], verdict), n DESC, agent, role, version
LIMIT 50
