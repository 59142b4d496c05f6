INSERT INTO published.session_polls BY NAME
FROM session_polls
ANTI JOIN published.session_polls AS known USING (run_id, source, session_id);

INSERT INTO published.runs BY NAME
FROM runs
ANTI JOIN published.runs AS known USING (run_id);

INSERT INTO published.schema_drift BY NAME
FROM schema_drift
ANTI JOIN published.schema_drift AS known USING (run_id);

DELETE FROM published.session_digests;
INSERT INTO published.session_digests BY NAME FROM session_digests;

DELETE FROM published.spells_unseen;
INSERT INTO published.spells_unseen BY NAME FROM spells_unseen;

DELETE FROM published.analysis_settings;
INSERT INTO published.analysis_settings BY NAME FROM analysis_settings;

DELETE FROM published.analysis_builds;
INSERT INTO published.analysis_builds BY NAME FROM analysis_builds;
