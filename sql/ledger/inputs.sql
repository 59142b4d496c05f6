-- What all tables follow from that only polls which brought something change, or news of a session. Before the
-- double stroke what can only change together with a thread, or what is known of a session: whatever changes a
-- thread makes its sequence higher. Behind it also what every poll changes.
SELECT concat_ws(
    '/',
    (SELECT max(views) FROM schema_version),
    (
        SELECT concat_ws(',', count(*), sum(last_changed_sequence), count(missing_sequence), sum(missing_sequence))
        FROM threads
    ),
    bit_xor(md5_number(
        {
            'source': source,
            'session_id': session_id,
            'label': label,
            'first_loaded_at': first_loaded_at,
            'is_whole': complete_sequence = loaded_sequence
        }::VARCHAR
    )),
    (SELECT bit_xor(md5_number(unwatched::VARCHAR)) FROM unwatched_sessions AS unwatched),
    '',
    bit_xor(md5_number(polls::VARCHAR)),
    (SELECT bit_xor(md5_number(known::VARCHAR)) FROM sessions AS known),
    (SELECT bit_xor(md5_number(setting::VARCHAR)) FROM analysis_settings AS setting)
)
FROM latest_polls AS polls;
