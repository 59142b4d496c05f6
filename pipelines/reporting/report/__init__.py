"""The report: one HTML file for people, drawn from the published copy alone.

`sections` reads its numbers, by the queries in sql/report/; `charts` draws some of them, in the
one `style`; `tables` shows the others, and the numbers of each chart; `page` makes HTML of both;
`file` writes it.
"""
