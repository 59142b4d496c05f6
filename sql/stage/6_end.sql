DROP TABLE IF EXISTS incoming_threads;
DROP TABLE IF EXISTS incoming_seen;
DROP TABLE IF EXISTS incoming_lookups;
DROP TABLE IF EXISTS thread_changes;
DROP TABLE IF EXISTS unlisted;
DROP TABLE IF EXISTS newest_polls;
DROP TABLE IF EXISTS new_spells;
DROP TABLE IF EXISTS new_silences;
