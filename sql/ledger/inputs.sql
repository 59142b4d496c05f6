-- What all tables follow from that only polls which brought something change, or news of a session.
SELECT concat_ws(
    '/',
    (SELECT max(views) FROM schema_version),
    (SELECT bit_xor(hash(polls)) FROM latest_polls AS polls),
    (SELECT bit_xor(hash(unwatched)) FROM unwatched_sessions AS unwatched),
    (SELECT bit_xor(hash(known)) FROM sessions AS known),
    (SELECT concat_ws(',', count(*), max(last_changed_sequence), max(missing_sequence)) FROM threads),
    (SELECT bit_xor(hash(setting)) FROM analysis_settings AS setting)
);
