-- Each version of an agent beside the one before it, what got worse first.
SELECT
    coalesce(names.name, versions.agent) AS agent,
    versions.agent AS agent_id,
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
FROM analytics.agent_versions AS versions
LEFT JOIN group_names AS names ON names.dimension = 'agent' AND names.value = versions.agent
WHERE version_before IS NOT NULL
ORDER BY array_position(['worse', 'better', 'unclear', 'too few'], verdict), n DESC, versions.agent, role, version
LIMIT 50
