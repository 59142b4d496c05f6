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
    from datetime import UTC, datetime

    import altair as alt
    import duckdb
    import marimo as mo
    import polars as pl

    from pipelines.config.place import find_place
    from pipelines.errors import SessionThreadsError
    from pipelines.reporting.formats import format_value
    from pipelines.reporting.palette import classify, list_variables
    from pipelines.reporting.report.axes import scale_durations, scale_time
    from pipelines.reporting.report.style import CONFIG, color_series, color_statuses, leave_room
    from pipelines.reporting.report.versions import describe_version
    from pipelines.warehouse.place import open_warehouse

    WRAPPED = ("agent", "session", "thread")


@app.cell(hide_code=True)
def _():
    # SVG, so that text can be searched; no menu, because it can send data to another host.
    alt.renderers.set_embed_options(renderer="svg", actions=False)
    # The colours and formats are those of the report.
    colours = mo.Html(
        f"<style>:root {{ {list_variables(dark=False)} }}"
        f" .dark {{ {list_variables(dark=True)} }}</style>"
    )
    text = mo.md("""
    # Threads

    This page keeps the copy of the tables that it has opened: no load waits for it, and it does not
    show what was loaded since, until you open the newest copy. Times are UTC.
    """)
    mo.vstack([colours, text])
    return


@app.function
def show_chart(chart, height):
    """Return a chart as wide as the page, in the style of the report."""
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    return chart.properties(width="container", height=height, config=CONFIG, autosize=fit)


@app.cell(hide_code=True)
def _():
    reopen = mo.ui.button(label="Open the newest copy", value=0, on_click=lambda count: count + 1)
    reopen
    return (reopen,)


@app.cell
def _(reopen):
    reopen.value  # a press runs this cell again
    try:
        connection = open_warehouse(*find_place()).attach()
    except SessionThreadsError as error:
        mo.stop(True, mo.callout(mo.plain_text(str(error)), kind="danger"))
    return (connection,)


@app.cell
def _(connection):
    # Names come from a server: invisible characters are shown as such, long ones lose their middle,
    # and an address is broken up, because the table would make a picture or a link of it.
    connection.execute(r"""
        CREATE OR REPLACE TEMP MACRO shown(name) AS coalesce(
            regexp_replace(
                replace(
                    CASE
                        WHEN length(name) > 60 THEN left(name, 38) || '…' || right(name, 21)
                        ELSE name
                    END,
                    '://', ': //'
                ),
                '\p{C}', '�', 'g'
            ),
            '(none)'
        )
    """)
    try:
        names = connection.sql("""
            SELECT
                dimension,
                value,
                shown(coalesce(names.name, value)) AS label,
                count(*) AS threads
            FROM thread_dimensions
            LEFT JOIN group_names AS names USING (dimension, value)
            WHERE dimension IN ('source', 'session', 'agent')
            GROUP BY ALL
            ORDER BY threads DESC, value
        """).fetchall()
        [(as_of,)] = connection.sql("SELECT max(as_of) FROM source_as_of").fetchall()
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
    return all_days, as_of, names


@app.cell
def _(as_of):
    age = format_value((datetime.now(UTC) - as_of).total_seconds(), "duration")
    mo.md(f"**Data as of {format_value(as_of, 'moment')} UTC**, {age} before this page was drawn.")
    return


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
            )
        FROM analytics.thread_durations AS durations
        WHERE ($source IS NULL OR durations.source = $source)
            AND ($session IS NULL OR durations.session_id = $session)
            AND ($agent IS NULL OR coalesce(durations.agent, '(none)') = $agent)
            AND ($first IS NULL OR created_at::DATE BETWEEN $first AND $last)
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
        SELECT spells.* REPLACE (shown(spells.status) AS status), basis
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
            quantile_disc(elapsed_seconds, 0.5) FILTER (NOT is_censored AND role = 'child'),
            count(elapsed_seconds) FILTER (NOT is_censored AND role = 'child')
        FROM selected
    """).fetchall()
    median = format_value(p50, "duration") if n_p50 else "none"
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
            (threads / sum(threads) OVER ())::DOUBLE AS share
        FROM selected
        WHERE missing_since IS NULL AND unwatched_since IS NULL
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

    Without the threads that the newest complete poll no longer listed, and those of sessions that
    nobody watches any more.
    """)
    _rows = [
        {
            "name": status,
            "status": classify(status),
            "threads": threads,
            "shown": f"{threads:,} · {format_value(share, 'share')}",
        }
        for status, threads, share in statuses.rows()
    ]
    if _rows:
        _base = alt.Chart(alt.InlineData(values=_rows)).encode(
            x=alt.X("threads:Q", axis=None, scale=leave_room(row["threads"] for row in _rows)),
            y=alt.Y("name:N", title=None, sort=None),
            tooltip=[
                alt.Tooltip("name:N", title="status"),
                alt.Tooltip("shown:N", title="threads"),
            ],
        )
        _colors = color_statuses((row["status"] for row in _rows), None)
        _bars = _base.mark_bar(size=18).encode(color=_colors)
        _texts = _base.mark_text(align="left", dx=6).encode(text="shown:N")
        _chart = show_chart(alt.layer(_bars, _texts), 28 * len(_rows))
    mo.vstack([_text, _chart if _rows else mo.md("None.")])
    return


@app.cell
def _(selection):
    over_time = mo.sql(
        f"""
        -- Statuses without a colour count together, as in the report.
        WITH moves AS (
            SELECT
                coalesce(known.status, 'other') AS status,
                changed_at AS moved_at,
                sum(change) AS change
            FROM status_changes
            LEFT JOIN statuses AS known USING (status)
            SEMI JOIN selected USING (source, session_id, thread_id)
            GROUP BY ALL
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
    _rows = [
        {
            "status": status,
            "at": round(time.timestamp() * 1000),
            "time": format_value(time, "moment"),
            "threads": threads,
        }
        for status, time, threads in over_time.rows()
    ]
    _lines = (
        alt.Chart(alt.InlineData(values=_rows), title="Status over time")
        .mark_line(interpolate="step-after", point=over_time["time"].n_unique() == 1)
        .encode(
            x=scale_time("at"),
            y=alt.Y("threads:Q", axis=alt.Axis(tickMinStep=1, format=",d")),
            color=color_statuses((row["status"] for row in _rows), alt.Legend(columns=4)),
            tooltip=["status:N", alt.Tooltip("time:N", title="time (UTC)"), "threads:Q"],
        )
    )
    show_chart(_lines, 220)
    return


@app.cell
def _(selection):
    percentiles = mo.sql(
        f"""
        SELECT
            role,
            count(*) FILTER (NOT is_censored) AS n_closed,
            count(*) FILTER (is_censored) AS n_open,
            quantile_disc(elapsed_seconds, 0.5) FILTER (NOT is_censored) AS p50,
            quantile_disc(elapsed_seconds, 0.9) FILTER (NOT is_censored) AS p90,
            quantile_disc(elapsed_seconds, 0.99) FILTER (NOT is_censored) AS p99,
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
        format_mapping=dict.fromkeys(durations, lambda seconds: format_value(seconds, "duration")),
        wrapped_columns=[name for name in WRAPPED if name in frame.columns],
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
    _rows = [
        {
            "role": role,
            "seconds": seconds,
            "until": until,
            "lifetime": f"{format_value(seconds, 'duration')} to {format_value(until, 'duration')}",
            "threads": threads,
        }
        for role, _, seconds, until, threads in lifetimes.rows()
    ]
    if _rows:
        _first, _last = min(row["seconds"] for row in _rows), max(row["until"] for row in _rows)
        _x = scale_durations([_first], max(_last, 100 * _first), "lifetime", 1)
        _roles = sorted({row["role"] for row in _rows})
        _bars = (
            alt.Chart(alt.InlineData(values=_rows), title="Lifetimes of closed threads")
            .mark_bar(orient="vertical")
            .encode(
                x=_x("seconds"),
                x2="until:Q",
                y=alt.Y("threads:Q", axis=alt.Axis(tickMinStep=1, format=",d")),
                color=alt.Color("role:N", scale=color_series(_roles)),
                tooltip=["role:N", "lifetime:N", "threads:Q"],
            )
        )
    show_chart(_bars, 180) if _rows else mo.md("None is closed.")
    return


@app.cell
def _(selection):
    survival = mo.sql(
        f"""
        -- Kaplan-Meier, as in analytics.survival, of what is chosen.
        WITH whole AS (SELECT *, 0 AS piece, 1 AS pieces FROM selected),

        lifetimes AS (
            SELECT *, hash(role) AS curve, hash(source, session_id) AS session
            FROM curve_lifetimes('whole')
        ),

        legend AS (
            SELECT
                curve,
                any_value(role) AS role,
                any_value(role) || ': ' || count_if(NOT is_censored) || ' closed, '
                    || count_if(is_censored) || ' open' AS threads
            FROM lifetimes
            GROUP BY curve
        )

        SELECT role, threads, t_seconds AS seconds, survival, at_risk, ci_low, ci_high
        FROM kaplan_meier_of_sessions('lifetimes')
        JOIN legend USING (curve)
        UNION ALL
        SELECT role, threads, 0, 1, NULL, NULL, NULL
        FROM legend
        ORDER BY role, seconds, survival DESC
        """,
        output=False,
        engine=selection,
    )
    return (survival,)


@app.cell
def _(survival):
    _rows = [
        row | {"after": format_value(row["seconds"], "duration")} for row in survival.to_dicts()
    ]
    _halves = [row["seconds"] for row in _rows if 2 * row["survival"] <= 1]
    _longest = max((row["seconds"] for row in _rows), default=0)
    _x = scale_durations(_halves, _longest, "time since creation", 1 / 40)
    _labels = list(dict.fromkeys(row["threads"] for row in _rows))
    _curves = (
        alt.Chart(alt.InlineData(values=_rows), title="Share still open after a time")
        .mark_line(interpolate="step-after")
        .encode(
            x=_x("seconds"),
            y=alt.Y("survival:Q", title="still open", axis=alt.Axis(format="%")),
            color=alt.Color("threads:N", scale=color_series(_labels), legend=alt.Legend(columns=1)),
            tooltip=[
                "role:N",
                alt.Tooltip("after:N"),
                alt.Tooltip("survival:Q", title="still open", format=".1%"),
                alt.Tooltip("ci_low:Q", title="at least", format=".1%"),
                alt.Tooltip("ci_high:Q", title="at most", format=".1%"),
                alt.Tooltip("at_risk:Q", title="at risk"),
            ],
        )
    )
    show_chart(_curves, 220)
    return


@app.cell
def _(selection):
    time_in_status = mo.sql(
        f"""
        -- A thread that was seen closed spends no time.
        SELECT
            status,
            count(DISTINCT (source, session_id, thread_id)) AS threads,
            sum(seconds) AS time,
            sum(seconds_low) AS low,
            sum(seconds_high) AS high,
            time / nullif(sum(time) OVER (), 0) AS share
        FROM selected_spells
        WHERE (basis IN ('open', 'vanished') OR NOT is_current)
            AND status NOT IN (SELECT status FROM statuses WHERE is_closed)
        GROUP BY status
        ORDER BY time DESC
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

    Each bar is the share of the time of all threads together, the line its bounds. Time before a
    thread was first seen, and statuses that no poll saw, are in `analytics.time_in_status`.
    """)
    _total = sum(time_in_status["time"])
    _rows = [
        {
            "name": status,
            "status": classify(status),
            "share": share,
            "low": low / _total,
            "high": high / _total,
            "end": max(share, high / _total),
            "threads": threads,
            "shown": f"{format_value(share, 'share')} · "
            f"{format_value(time / threads, 'duration')} each (n = {threads:,})",
        }
        for status, threads, time, low, high, share in time_in_status.rows()
        if share is not None
    ]
    if _rows:
        _base = alt.Chart(alt.InlineData(values=_rows)).encode(
            y=alt.Y("name:N", title=None, sort=None),
            tooltip=[
                alt.Tooltip("name:N", title="status"),
                alt.Tooltip("shown:N", title="share"),
                alt.Tooltip("low:Q", title="at least", format=".1%"),
                alt.Tooltip("high:Q", title="at most", format=".1%"),
            ],
        )
        _scale = leave_room((row["end"] for row in _rows), 2)
        _bars = _base.mark_bar(size=18).encode(
            x=alt.X("share:Q", axis=None, scale=_scale),
            color=color_statuses((row["status"] for row in _rows), None),
        )
        _lines = [
            _base.mark_rule(color=color, strokeWidth=width).encode(x="low:Q", x2="high:Q")
            for color, width in (("var(--c-card)", 6), ("var(--c-ink)", 2))
        ]
        _texts = _base.mark_text(align="left", dx=8).encode(x="end:Q", text="shown:N")
        _chart = show_chart(alt.layer(_bars, *_lines, _texts), 28 * len(_rows))
    mo.vstack([_text, _chart if _rows else mo.md("No time was seen.")])
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
            shown(agent_name) AS agent,
            shown(coalesce(session_label, session_id)) AS session,
            shown(coalesce(name, thread_id)) AS thread,
            shown(status) AS status,
            shown(role) AS role,
            shown(session_id) AS session_id,
            shown(thread_id) AS thread_id
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
    versions = mo.sql(
        f"""
        SELECT * REPLACE (shown(agent_name) AS agent_name)
        FROM analytics.agent_versions
        WHERE compared_with IS NOT NULL AND agent IN (SELECT agent FROM selected)
        ORDER BY least(failures_p_adjusted, speed_p_adjusted), n DESC, agent, version
        """,
        output=False,
        engine=selection,
    )
    return (versions,)


@app.cell
def _(versions):
    _text = mo.md("""
    ## Did a version get worse?

    Each version beside the largest that began earlier: do more of its threads `fail` by an age to
    which both were followed, and do those that do not fail live longer (`speed`)? Of all threads of
    an agent, not only of those chosen above.
    """)
    _rows = [
        {
            "agent": row["agent_name"],
            "role": row["role"],
            "version": row["version"],
            "beside": f"v{row['compared_with']}",
            "failures": row["failures"],
            "speed": row["speed"],
            "failed": format_value(row["failed_share"], "share"),
            "failed beside": format_value(row["failed_share_compared"], "share"),
            "lifetime": format_value(row["lifetime_seconds"], "duration"),
            "lifetime beside": format_value(row["lifetime_compared_seconds"], "duration"),
            "n": row["n"],
            "n beside": row["n_compared"],
            "created": row["created"],
            "created beside": row["created_lines"][0].partition(": ")[2],
            "compared": row["compared"],
        }
        for row in map(describe_version, versions.to_dicts())
    ]
    mo.vstack(
        [
            _text,
            show_table(pl.DataFrame(_rows)) if _rows else mo.md("No agent has two versions yet."),
        ]
    )
    return


@app.cell
def _(selection):
    usage = mo.sql(
        f"""
        -- What sessions used: as their own objects say, else as those threads do that are known.
        SELECT
            shown(coalesce(label, session_id)) AS session,
            tokens_from,
            format('{{}} of {{}}', tokens_known, threads + missing) AS tokens_known,
            input_tokens,
            output_tokens,
            cost_from,
            format('{{}} of {{}}', cost_known, threads + missing) AS cost_known,
            cost_amount::DOUBLE AS cost,
            shown(cost_currency) AS currency
        FROM analytics.session_summary
        SEMI JOIN selected USING (source, session_id)
        WHERE tokens_from IS NOT NULL OR cost_from IS NOT NULL
        ORDER BY cost_currency NULLS LAST, cost_amount DESC, input_tokens DESC NULLS LAST
        """,
        output=False,
        engine=selection,
    )
    return (usage,)


@app.cell
def _(usage):
    _text = mo.md("""
    ## What did it use?

    Per session, the whole of it. Costs of threads do not add up to those of their sessions, and
    different currencies are not added.
    """)
    _nothing = mo.md("The server says nothing of tokens or costs.")
    mo.vstack([_text, show_table(usage)]) if len(usage) else _nothing
    return


@app.cell
def _(selection):
    by_session = mo.sql(
        f"""
        -- Wrap what a server has written into shown(), as here.
        SELECT
            shown(coalesce(any_value(session_label), session_id)) AS session,
            count(*) AS threads,
            count(*) FILTER (is_censored) AS open,
            round(quantile_disc(elapsed_seconds, 0.5) FILTER (NOT is_censored)) AS p50,
            shown(session_id) AS session_id
        FROM selected
        GROUP BY selected.session_id
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
            shown(coalesce(label, session_id)) AS session,
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
