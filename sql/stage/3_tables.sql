-- What look-ups of threads that were not listed have answered: 200, or 404 for one that is gone.
CREATE OR REPLACE TEMP TABLE incoming_lookups AS
FROM landed_lookups
LIMIT 0;

-- The threads that came as they are known, and as of when their growing numbers are stored.
CREATE OR REPLACE TEMP TABLE incoming_seen AS
FROM landed_seen
LIMIT 0;

-- The others.
CREATE OR REPLACE TEMP TABLE incoming_threads AS
SELECT * REPLACE (stop_reason::JSON AS stop_reason, usage::JSON AS usage, extra::JSON AS extra)
FROM landed_threads
LIMIT 0;
