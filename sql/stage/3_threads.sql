INSERT INTO incoming_threads BY NAME
FROM landed_threads;
