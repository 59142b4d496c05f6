COMMENT ON TABLE schema_version IS 'The migrations that were applied to this file.';
COMMENT ON COLUMN schema_version.version IS 'Number of the migration';
COMMENT ON COLUMN schema_version.name IS 'Its file in sql/migrations';
COMMENT ON COLUMN schema_version.digest IS 'Digest of that file when it was applied';
COMMENT ON COLUMN schema_version.views IS 'Digest of the seeds, views and macros that were written last, from sql/seeds and sql/views';

CREATE TABLE threads (
    source VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    thread_id VARCHAR NOT NULL,
    parent_thread_id VARCHAR,
    role VARCHAR,
    name VARCHAR,
    created_by_tool_use_id VARCHAR,
    agent_id VARCHAR,
    agent_type VARCHAR,
    agent_name VARCHAR,
    agent_model VARCHAR,
    agent_version BIGINT,
    status VARCHAR,
    stop_reason_type VARCHAR,
    stop_reason JSON,
    is_open BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    archived_at TIMESTAMPTZ,
    active_seconds DOUBLE,
    duration_seconds DOUBLE,
    startup_seconds DOUBLE,
    usage JSON,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cache_read_tokens BIGINT,
    cache_write_tokens BIGINT,
    cost_amount DECIMAL(38, 9),
    cost_currency VARCHAR,
    workflow_run_id VARCHAR,
    extra JSON,
    first_seen_at TIMESTAMPTZ NOT NULL,
    last_changed_at TIMESTAMPTZ NOT NULL,
    last_changed_sequence BIGINT NOT NULL,
    missing_since TIMESTAMPTZ,
    missing_sequence BIGINT,
    digest BIGINT,
    grows BOOLEAN
);
COMMENT ON TABLE threads IS 'The current state, one row per thread. Key: source, session_id, thread_id.';
COMMENT ON COLUMN threads.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN threads.session_id IS 'Session that was polled';
COMMENT ON COLUMN threads.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN threads.parent_thread_id IS 'Thread that created this one; null for the coordinator';
COMMENT ON COLUMN threads.role IS 'coordinator or child; derived from the parent if the server gives none';
COMMENT ON COLUMN threads.name IS 'Name the server gives; null if empty';
COMMENT ON COLUMN threads.created_by_tool_use_id IS 'Tool use that created the thread';
COMMENT ON COLUMN threads.agent_id IS 'Agent that runs the thread';
COMMENT ON COLUMN threads.agent_type IS 'agent, advisor, inline, or what the server says';
COMMENT ON COLUMN threads.agent_name IS 'Name of the agent';
COMMENT ON COLUMN threads.agent_model IS 'Model of the agent, or its id if the server sends an object';
COMMENT ON COLUMN threads.agent_version IS 'Version of the agent';
COMMENT ON COLUMN threads.status IS 'Status, verbatim';
COMMENT ON COLUMN threads.stop_reason_type IS 'Why the last turn ended: end_turn, requires_action, retries_exhausted, ...';
COMMENT ON COLUMN threads.stop_reason IS 'The whole stop reason; null if missing or empty';
COMMENT ON COLUMN threads.is_open IS 'Neither archived nor terminated nor cancelled; an idle thread is open';
COMMENT ON COLUMN threads.created_at IS 'Server: when the thread was created';
COMMENT ON COLUMN threads.updated_at IS 'Server: when the thread last changed';
COMMENT ON COLUMN threads.archived_at IS 'Server: when the thread was archived';
COMMENT ON COLUMN threads.active_seconds IS 'Server: seconds of work; while the thread runs, as of last_changed_at, and stored anew when that is an hour old';
COMMENT ON COLUMN threads.duration_seconds IS 'Server: seconds from start to end (duration_seconds or elapsed_seconds); until the thread is archived, as of last_changed_at, and stored anew when that is an hour old';
COMMENT ON COLUMN threads.startup_seconds IS 'Server: seconds until the thread began to work';
COMMENT ON COLUMN threads.usage IS 'Token counts and costs as the server sends them; their shape differs by server. While the thread runs, as of last_changed_at, and stored anew when that is an hour old';
COMMENT ON COLUMN threads.input_tokens IS 'Tokens read; null if not said';
COMMENT ON COLUMN threads.output_tokens IS 'Tokens written; null if not said';
COMMENT ON COLUMN threads.cache_read_tokens IS 'Tokens read from the cache; null if not said';
COMMENT ON COLUMN threads.cache_write_tokens IS 'Tokens written into the cache; null if not said';
COMMENT ON COLUMN threads.cost_amount IS 'What it cost by list price, in major units; those of a session''s threads do not add up to its own';
COMMENT ON COLUMN threads.cost_currency IS 'Currency of the cost, or credits; amounts of different ones are not to be added';
COMMENT ON COLUMN threads.workflow_run_id IS 'Run of a workflow that the thread belongs to';
COMMENT ON COLUMN threads.extra IS 'Every field that no column names, under the path it came with; under "(cut)" the lengths of what was too long for a column, which the landed page alone holds whole';
COMMENT ON COLUMN threads.first_seen_at IS 'Client clock: arrival of the page that first listed the thread';
COMMENT ON COLUMN threads.last_changed_at IS 'Client clock: arrival of the page that last changed this row';
COMMENT ON COLUMN threads.last_changed_sequence IS 'Place among all of the run that last changed this row';
COMMENT ON COLUMN threads.missing_since IS 'Beginning of the first complete poll that did not list the thread and, if the server can be asked for one, did not find it by its id either; null while it is there';
COMMENT ON COLUMN threads.missing_sequence IS 'Place among all of the run of that poll; null while the thread is listed';
COMMENT ON COLUMN threads.digest IS 'Digest of the thread as it came when this row changed last, without numbers that grow by themselves: one that comes so again is not read. Null of one that was looked up';
COMMENT ON COLUMN threads.grows IS 'Whether numbers grow by themselves in it: those stored are as of last_changed_at';

CREATE TABLE session_polls (
    run_id VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    label VARCHAR,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ NOT NULL,
    outcome VARCHAR NOT NULL,
    end_reason VARCHAR NOT NULL,
    status_filter VARCHAR,
    pages BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    retries BIGINT NOT NULL,
    wait_seconds DOUBLE NOT NULL,
    bytes BIGINT NOT NULL,
    threads_listed BIGINT NOT NULL,
    duplicates BIGINT NOT NULL,
    threads_unlisted BIGINT NOT NULL,
    lookups BIGINT NOT NULL,
    threads_unconfirmed BIGINT NOT NULL,
    threads_new BIGINT NOT NULL,
    threads_changed BIGINT NOT NULL,
    threads_unchanged BIGINT NOT NULL,
    threads_missing BIGINT NOT NULL,
    threads_regressed BIGINT NOT NULL,
    clock_skew_seconds DOUBLE,
    error_type VARCHAR,
    error_message VARCHAR,
    request_id VARCHAR
);
COMMENT ON TABLE session_polls IS 'The ledger, one row per run and session. A complete poll has outcome complete and no status_filter.';
COMMENT ON COLUMN session_polls.run_id IS 'Id of the run, which Dagster gives to those through its door';
COMMENT ON COLUMN session_polls.sequence IS 'Place of the run among all: polls of a session are in this order, whatever the clocks said';
COMMENT ON COLUMN session_polls.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN session_polls.session_id IS 'Session that was polled';
COMMENT ON COLUMN session_polls.label IS 'What the configuration calls the session';
COMMENT ON COLUMN session_polls.started_at IS 'Client clock: before the first request';
COMMENT ON COLUMN session_polls.finished_at IS 'Client clock: after the last answer';
COMMENT ON COLUMN session_polls.outcome IS 'complete, incomplete, gone, forbidden, failed, or overtaken if a poll with a higher sequence was loaded first';
COMMENT ON COLUMN session_polls.end_reason IS 'has_more_false, no_next_page, cursor_loop, no_cursor, no_progress, same_page, page_cap, malformed_thread, error, interrupted, deadline';
COMMENT ON COLUMN session_polls.status_filter IS 'Statuses the poll asked for, separated by commas; null if it asked for all';
COMMENT ON COLUMN session_polls.pages IS 'Pages that came';
COMMENT ON COLUMN session_polls.requests IS 'Requests sent, retries included';
COMMENT ON COLUMN session_polls.retries IS 'Requests that repeated a failed one';
COMMENT ON COLUMN session_polls.wait_seconds IS 'Seconds spent waiting for the rate limit and between retries';
COMMENT ON COLUMN session_polls.bytes IS 'Bytes of the bodies received';
COMMENT ON COLUMN session_polls.threads_listed IS 'Different threads that the server listed';
COMMENT ON COLUMN session_polls.duplicates IS 'Threads listed again in the same poll';
COMMENT ON COLUMN session_polls.threads_unlisted IS 'Known threads that the server did not list any more, and of which there was something to learn';
COMMENT ON COLUMN session_polls.lookups IS 'Of these, those that were looked up by their ids, and found or not';
COMMENT ON COLUMN session_polls.threads_unconfirmed IS 'Of these, those that are in doubt: beyond lookup_limit, or their look-up failed. They are not missing';
COMMENT ON COLUMN session_polls.threads_new IS 'Threads never seen before';
COMMENT ON COLUMN session_polls.threads_changed IS 'Threads of which a column changed, returned ones included';
COMMENT ON COLUMN session_polls.threads_unchanged IS 'Threads as they were';
COMMENT ON COLUMN session_polls.threads_missing IS 'Threads that this poll was the first to find missing';
COMMENT ON COLUMN session_polls.threads_regressed IS 'Threads whose updated_at went backwards, and which were not applied';
COMMENT ON COLUMN session_polls.clock_skew_seconds IS 'How far this machine''s clock was ahead of the server''s, by the median Date of its answers; null if no Date came. Beyond five minutes either way all times of the poll are the server''s';
COMMENT ON COLUMN session_polls.error_type IS 'The server''s error.type, or our name of what went wrong';
COMMENT ON COLUMN session_polls.error_message IS 'What went wrong, where, in one line';
COMMENT ON COLUMN session_polls.request_id IS 'The server''s id of the failed request';

CREATE TABLE runs (
    run_id VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ NOT NULL,
    version VARCHAR NOT NULL,
    door VARCHAR NOT NULL,
    sessions_complete BIGINT NOT NULL,
    sessions_incomplete BIGINT NOT NULL,
    sessions_gone BIGINT NOT NULL,
    sessions_forbidden BIGINT NOT NULL,
    sessions_failed BIGINT NOT NULL,
    sessions_overtaken BIGINT NOT NULL
);
COMMENT ON TABLE runs IS 'One row per run of the job that was loaded.';
COMMENT ON COLUMN runs.run_id IS 'Id of the run, which Dagster gives to those through its door';
COMMENT ON COLUMN runs.sequence IS 'Place of the run among all, taken when it starts; numbers of killed runs are missing. Negative for runs that landed before there were numbers, in the order in which they began';
COMMENT ON COLUMN runs.started_at IS 'Client clock: before the first poll';
COMMENT ON COLUMN runs.finished_at IS 'Client clock: after the last poll';
COMMENT ON COLUMN runs.version IS 'Version of session-threads that polled';
COMMENT ON COLUMN runs.door IS 'What the run came through: command, dagster, or unknown';
COMMENT ON COLUMN runs.sessions_complete IS 'Sessions polled to their end';
COMMENT ON COLUMN runs.sessions_incomplete IS 'Sessions of which only a part came';
COMMENT ON COLUMN runs.sessions_gone IS 'Sessions the server does not know';
COMMENT ON COLUMN runs.sessions_forbidden IS 'Sessions the token may not read';
COMMENT ON COLUMN runs.sessions_failed IS 'Sessions of which nothing came';
COMMENT ON COLUMN runs.sessions_overtaken IS 'Sessions of which a poll with a higher sequence was loaded first';

CREATE TABLE thread_status_history (
    source VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    thread_id VARCHAR NOT NULL,
    spell INTEGER NOT NULL,
    status VARCHAR,
    stop_reason_type VARCHAR,
    observed_from TIMESTAMPTZ NOT NULL,
    changed_after TIMESTAMPTZ,
    changed_at TIMESTAMPTZ NOT NULL,
    ended_before TIMESTAMPTZ,
    ended_after TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    next_status VARCHAR
);
COMMENT ON TABLE thread_status_history IS 'What was observed, one row per spell: a time in which status and stop reason stayed as they were. Key: source, session_id, thread_id, spell.';
COMMENT ON COLUMN thread_status_history.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN thread_status_history.session_id IS 'Session that was polled';
COMMENT ON COLUMN thread_status_history.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN thread_status_history.spell IS '1, 2, 3 ... per thread';
COMMENT ON COLUMN thread_status_history.status IS 'Status, verbatim';
COMMENT ON COLUMN thread_status_history.stop_reason_type IS 'Why the last turn had ended';
COMMENT ON COLUMN thread_status_history.observed_from IS 'Client clock: first observation of the spell';
COMMENT ON COLUMN thread_status_history.changed_after IS 'Beginning of the last complete poll that still saw the spell before; created_at in a first spell. The spell began after it, and by observed_from';
COMMENT ON COLUMN thread_status_history.changed_at IS 'Best estimate of when the spell began: the server''s updated_at if it is possible, else created_at in a first spell, else the midpoint';
COMMENT ON COLUMN thread_status_history.ended_before IS 'observed_from of the next spell; null for the current one';
COMMENT ON COLUMN thread_status_history.ended_after IS 'changed_after of the next spell; null for the current one. The spell ended after it, and by ended_before';
COMMENT ON COLUMN thread_status_history.ended_at IS 'changed_at of the next spell, the best estimate of when this one ended; null for the current one';
COMMENT ON COLUMN thread_status_history.next_status IS 'Status of the next spell; null for the current one';

CREATE TABLE spells_unseen (
    source VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    thread_id VARCHAR NOT NULL,
    last_seen_at TIMESTAMPTZ,
    looked_up BIGINT
);
COMMENT ON TABLE spells_unseen IS 'The threads whose current spell the newest complete poll of their session did not list: they were missing or left out, or listed as they had been earlier, or the spell began later. Key: source, session_id, thread_id.';
COMMENT ON COLUMN spells_unseen.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN spells_unseen.session_id IS 'Session that was polled';
COMMENT ON COLUMN spells_unseen.thread_id IS 'Thread, unique within its session only';
COMMENT ON COLUMN spells_unseen.last_seen_at IS 'Beginning of the last complete poll that saw the spell; null if none has yet';
COMMENT ON COLUMN spells_unseen.looked_up IS 'Sequence of the last run that found the thread by its id since it is not listed any more; null if none did';

CREATE TABLE silences (
    source VARCHAR NOT NULL,
    agent VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    step INTEGER NOT NULL,
    silences BIGINT NOT NULL
);
COMMENT ON TABLE silences IS 'How long open threads stayed quiet: from their updated_at to the last poll that saw it, before one saw that it had moved, counted by its length. Key: source, agent, status, step.';
COMMENT ON COLUMN silences.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN silences.agent IS 'Id of the agent, or its name if it has no id; (none) without both';
COMMENT ON COLUMN silences.status IS 'Status while it was quiet, verbatim; (none) if the server says none';
COMMENT ON COLUMN silences.step IS 'Length in steps of one per cent: its logarithm times 100 (age_step)';
COMMENT ON COLUMN silences.silences IS 'Number of silences of this length';

CREATE TABLE statuses (
    status VARCHAR NOT NULL,
    is_closed BOOLEAN NOT NULL,
    rank INTEGER NOT NULL
);
COMMENT ON TABLE statuses IS 'The statuses of threads that are known; any other counts as open. Its rows are those of sql/seeds/statuses.csv, written anew by each version.';
COMMENT ON COLUMN statuses.status IS 'Status, as threads have it';
COMMENT ON COLUMN statuses.is_closed IS 'Whether a thread that has it is closed: it will not run again';
COMMENT ON COLUMN statuses.rank IS 'Order in which statuses are shown: what moves first';

CREATE TABLE schema_drift (
    path VARCHAR NOT NULL,
    json_type VARCHAR NOT NULL,
    value VARCHAR,
    examples BIGINT NOT NULL,
    first_seen_at TIMESTAMPTZ NOT NULL,
    run_id VARCHAR NOT NULL
);
COMMENT ON TABLE schema_drift IS 'What the server sent that is not documented and was never seen before, one row per field and JSON type, or per value of an enumeration.';
COMMENT ON COLUMN schema_drift.path IS 'Path of the field in the thread object; [] means every element of an array, * any key that looks like data or comes after the first fifty under one parent, (other) all beyond a thousand paths';
COMMENT ON COLUMN schema_drift.json_type IS 'string, number, boolean, object, array or null';
COMMENT ON COLUMN schema_drift.value IS 'The new value of status, stop_reason.type, role or agent.type, (other) after the first fifty of each; null if the field itself is new';
COMMENT ON COLUMN schema_drift.examples IS 'Threads listed with it in that run';
COMMENT ON COLUMN schema_drift.first_seen_at IS 'Client clock: arrival of the first page that had it';
COMMENT ON COLUMN schema_drift.run_id IS 'Run that saw it first';

CREATE TABLE session_digests (
    source VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    state_digest VARCHAR,
    growing_since TIMESTAMPTZ
);
COMMENT ON TABLE session_digests IS 'Per session and endpoint, what its last loaded poll brought, if that was complete: a poll of the same threads, byte for byte, changes nothing, and they need not be looked at.';
COMMENT ON COLUMN session_digests.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN session_digests.endpoint IS 'What was polled: threads';
COMMENT ON COLUMN session_digests.session_id IS 'Session that was polled';
COMMENT ON COLUMN session_digests.digest IS 'BLAKE2 of the threads as they came, and of how they were read';
COMMENT ON COLUMN session_digests.state_digest IS 'The same without the numbers that grow by themselves; null if none does';
COMMENT ON COLUMN session_digests.growing_since IS 'Client clock: the oldest observation that a number which grows by itself is stored of; null if none does';

CREATE TABLE analysis_settings (
    name VARCHAR NOT NULL,
    value DOUBLE NOT NULL
);
INSERT INTO analysis_settings VALUES
('attention_after_minutes', 60), ('stale_after_minutes', 30), ('resting_stale_after_minutes', 510);
COMMENT ON TABLE analysis_settings IS 'Settings that the analyses read, so that a query gives the same answer wherever it is run.';
COMMENT ON COLUMN analysis_settings.name IS 'Key of the configuration, or what follows from one: stale_after_minutes is two intervals of poll_interval_minutes, and resting_stale_after_minutes full_listing_hours more';
COMMENT ON COLUMN analysis_settings.value IS 'Its value when the analyses were built last';

CREATE TABLE analysis_builds (
    name VARCHAR NOT NULL,
    runs BIGINT NOT NULL,
    version VARCHAR,
    inputs VARCHAR,
    error VARCHAR
);
COMMENT ON TABLE analysis_builds IS 'Per analysis, the state of the tables for which it was built, or tried, last.';
COMMENT ON COLUMN analysis_builds.name IS 'Table in schema analytics';
COMMENT ON COLUMN analysis_builds.runs IS 'Number of runs that were loaded then';
COMMENT ON COLUMN analysis_builds.version IS 'Digest of its file then';
COMMENT ON COLUMN analysis_builds.inputs IS 'Digest of what it may have read then; while it is the same, the table is kept. Null if it failed';
COMMENT ON COLUMN analysis_builds.error IS 'Why its query failed then; it is tried again apart from the others';

CREATE SCHEMA analytics;

CREATE TABLE sessions (
    source VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    label VARCHAR,
    origin VARCHAR NOT NULL,
    title VARCHAR,
    status VARCHAR,
    agent_id VARCHAR,
    agent_name VARCHAR,
    agent_version BIGINT,
    environment_id VARCHAR,
    deployment_id VARCHAR,
    metadata JSON,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    archived_at TIMESTAMPTZ,
    active_seconds DOUBLE,
    duration_seconds DOUBLE,
    usage JSON,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cache_read_tokens BIGINT,
    cache_write_tokens BIGINT,
    cost_amount DECIMAL(38, 9),
    cost_currency VARCHAR,
    extra JSON,
    first_seen_at TIMESTAMPTZ NOT NULL,
    last_changed_at TIMESTAMPTZ NOT NULL,
    missing_since TIMESTAMPTZ,
    state VARCHAR NOT NULL,
    state_reason VARCHAR,
    state_since TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE sessions IS 'The registry, one row per session ever configured or found. Key: source, session_id. Of a session that was named and never listed by the server, only what the configuration says is known.';
COMMENT ON COLUMN sessions.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN sessions.session_id IS 'Session';
COMMENT ON COLUMN sessions.label IS 'What the configuration calls the session';
COMMENT ON COLUMN sessions.origin IS 'How it came to be asked for: configured, file or discovered';
COMMENT ON COLUMN sessions.title IS 'Title the server gives';
COMMENT ON COLUMN sessions.status IS 'Status, verbatim: it folds those of its threads';
COMMENT ON COLUMN sessions.agent_id IS 'Agent that the session was made with';
COMMENT ON COLUMN sessions.agent_name IS 'Name of the agent';
COMMENT ON COLUMN sessions.agent_version IS 'Version of the agent';
COMMENT ON COLUMN sessions.environment_id IS 'Environment it runs in';
COMMENT ON COLUMN sessions.deployment_id IS 'Deployment that made it';
COMMENT ON COLUMN sessions.metadata IS 'What whoever made it wrote beside it';
COMMENT ON COLUMN sessions.created_at IS 'Server: when the session was created';
COMMENT ON COLUMN sessions.updated_at IS 'Server: when it last changed; no proof that its threads did not';
COMMENT ON COLUMN sessions.archived_at IS 'Server: when it was archived';
COMMENT ON COLUMN sessions.active_seconds IS 'Server: seconds of work';
COMMENT ON COLUMN sessions.duration_seconds IS 'Server: seconds from start to end';
COMMENT ON COLUMN sessions.usage IS 'Token counts and costs as the server sends them';
COMMENT ON COLUMN sessions.input_tokens IS 'Tokens read; null if not said';
COMMENT ON COLUMN sessions.output_tokens IS 'Tokens written; null if not said';
COMMENT ON COLUMN sessions.cache_read_tokens IS 'Tokens read from the cache; null if not said';
COMMENT ON COLUMN sessions.cache_write_tokens IS 'Tokens written into the cache; null if not said';
COMMENT ON COLUMN sessions.cost_amount IS 'What it cost by list price, in major units; those of its threads do not add up to it';
COMMENT ON COLUMN sessions.cost_currency IS 'Currency of the cost, or credits; amounts of different ones are not to be added';
COMMENT ON COLUMN sessions.extra IS 'Every field that no column names; never prompts, tools or variables';
COMMENT ON COLUMN sessions.first_seen_at IS 'Client clock: when it was first listed or polled';
COMMENT ON COLUMN sessions.last_changed_at IS 'Client clock: when a column of this row last changed, but for those that grow by themselves';
COMMENT ON COLUMN sessions.missing_since IS 'Beginning of the first complete listing of the source that did not list it; null while it is listed, or never was';
COMMENT ON COLUMN sessions.state IS 'polled, resting, excluded, out_of_scope, gone or forbidden';
COMMENT ON COLUMN sessions.state_reason IS 'Why it is in this state';
COMMENT ON COLUMN sessions.state_since IS 'Client clock: beginning of the run that put it there';

CREATE TABLE source_polls (
    run_id VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    door VARCHAR NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ NOT NULL,
    outcome VARCHAR,
    end_reason VARCHAR,
    pages BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    retries BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    sessions_listed BIGINT,
    sessions_polled BIGINT NOT NULL,
    sessions_resting BIGINT NOT NULL,
    sessions_due BIGINT NOT NULL,
    is_trusted BOOLEAN,
    clock_skew_seconds DOUBLE,
    error_type VARCHAR,
    error_message VARCHAR,
    request_id VARCHAR
);
COMMENT ON TABLE source_polls IS 'One row per run and source: how its sessions were listed, if it discovers them, and how many were polled.';
COMMENT ON COLUMN source_polls.run_id IS 'Id of the run';
COMMENT ON COLUMN source_polls.sequence IS 'Place of the run among all';
COMMENT ON COLUMN source_polls.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN source_polls.door IS 'What the run came through: command, dagster, or unknown';
COMMENT ON COLUMN source_polls.started_at IS 'Client clock: before the first request to list sessions; the beginning of the run if none was sent';
COMMENT ON COLUMN source_polls.finished_at IS 'Client clock: after the last answer to it; the end of the run if none was asked for';
COMMENT ON COLUMN source_polls.outcome IS 'Of the listing of sessions: complete, incomplete, forbidden or failed; null if the source does not discover';
COMMENT ON COLUMN source_polls.end_reason IS 'What ended the listing, as in session_polls, or too_many_sessions';
COMMENT ON COLUMN source_polls.pages IS 'Pages of sessions that came';
COMMENT ON COLUMN source_polls.requests IS 'Requests sent for them, retries included';
COMMENT ON COLUMN source_polls.retries IS 'Requests that repeated a failed one';
COMMENT ON COLUMN source_polls.bytes IS 'Bytes of the bodies received';
COMMENT ON COLUMN source_polls.sessions_listed IS 'Different sessions that the server listed; null if it was not asked';
COMMENT ON COLUMN source_polls.sessions_polled IS 'Sessions whose threads were asked for';
COMMENT ON COLUMN source_polls.sessions_resting IS 'Sessions that were not asked because nothing points to news';
COMMENT ON COLUMN source_polls.sessions_due IS 'Sessions that were asked because it was their turn, though nothing points to news';
COMMENT ON COLUMN source_polls.is_trusted IS 'Whether the evidence of the source was trusted, so that quiet sessions could rest; null if nothing was decided, in a run of certain sessions or statuses';
COMMENT ON COLUMN source_polls.clock_skew_seconds IS 'How far this machine''s clock was ahead of the server''s, as the listing of sessions shows; null if that is not known';
COMMENT ON COLUMN source_polls.error_type IS 'The server''s error.type, or our name of what went wrong';
COMMENT ON COLUMN source_polls.error_message IS 'What went wrong with the listing, in one line';
COMMENT ON COLUMN source_polls.request_id IS 'The server''s id of the failed request';

CREATE TABLE session_evidence (
    source VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    status VARCHAR,
    updated_at TIMESTAMPTZ,
    archived_at TIMESTAMPTZ,
    tokens VARCHAR,
    may_rest BOOLEAN NOT NULL,
    reading VARCHAR NOT NULL,
    announced_sequence BIGINT
);
COMMENT ON TABLE session_evidence IS 'Per session, what its object said before the first request of its last complete poll in a run that listed the sessions: while it says the same, nothing points to news. Key: source, session_id.';
COMMENT ON COLUMN session_evidence.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN session_evidence.session_id IS 'Session that was polled';
COMMENT ON COLUMN session_evidence.status IS 'Status, verbatim';
COMMENT ON COLUMN session_evidence.updated_at IS 'Server: when it last changed';
COMMENT ON COLUMN session_evidence.archived_at IS 'Server: when it was archived';
COMMENT ON COLUMN session_evidence.tokens IS 'Counts of tokens of its usage, as JSON; null if there are none';
COMMENT ON COLUMN session_evidence.may_rest IS 'Whether its status and age let it rest: it was idle or terminated, and its last change older than that poll by more than a minute of the server''s clock';
COMMENT ON COLUMN session_evidence.reading IS 'Fingerprint of how pages of threads were read; a session that would be read otherwise does not rest';
COMMENT ON COLUMN session_evidence.announced_sequence IS 'Place among all of the newest run that found a change of its threads announced; null if none did';

CREATE TABLE evidence_trials (
    run_id VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    count BIGINT NOT NULL
);
COMMENT ON TABLE evidence_trials IS 'How often the evidence of a source was tested by a run: complete polls of sessions that status and age would have let rest, compared with the ones before. Key: run_id, source, kind.';
COMMENT ON COLUMN evidence_trials.run_id IS 'Id of the run';
COMMENT ON COLUMN evidence_trials.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN evidence_trials.kind IS 'announced (threads had changed, and the evidence too), missed (they had, and it says nothing in the next run either), quiet_unchanged (neither had), late_archival (a closed thread was archived, which the evidence did not say)';
COMMENT ON COLUMN evidence_trials.count IS 'Number of sessions';

CREATE TABLE unannounced_changes (
    source VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    thread_id VARCHAR NOT NULL,
    change VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    observed_at TIMESTAMPTZ NOT NULL,
    missed_sequence BIGINT
);
COMMENT ON TABLE unannounced_changes IS 'Changes of threads of which the session''s object had said nothing, one of each session and run. Key: source, session_id, sequence.';
COMMENT ON COLUMN unannounced_changes.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN unannounced_changes.session_id IS 'Session that was polled';
COMMENT ON COLUMN unannounced_changes.thread_id IS 'Thread that had changed, the first by its id';
COMMENT ON COLUMN unannounced_changes.change IS 'new, archived, or its statuses before and after';
COMMENT ON COLUMN unannounced_changes.sequence IS 'Place among all of the run that saw it';
COMMENT ON COLUMN unannounced_changes.observed_at IS 'Client clock: arrival of the page that showed it';
COMMENT ON COLUMN unannounced_changes.missed_sequence IS 'Place among all of the next run, in which nothing was said still; null until that is known. If something is said then, the row is removed';
