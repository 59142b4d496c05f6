-- Values that are hard to show: one kind a row, for every format of output.
SELECT kind, text, whole, real::DOUBLE AS real, instant::TIMESTAMPTZ AS instant, list
FROM (
    VALUES
        ('plain', 'words', 1, 1.5, '2026-01-02T03:04:05.678901Z', ['a']),
        ('null', NULL, NULL, NULL, NULL, NULL),
        ('empty', '', 0, 0, '1970-01-01T00:00:00Z', []),
        ('negative', '-5', -5, -0.25, '1969-12-31T23:59:59.999999Z', ['-5']),
        ('huge', '1e300', 9223372036854775807, 1e300, '9999-12-31T23:59:59Z', [NULL]),
        ('no number', 'NaN', -9223372036854775807, 'nan'::DOUBLE, NULL, ['NULL']),
        ('endless', 'Infinity', 0, '-inf'::DOUBLE, NULL, ['']),
        ('unicode', 'naïve 日本 🦆', 0, 0, NULL, ['日本']),
        ('from the right', 'שלום', 0, 0, NULL, ['שלום']),
        ('controls', E'\x1b[31mred\x07\x08\r' || chr(155) || chr(8238), 0, 0, NULL, [E'\x1b']),
        ('lines', E'one\ntwo\tthree', 0, 0, NULL, [E'\n']),
        ('marks', 'a "b", ''c''; [bold]d', 0, 0, NULL, ['a, "b"']),
        ('formula', '=1+1', 0, 0, NULL, ['=1+1']),
        ('plus', '+1', 0, 0, NULL, NULL),
        ('minus', '-1+1', 0, 0, NULL, NULL),
        ('at', '@SUM(1)', 0, 0, NULL, NULL),
        ('tab', E'\t=1', 0, 0, NULL, NULL),
        ('return', E'\r=1', 0, 0, NULL, NULL),
        ('full width', '＝1', 0, 0, NULL, NULL),
        ('quoted', '''=1', 0, 0, NULL, NULL),
        ('quote alone', '''tis', 0, 0, NULL, NULL)
) AS _(kind, text, whole, real, instant, list)
