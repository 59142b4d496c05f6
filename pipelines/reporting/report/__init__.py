"""The report: one HTML file for people, drawn from the published copy alone.

`sections` reads what it tells, by the queries in sql/report/; `charts`, in the `style` of all of
them, draws some of that; `tables` holds the rest, and the same numbers beside each chart; `page`
makes HTML of both; `file` says where it lies.
"""
