-- What is kept of each session's last complete poll.
SELECT source, endpoint, session_id, digest, state_digest, growing_since
FROM session_digests
