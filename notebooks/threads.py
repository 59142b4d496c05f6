"""The threads of your sessions: choose some, and look at statuses, lifetimes and what needs you.

`marimo run notebooks/threads.py` opens it as an app, `make notebook` for editing.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="medium",
    app_title="session-threads",
    html_head_file="head.html",
    sql_output="polars",
)

with app.setup:
    import altair as alt
    import duckdb
    import marimo as mo

    from pipelines.cli.tables import format_value, read_duration
    from pipelines.config.settings import data_home
    from pipelines.errors import WarehouseError
    from pipelines.warehouse.duckdb_file import DuckdbFile


@app.cell(hide_code=True)
def _():
    # SVG, so that text can be searched; no menu, because it can send data to another host.
    alt.renderers.set_embed_options(renderer="svg", actions=False)
    mo.md("""
    # Threads

    This page keeps the copy of the tables that it has opened: no load waits for it, and it does not
    show what was loaded since, until you open the newest copy. Times are UTC.
    """)
    return


@app.cell(hide_code=True)
def _():
    reopen = mo.ui.button(label="Open the newest copy", value=0, on_click=lambda count: count + 1)
    reopen
    return (reopen,)


@app.cell
def _(reopen):
    reopen.value  # a press runs this cell again
    try:
        connection = DuckdbFile(data_home()).attach()
    except WarehouseError as error:
        mo.stop(True, mo.callout(mo.plain_text(str(error)), kind="danger"))
    return (connection,)


@app.cell
def _(connection):
    # Names come from a server: invisible characters are shown as such, a name of 10 kB is cut, and
    # an address is broken up, because the table would make a picture or a link of it.
    connection.execute(r"""
        CREATE OR REPLACE TEMP MACRO shown(name) AS coalesce(
            regexp_replace(
                replace(
                    CASE WHEN length(name) > 60 THEN left(name, 59) || '…' ELSE name END,
                    '://', ': //'
                ),
                '\p{C}', '�', 'g'
            ),
            '(none)'
        )
    """)
    try:
        names = connection.sql("""
            SELECT dimension, value, shown(value) AS label, count(*) AS threads
            FROM thread_dimensions
            WHERE dimension IN ('source', 'session', 'agent')
            GROUP BY ALL
            ORDER BY threads DESC, value
        """).fetchall()
        [all_days] = connection.sql("""
            SELECT
                least(greatest(min(created_at), '1970-01-01'), '2199-12-31')::DATE,
                greatest(least(max(created_at), '2199-12-31'), '1970-01-01')::DATE
            FROM threads
            SEMI JOIN analytics.thread_durations USING (source, session_id, thread_id)
        """).fetchall()
    except duckdb.CatalogException:
        old = "This copy lacks tables of this version: run `session-threads run`."
        mo.stop(True, mo.callout(old, kind="warn"))
    none_yet = "No thread is loaded yet: run `session-threads run`."
    mo.stop(not names, mo.callout(none_yet, kind="warn"))
    return all_days, names


@app.function
def pick(dimension, names, kept):
    """Return a dropdown of a dimension's names; its value is None for all of them."""
    options = {f"every {dimension}": None}
    for of, name, label, threads in names:
        if of == dimension:
            title = f"{label} ({threads:,})"
            while title in options:
                title += " *"
            options[title] = name
    value = next((title for title, name in options.items() if name == kept), f"every {dimension}")
    return mo.ui.dropdown(options, value=value, label=dimension, full_width=True)


@app.cell
def _():
    kept = {"source": None, "session": None, "agent": None}  # picks outlive the copy
    return (kept,)


@app.cell
def _(all_days, kept, names):
    source = pick("source", names, kept["source"])
    session = pick("session", names, kept["session"])
    agent = pick("agent", names, kept["agent"])
    days = mo.ui.date_range(*all_days, label="created between")
    mo.vstack([mo.hstack([source, session, agent], widths="equal", wrap=True), days])
    return agent, days, session, source


@app.cell
def _(agent, all_days, connection, days, kept, session, source):
    kept.update(source=source.value, session=session.value, agent=agent.value)
    # If all days are chosen, threads without a known time of creation are shown too.
    first, last = days.value if days.value != all_days else (None, None)
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE selected AS
        SELECT
            durations.* REPLACE (
                shown(durations.status) AS status,
                CASE WHEN durations.role IN ('coordinator', 'child') THEN durations.role
                    ELSE '(other)' END AS role
            ),
            threads.created_at
        FROM analytics.thread_durations AS durations
        JOIN threads USING (source, session_id, thread_id)
        WHERE ($source IS NULL OR durations.source = $source)
            AND ($session IS NULL OR durations.session_id = $session)
            AND ($agent IS NULL OR coalesce(durations.agent, '(none)') = $agent)
            AND ($first IS NULL OR threads.created_at::DATE BETWEEN $first AND $last)
        """,
        {
            "source": source.value,
            "session": session.value,
            "agent": agent.value,
            "first": first,
            "last": last,
        },
    )
    connection.execute("""
        CREATE OR REPLACE TEMP VIEW selected_spells AS
        SELECT spells.* REPLACE (shown(spells.status) AS status), is_censored, missing_since
        FROM thread_spells AS spells
        JOIN selected USING (source, session_id, thread_id)
    """)
    selection = connection  # with the tables `selected` and `selected_spells`, for what follows
    nothing = "No thread is like that: pick something else above."
    mo.stop(not selection.sql("FROM selected LIMIT 1").fetchall(), mo.callout(nothing, kind="warn"))
    return (selection,)


@app.cell
def _(selection):
    [(threads, n_open, n_closed, p50, n_p50)] = selection.sql("""
        SELECT
            count(*),
            count_if(is_censored),
            count_if(NOT is_censored),
            median(elapsed_seconds) FILTER (NOT is_censored AND role = 'child'),
            count(elapsed_seconds) FILTER (NOT is_censored AND role = 'child')
        FROM selected
    """).fetchall()
    median = str(read_duration(p50)) if n_p50 else "none"
    mo.hstack(
        [
            mo.stat(f"{threads:,}", "threads", bordered=True),
            mo.stat(f"{n_open:,}", "open", bordered=True),
            mo.stat(f"{n_closed:,}", "closed", bordered=True),
            mo.stat(median, f"median lifetime of {n_p50:,} closed children", bordered=True),
        ],
        widths="equal",
        wrap=True,
    )
    return


@app.cell
def _(selection):
    statuses = mo.sql(
        f"""
        SELECT
            status,
            count(*) AS threads,
            status || ': ' || threads AS label,
            (threads / sum(threads) OVER ())::DOUBLE AS share
        FROM selected
        WHERE missing_since IS NULL
        GROUP BY status
        ORDER BY threads DESC, status
        LIMIT 20
        """,
        output=False,
        engine=selection,
    )
    return (statuses,)


@app.cell
def _(statuses):
    _text = mo.md("""
    ## In which status are they?

    Without the threads that the newest complete poll no longer listed.
    """)
    _bars = (
        alt.Chart(statuses)
        .mark_bar()
        .encode(
            x=alt.X("threads:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("label:N", title=None, sort=None),
            tooltip=["status:N", "threads:Q", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width="container", height=24 * len(statuses))
    )
    mo.vstack([_text, _bars if len(statuses) else mo.md("None.")])
    return


@app.cell
def _(selection):
    over_time = mo.sql(
        f"""
        -- A thread enters a status when its spell begins, and leaves it when that ends.
        WITH moves AS (
            SELECT status, changed_at AS moved_at, 1 AS change
            FROM selected_spells
            UNION ALL
            SELECT status, coalesce(ended_at, greatest(missing_since, changed_at)), -1
            FROM selected_spells
            WHERE NOT is_current OR missing_since IS NOT NULL
        ),

        polls AS (
            SELECT min(started_at) AS first, max(started_at) AS last
            FROM session_polls
            SEMI JOIN selected USING (source, session_id)
        ),

        -- About 200 points a line. What came before the first poll is drawn there.
        steps AS (
            SELECT
                status,
                greatest(moved_at, first) AS moved_at,
                to_seconds(greatest(60, (epoch(last) - epoch(first)) // 200)::BIGINT) AS width,
                change
            FROM moves, polls
            UNION ALL
            SELECT DISTINCT status, last, INTERVAL 1 SECOND, 0
            FROM moves, polls
        )

        SELECT
            status,
            time_bucket(width, moved_at) AS time,
            sum(sum(change)) OVER (PARTITION BY status ORDER BY time)::BIGINT AS threads
        FROM steps
        SEMI JOIN (FROM moves SELECT status GROUP BY status ORDER BY count(*) DESC LIMIT 10)
            USING (status)
        GROUP BY status, time
        ORDER BY status, time
        """,
        output=False,
        engine=selection,
    )
    return (over_time,)


@app.cell
def _(over_time):
    _time = "utcyearmonthdatehoursminutes(time):T"
    _lines = (
        alt.Chart(over_time, title="Status over time")
        .mark_line(interpolate="step-after", point=over_time["time"].n_unique() == 1)
        .encode(
            x=alt.X(_time, title=None, axis=alt.Axis(tickCount=6)),
            y=alt.Y("threads:Q", axis=alt.Axis(tickMinStep=1)),
            color=alt.Color("status:N", legend=alt.Legend(orient="bottom", title=None, columns=3)),
            tooltip=["status:N", alt.Tooltip(_time, title="time (UTC)"), "threads:Q"],
        )
        .properties(width="container", height=220)
    )
    _lines
    return


@app.cell
def _(selection):
    percentiles = mo.sql(
        f"""
        SELECT
            role,
            count(*) FILTER (NOT is_censored) AS n_closed,
            count(*) FILTER (is_censored) AS n_open,
            quantile_cont(elapsed_seconds, 0.5) FILTER (NOT is_censored) AS p50,
            quantile_cont(elapsed_seconds, 0.9) FILTER (NOT is_censored) AS p90,
            quantile_cont(elapsed_seconds, 0.99) FILTER (NOT is_censored) AS p99,
            max(elapsed_seconds) FILTER (NOT is_censored) AS longest
        FROM selected
        WHERE elapsed_seconds IS NOT NULL
        GROUP BY role
        ORDER BY role
        """,
        output=False,
        engine=selection,
    )
    return (percentiles,)


@app.function
def show_table(frame, durations=()):
    """Return a table of a frame; columns of seconds read as 2h 05m."""
    return mo.ui.table(
        frame,
        selection=None,
        format_mapping=dict.fromkeys(
            durations, lambda seconds: format_value(read_duration(seconds))
        ),
        show_column_summaries=False,
        show_data_types=False,
    )


@app.cell
def _(percentiles):
    _text = mo.md("""
    ## How long do they live?

    A closed thread has a lifetime. An open one has only an age: it is *censored*, is in no
    percentile, and counts in the curve as open for as long as is known. Coordinators live as long
    as their session, and are shown apart.
    """)
    mo.vstack([_text, show_table(percentiles, ["p50", "p90", "p99", "longest"])])
    return


@app.cell
def _(selection):
    lifetimes = mo.sql(
        f"""
        -- Each bar is twice as long as the one before; the first begins at nothing.
        SELECT
            role,
            floor(log2(greatest(elapsed_seconds, 1)))::BIGINT AS power,
            2 ** power AS seconds,
            2 ** (power + 1) AS until,
            count(*) AS threads
        FROM selected
        WHERE NOT is_censored AND elapsed_seconds IS NOT NULL
        GROUP BY role, power
        """,
        output=False,
        engine=selection,
    )
    return (lifetimes,)


@app.cell
def _(lifetimes):
    _names = (
        "{1: '1 s', 10: '10 s', 60: '1 min', 600: '10 min', 3600: '1 h', 36000: '10 h',"
        " 86400: '1 d', 864000: '10 d'}[datum.value]"
    )
    _axis = alt.Axis(values=[1, 10, 60, 600, 3600, 36000, 86400, 864000], labelExpr=_names)
    _bars = (
        alt.Chart(lifetimes, title="Lifetimes of closed threads", height=180)
        .mark_bar(orient="vertical")
        .encode(
            x=alt.X("seconds:Q", title="lifetime", axis=_axis, scale=alt.Scale(type="log")),
            x2="until:Q",
            y=alt.Y("threads:Q", axis=alt.Axis(tickMinStep=1)),
            color=alt.Color("role:N", legend=alt.Legend(orient="bottom", title=None)),
            tooltip=["role:N", "seconds:Q", "until:Q", "threads:Q"],
        )
        .properties(width="container")
    )
    _bars if len(lifetimes) else mo.md("None is closed.")
    return


@app.cell
def _(selection):
    survival = mo.sql(
        f"""
        -- Kaplan-Meier. Bounds, and curves by one dimension: analytics.survival.
        WITH ends AS (
            SELECT
                role,
                elapsed_seconds AS seconds,
                count_if(NOT is_censored) AS closed,
                count(*) AS threads
            FROM selected
            WHERE elapsed_seconds IS NOT NULL
            GROUP BY role, elapsed_seconds
        ),

        risks AS (
            SELECT
                *,
                (sum(threads) OVER (PARTITION BY role ORDER BY seconds DESC))::BIGINT AS at_risk
            FROM ends
        ),

        curves AS (
            SELECT
                role,
                seconds,
                at_risk,
                product(1 - closed / at_risk) OVER (PARTITION BY role ORDER BY seconds) AS survival
            FROM risks
        ),

        -- One point for each 200th part of the threads, the beginning, and the end.
        points AS (
            SELECT role, min(seconds) AS seconds, max(survival) AS survival, max(at_risk) AS at_risk
            FROM curves
            GROUP BY role, floor(survival * 200)
            UNION
            SELECT role, max(seconds), min(survival), min(at_risk)
            FROM curves
            GROUP BY role
            UNION
            SELECT role, 0, 1, max(at_risk)
            FROM curves
            GROUP BY role
        ),

        legend AS (
            SELECT
                role,
                role || ': ' || sum(closed) || ' closed, ' || sum(threads - closed) || ' open'
                    AS threads
            FROM ends
            GROUP BY role
        )

        SELECT role, threads, seconds / 3600 AS hours, survival, at_risk
        FROM points
        JOIN legend USING (role)
        ORDER BY role, hours, survival DESC
        """,
        output=False,
        engine=selection,
    )
    return (survival,)


@app.cell
def _(survival):
    _curves = (
        alt.Chart(survival, title="Share still open after a time", height=220)
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("hours:Q", title="hours since the thread was created"),
            y=alt.Y("survival:Q", title="still open", axis=alt.Axis(format="%")),
            color=alt.Color(
                "threads:N",
                legend=alt.Legend(orient="bottom", title=None, columns=1, labelLimit=300),
            ),
            tooltip=[
                "role:N",
                alt.Tooltip("hours:Q", format=".1f"),
                alt.Tooltip("survival:Q", format=".1%"),
                "at_risk:Q",
            ],
        )
        .properties(width="container")
    )
    _curves
    return


@app.cell
def _(selection):
    time_in_status = mo.sql(
        f"""
        -- A closed thread spends no time.
        SELECT
            status,
            count(DISTINCT (source, session_id, thread_id)) AS threads,
            status || ' (' || threads || ')' AS label,
            round(sum(seconds) / 3600, 1) AS hours,
            round(sum(seconds_low) / 3600, 1) AS low,
            round(sum(seconds_high) / 3600, 1) AS high
        FROM selected_spells
        WHERE (is_censored OR NOT is_current)
            AND status NOT IN (SELECT status FROM statuses WHERE is_closed)
        GROUP BY status
        ORDER BY hours DESC
        LIMIT 20
        """,
        output=False,
        engine=selection,
    )
    return (time_in_status,)


@app.cell
def _(time_in_status):
    _text = mo.md("""
    ## Where does the time go?

    Beside each status is the number of threads that were seen in it. The bar is the estimate, the
    line its bounds. Time before a thread was first seen, and statuses that no poll saw, are in
    `analytics.time_in_status`.
    """)
    _statuses = alt.Chart(time_in_status).encode(
        y=alt.Y("label:N", title=None, sort=None),
        tooltip=["status:N", "threads:Q", "hours:Q", "low:Q", "high:Q"],
    )
    _bars = _statuses.mark_bar().encode(x=alt.X("hours:Q", title="hours in the status"))
    _bounds = _statuses.mark_rule(color="#f58518", strokeWidth=3).encode(x="low:Q", x2="high:Q")
    _chart = (_bars + _bounds).properties(width="container", height=24 * len(time_in_status))
    mo.vstack([_text, _chart if len(time_in_status) else mo.md("No time was seen.")])
    return


@app.cell
def _(selection):
    attention = mo.sql(
        f"""
        SELECT
            severity,
            reason,
            quiet_seconds AS quiet,
            threshold_seconds AS usual,
            shown(status) AS status,
            shown(agent) AS agent,
            shown(role) AS role,
            shown(session_id) AS session,
            shown(thread_id) AS thread
        FROM analytics.attention
        SEMI JOIN selected USING (source, session_id, thread_id)
        ORDER BY
            array_position(['high', 'medium', 'low'], severity),
            reason = 'gave_up',
            quiet DESC NULLS LAST
        """,
        output=False,
        engine=selection,
    )
    return (attention,)


@app.cell
def _(attention):
    _text = mo.md("""
    ## Which of them need you?

    Severity is medium if a thread has been `quiet` for longer than is `usual`, high from three
    times as long, and low for a closed thread.
    """)
    mo.vstack([_text, show_table(attention, ["quiet", "usual"])])
    return


@app.cell
def _(selection):
    by_session = mo.sql(
        f"""
        -- Wrap what a server has written into shown(), as here.
        SELECT
            shown(session_id) AS session,
            count(*) AS threads,
            count(*) FILTER (is_censored) AS open,
            round(median(elapsed_seconds) FILTER (NOT is_censored)) AS p50
        FROM selected
        GROUP BY session_id
        ORDER BY threads DESC
        """,
        output=False,
        engine=selection,
    )
    return (by_session,)


@app.cell
def _(by_session):
    _text = mo.md("""
    ## Queries to start from

    `selected` holds the threads chosen above with their lifetimes, `selected_spells` the statuses
    in which they were seen, and `analytics` all analyses.
    """)
    mo.vstack([_text, show_table(by_session, ["p50"])])
    return


@app.cell
def _(selection):
    _health = mo.sql(
        f"""
        -- Can the numbers be trusted?
        SELECT
            shown(session_id) AS session,
            last_complete_poll,
            lag_seconds,
            failure_streak::BIGINT AS failure_streak,
            shown(last_error) AS last_error
        FROM analytics.ingestion_health
        SEMI JOIN selected USING (source, session_id)
        ORDER BY failure_streak DESC, last_complete_poll
        """,
        engine=selection,
    )
    return


if __name__ == "__main__":
    app.run()
