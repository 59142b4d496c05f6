DROP TABLE IF EXISTS incoming_threads;
DROP TABLE IF EXISTS incoming_seen;
DROP TABLE IF EXISTS thread_changes;
DROP TABLE IF EXISTS new_spells;
