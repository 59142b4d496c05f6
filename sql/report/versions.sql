-- Each version of an agent beside the one it is compared with, what differs most surely first.
SELECT
    agent_name AS agent,
    agent AS agent_id,
    * EXCLUDE (agent, agent_name),
    count(*) OVER () AS total
FROM analytics.agent_versions
WHERE compared_with IS NOT NULL
ORDER BY least(failures_p_adjusted, speed_p_adjusted), n DESC, agent_id, role, version
LIMIT 50
