INSERT INTO incoming_threads BY NAME
SELECT landed_threads.*
FROM landed_threads
SEMI JOIN (FROM incoming_polls WHERE outcome <> 'overtaken') AS polls USING (source, session_id);

INSERT INTO incoming_lookups BY NAME
SELECT landed_lookups.*
FROM landed_lookups
SEMI JOIN (FROM incoming_polls WHERE outcome <> 'overtaken') AS polls USING (source, session_id);
