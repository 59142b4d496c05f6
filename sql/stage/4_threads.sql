INSERT INTO incoming_threads BY NAME
FROM landed_threads;

INSERT INTO incoming_lookups BY NAME
FROM landed_lookups;

INSERT INTO incoming_seen BY NAME
FROM landed_seen;
