"""What charts and tables show: names, axes on which medians are seen, spans that fit."""

from __future__ import annotations

import statistics
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.reporting.report.axes import scale_durations
from pipelines.reporting.report.charts import draw_charts
from pipelines.reporting.report.labels import label_groups
from pipelines.reporting.report.periods import compare_periods, name_period
from pipelines.reporting.report.sections import read_sections
from pipelines.reporting.report.statuses import draw_stack
from pipelines.reporting.report.tables import make_tables
from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.sql import fetch_records, read_sql
from tests.warehouse.worlds import World, connect, parsed_analyses, simulate, state

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from pipelines.reporting.report.sections import Sections

GAVE_UP = {"retries_exhausted", "budget_reached", "refusal"}


@pytest.fixture(scope="module")
def moving() -> Iterator[tuple[World, duckdb.DuckDBPyConnection, Sections]]:
    """Give a world that moved for two days, its warehouse, and the sections of its report."""
    world = simulate(seed=3, size=150, sources=2, sessions=2, polls=13, gap=240)
    with connect(world) as connection:
        for analysis in parsed_analyses().values():
            build_analysis(connection, analysis)
        yield world, connection, read_sections(connection)


def read_world(world: World) -> Sections:
    """Return the sections of the report of a world."""
    with connect(world) as connection:
        for analysis in parsed_analyses().values():
            build_analysis(connection, analysis)
        return read_sections(connection)


def read_values(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the values of a chart's first data set."""
    return next(iter(spec["datasets"].values())) if "datasets" in spec else spec["data"]["values"]


def test_groups_of_one_name_are_told_apart() -> None:
    """Charts call agents by names, without their middle if long; those that read alike have ids."""
    long = "Code reviewer: security, licences and data protection for the {} team's monorepo"
    agents = [
        ("agent_019f3a" + "0" * 25 + "1", long.format("payments")),
        ("agent_019f3a" + "0" * 25 + "2", long.format("platform")),
        ("agent_019f3a" + "0" * 25 + "3", "planner"),
        ("agent_019f3a" + "0" * 25 + "4", "planner"),
        ("agent_019f3c" + "0" * 25 + "3", "テスト担当エージェント" * 4),
    ]
    rows: list[dict[str, Any]] = [
        {
            "dimension": "agent_version",
            "role": role,
            "agent": id_,
            "agent_version": 2,
            "name": f"{name}@2",
        }
        for id_, name in agents
        for role in ("child", "coordinator")
    ]
    rows += [{"dimension": "all", "role": "child", "agent": None, "name": "all"}]
    labels = label_groups(rows)
    assert len(set(labels)) == len(rows) == 11
    assert labels[-1] == "child"
    assert labels[0] == "Code reviewer: securi…s monorepo (agent_019f3…000001) · v2"
    assert labels[4] == "planner (agent_019f3…000003) · v2"
    assert labels[5] == f"{labels[4]} · coordinator"
    assert max(map(len, labels)) < 90


def test_tables_show_names_and_keep_ids() -> None:
    """Beside the names of session, agent and thread is the id, whole, with its middle folded."""
    ids = [f"sess_019f3a{'0' * 20}{end}" for end in ("7abcde", "8abcde")]
    world = World()
    for id_, label in zip(ids, ("Nightly regression", None), strict=True):
        asks = state("sthr_1", "idle", 0, 1, stop_reason_type="requires_action", agent_id="agent_1")
        world.poll(
            500, asks | {"agent_name": "planner", "name": "a task"}, session_id=id_, label=label
        )
    table = make_tables(read_world(world))["attention"]
    fields = [column.field for column in table.layout.columns]
    rows = [dict(zip(fields, row, strict=True)) for row in table.rows]
    shown = {row["session"].text: row["session"].id for row in rows}
    assert {"".join(parts or ()) for parts in shown.values()} == set(ids)
    assert len({f"{parts[0]}…{parts[2]}" for parts in shown.values() if parts}) == 2
    assert shown.keys() == {"Nightly regression", ""}
    assert [(row["agent"].text, row["thread"].text) for row in rows] == [("planner", "a task")] * 2


@pytest.mark.parametrize(
    ("medians", "longest", "begins"),
    [
        ([240.0, 300.0], 2 * 86400.0, 60),  # minutes, with a tail of days
        ([0.5, 40.0], 60.0, 0.1),
        ([7 * 86400.0], 400 * 86400.0, 86400),
        ([3600.0], 7200.0, None),
        ([0.0], 5.0, None),
    ],
)
def test_medians_are_seen(medians: list[float], longest: float, begins: float | None) -> None:
    """An axis is logarithmic, and begins near the shortest median, if medians would be no line."""
    axis: Any = scale_durations(medians, longest, "lifetime", 1 / 4)("p50").to_dict()
    if begins is None:
        assert axis["scale"]["domain"] == [0, longest]
    else:
        assert (axis["scale"]["type"], axis["scale"]["domain"]) == ("log", [begins, longest])
        assert "logarithmic" in axis["title"]
    assert 2 <= len(axis["axis"]["values"]) <= 8


def test_threads_that_lived_for_no_time_stand_at_the_beginning() -> None:
    """An axis is as long as its smallest step at least: what is almost 0 is not at its end."""
    axis: Any = scale_durations([0.001], 0.001, "lifetime", 1 / 4)("p50").to_dict()
    assert axis["scale"]["domain"] == [0, 0.01]
    assert axis["axis"]["values"] == [0, 0.01]


@pytest.mark.parametrize(
    ("gap", "polls", "seconds", "most"),
    [(1, 4, 60, 4), (20, 7, 60, 121), (240, 12, 1800, 89), (1440, 60, 43200, 119)],
)
def test_spans_fit_the_time_that_was_polled(gap: int, polls: int, seconds: int, most: int) -> None:
    """A first hour has a value each minute, a month one each half day, never one for all."""
    world = World()
    for number in range(polls):
        world.poll(gap * number, state("a", "running", 0, gap * number))
    with connect(world) as connection:
        rows = fetch_records(connection, dict(read_sql("report"))["status_over_time"])
    assert {row["ends_at"] - row["starts_at"] for row in rows} == {timedelta(seconds=seconds)}
    assert 2 <= len(rows) <= most
    assert {row["threads"] for row in rows} == {1}


def test_counts_over_time_are_those_of_the_analysis(
    moving: tuple[World, duckdb.DuckDBPyConnection, Sections],
) -> None:
    """At the end of each hour the report and status_over_time count the same."""
    _, connection, sections = moving
    rows = sections["status_over_time"].rows
    shown = {(row["ends_at"], row["status"]): row["threads"] for row in rows}
    hours = fetch_records(
        connection,
        """SELECT hour + INTERVAL 1 HOUR AS ends_at, status, sum(threads)::BIGINT AS threads
        FROM analytics.status_over_time WHERE status IN ('running', 'idle', 'archived')
        AND hour < (SELECT max(hour) FROM analytics.status_over_time) GROUP BY ALL""",
    )
    assert len(hours) > 100
    assert [shown[row["ends_at"], row["status"]] for row in hours] == [
        row["threads"] for row in hours
    ]


def test_time_in_status_is_a_share(
    moving: tuple[World, duckdb.DuckDBPyConnection, Sections],
) -> None:
    """Time in a status is said as a share of all time, and for each thread that had it."""
    _, connection, sections = moving
    of_all = "SELECT sum(seconds) AS s, max(seconds) AS longest FROM analytics.time_in_status"
    (total,) = fetch_records(connection, f"{of_all} WHERE dimension = 'all'")
    rows = sections["time_in_status"].rows
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    for row in rows:
        assert row["share"] == pytest.approx(row["seconds"] / total["s"])
        assert row["seconds_each"] == pytest.approx(row["seconds"] / row["threads"])
        assert 0 <= row["share_low"] <= row["share"] <= row["share_high"] + 1e-9 <= 1 + 1e-9
    shown = [value["shown"] for value in read_values(draw_charts(sections)["time_in_status"].spec)]
    assert all("%" in text and text.endswith(" each") for text in shown)


def test_flow_counts_what_was_created_and_closed(
    moving: tuple[World, duckdb.DuckDBPyConnection, Sections],
) -> None:
    """Spans hold every birth and closing once, and the peak is the most that were open at once."""
    world, connection, sections = moving
    rows = sections["flow"].rows
    born = [row["created_at"] for row in world.threads.values()]
    assert sum(row["created"] for row in rows) == len(born)
    for row in rows[:-1]:
        assert row["created"] == sum(row["starts_at"] <= birth < row["ends_at"] for birth in born)
    (now,) = fetch_records(
        connection,
        "SELECT sum(change)::BIGINT AS open, count_if(is_completion) AS closed FROM open_changes",
    )
    assert sum(row["closed"] for row in rows) == now["closed"]
    assert rows[-1]["peak"] >= now["open"]
    assert 20 < len(rows) <= 62
    days = sections["throughput"].rows
    table = fetch_records(connection, "FROM analytics.throughput ORDER BY day DESC, source, role")
    assert days == [{name: row[name] for name in days[0]} for row in table]
    assert sum(row["created"] for row in days) == len(born)
    assert [row["day"] for row in days] == sorted((row["day"] for row in days), reverse=True)


def test_periods_are_compared(
    moving: tuple[World, duckdb.DuckDBPyConnection, Sections],
) -> None:
    """The newest day stands beside the one before, each counted from the threads themselves."""
    _, connection, sections = moving
    rows = sections["periods"].rows
    (present,) = fetch_records(connection, "SELECT max(as_of) AS as_of FROM source_as_of")
    threads = fetch_records(connection, "FROM analytics.thread_durations")
    assert name_period(rows) == "day"
    for ago, row in enumerate(rows):
        until = present["as_of"] - timedelta(days=ago)
        closed = [
            thread
            for thread in threads
            if not thread["is_censored"]
            and thread["closed_at"]
            and until - timedelta(days=1) < thread["closed_at"] <= until
        ]
        failed = [
            thread
            for thread in closed
            if thread["basis"] == "terminated" or thread["stop_reason_type"] in GAVE_UP
        ]
        lifetimes = [
            thread["elapsed_seconds"]
            for thread in closed
            if thread["role"] == "child" and thread["elapsed_seconds"] is not None
        ]
        assert (row["closed"], row["n_lifetimes"]) == (len(closed), len(lifetimes))
        assert row["failed_share"] == pytest.approx(len(failed) / len(closed))
        assert row["median_lifetime"] == pytest.approx(statistics.median_low(lifetimes))
    changes = {change.title: change for change in compare_periods(rows)}
    factor = rows[0]["created"] / rows[1]["created"] - 1
    assert changes["created"].change == f"{factor:+.0%}"


def test_versions_stand_beside_the_one_they_are_compared_with(
    moving: tuple[World, duckdb.DuckDBPyConnection, Sections],
) -> None:
    """A version has both verdicts, and below each figure its interval and the same of the other."""
    _, _, sections = moving
    table = make_tables(sections)["versions"]
    titles = [column.title for column in table.layout.columns]
    compared = [row for row in sections["versions"].rows if row["failed_share_low"] is not None]
    shown = [dict(zip(titles, row, strict=True)) for row in table.rows]
    row, cells = next(
        (row, cells)
        for row, cells in zip(sections["versions"].rows, shown, strict=True)
        if row in compared
    )
    beside = f"v{row['compared_with']}"
    assert cells["version"].lines == [f"beside {beside}"]
    assert (cells["failures"].text, cells["speed"].text) == (row["failures"], row["speed"])
    low, high = (f"{row[name]:.1%}" for name in ("failed_share_low", "failed_share_high"))
    assert cells["failed by the age"].lines[0] == f"({low} to {high})"
    for title in ("failed by the age", "typical lifetime", "threads (n)", "created (UTC)"):
        assert any(line.startswith(f"{beside}: ") for line in cells[title].lines)
    assert not any("�" in cell.text for cell in cells.values())


def test_usage_is_of_those_that_say_it() -> None:
    """Tokens and costs stand beside how many say them, all agents first; else there is nothing."""
    used = {"input_tokens": 100, "output_tokens": 7, "cost_amount": 0.25, "cost_currency": "USD"}
    fields: dict[str, Any] = {"agent_name": "planner", "agent_id": "agent_1"}
    world = World()
    world.poll(10, state("a", "archived", 0, 5, **fields, **used), state("b", **fields))
    quiet = World()
    quiet.poll(10, state("a", "archived", 0, 5), state("b"))
    sections = [read_world(given) for given in (world, quiet)]
    shown = [make_tables(each)["usage"] for each in sections]
    rows = [[cell.text for cell in row] for row in shown[0].rows]
    ((_, *row),) = make_tables(sections[0])["session_usage"].rows
    said = "1 of 2 threads"
    assert [cell.text for cell in row] == ["100", "7", said, "0.25", "USD", said, "qoder"]
    assert rows[0] == ["all agents", "2", "1", "100", "7", "–", "1", "0.25", "USD", "0.25"]  # noqa: RUF001
    assert rows[1][0] == "planner"
    assert shown[1].rows == make_tables(sections[1])["session_usage"].rows == []


def test_one_poll_has_no_period_and_no_course() -> None:
    """Of a single poll nothing is drawn over time, and nothing is compared."""
    world = World()
    world.poll(10, state("a", "running", 0, 5), state("b", "terminated", 0, 5))
    queries = dict(read_sql("report"))
    with connect(world) as connection:
        build_analysis(connection, parsed_analyses()["thread_durations"])
        assert compare_periods(fetch_records(connection, queries["periods"])) == []
        counts = fetch_records(connection, queries["status_over_time"])
    assert {(row["status"], row["threads"]) for row in counts} == {
        ("running", 1),
        ("terminated", 1),
    }
    assert draw_stack("status_over_time", "", "", counts) is None
