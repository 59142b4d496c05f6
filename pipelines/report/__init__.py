"""The report: one HTML file for people, drawn from the published copy alone.

    sections    what it tells, read by the queries in sql/report/
    charts      some of that as Vega-Lite
    tables      the rest, and the same numbers beside each chart
    page        all of it as HTML, from the templates
    file        where it lies
"""
