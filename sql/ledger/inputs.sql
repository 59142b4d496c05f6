-- What all tables follow from that only polls which brought something change, or news of a session.
SELECT concat_ws(
    '/',
    (SELECT max(views) FROM schema_version),
    (SELECT bit_xor(md5_number(polls::VARCHAR)) FROM latest_polls AS polls),
    (SELECT bit_xor(md5_number(unwatched::VARCHAR)) FROM unwatched_sessions AS unwatched),
    (SELECT bit_xor(md5_number(known::VARCHAR)) FROM sessions AS known),
    (SELECT concat_ws(',', count(*), max(last_changed_sequence), max(missing_sequence)) FROM threads),
    (SELECT bit_xor(md5_number(setting::VARCHAR)) FROM analysis_settings AS setting)
);
