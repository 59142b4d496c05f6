"""What Dagster is given: the assets, the job and its schedule, and the one name of the location."""

from __future__ import annotations

import keyword
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.utils import DISALLOWED_NAMES
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from pipelines.config.settings import Settings
from pipelines.definitions import defs
from pipelines.defs.schedule import TABLES
from pipelines.landing.format import PAGES
from pipelines.warehouse.analyses import TAKEN, list_analyses
from pipelines.warehouse.analysis import parse_analysis
from tests.builders import OWN
from tests.support import ROOT

FILES = sorted((ROOT / "sql" / "analyses").glob("*.sql"))
ANALYSES = {path.stem for path in FILES}


def read_graph() -> dict[str, set[str]]:
    """Return asset -> the assets it waits for."""
    graph = defs().resolve_asset_graph()
    return {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }


def read_schedule() -> dg.ScheduleDefinition:
    """Return the schedule as the definitions give it now."""
    return defs().resolve_schedule_def("poll_threads_schedule")


def test_assets() -> None:
    """Data flows from sessions to pages, threads, an asset per analysis file, copy and report."""
    after = {name: list_analyses()[name].after for name in ANALYSES}
    assert after["duration_percentiles"] == {"survival", "thread_durations"}
    assert read_graph() == {
        "sessions": set(),
        "thread_pages": {"sessions"},
        "threads": {"thread_pages"},
        **{name: {"threads"} | after[name] for name in ANALYSES},
        "published_database": {"threads"} | ANALYSES,
        "report": {"published_database"},
    }


@pytest.mark.parametrize(
    ("job", "assets"),
    [
        ("poll_threads", {"sessions", "thread_pages", "threads", *ANALYSES, "published_database"}),
        ("write_report", {"report"}),
    ],
)
def test_jobs(job: str, assets: set[str]) -> None:
    """The job `poll_threads` runs all that there is but the report, which has a separate job."""
    selected = defs().resolve_job_def(job).asset_layer.selected_asset_keys
    assert {key.to_user_string() for key in selected} == assets


def test_columns_of_pages() -> None:
    """What Dagster shows of a landed file are its columns, with their types."""
    spec = defs().resolve_asset_graph().get(dg.AssetKey("thread_pages"))
    shown = {column.name: column.type for column in spec.metadata["dagster/column_schema"].columns}
    assert shown == {name: str(type_) for name, type_ in PAGES.items()}


def test_check_of_sessions() -> None:
    """Whether every session was listed to its end is a check of the asset `threads`."""
    keys = defs().resolve_asset_graph().asset_check_keys
    assert dg.AssetCheckKey(dg.AssetKey("threads"), "every_session_complete") in keys


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_code_version_follows_the_file(path: Path) -> None:
    """Dagster calls an analysis stale as soon as its file is another one, and not before."""
    text = path.read_text(encoding="utf-8")
    version = defs().resolve_asset_graph().get(dg.AssetKey(path.stem)).code_version
    assert version == parse_analysis(path.stem, text).version
    assert version != parse_analysis(path.stem, f"{text}\n-- changed\n").version


def test_schedules_by_default() -> None:
    """Polls run every 15 minutes, the report is drawn every hour: once someone has said so."""
    found = [
        (schedule.name, schedule.job_name, schedule.cron_schedule, schedule.default_status)
        for schedule in defs().schedules or ()
        if isinstance(schedule, dg.ScheduleDefinition)
    ]
    stopped = dg.DefaultScheduleStatus.STOPPED
    assert found == [
        ("poll_threads_schedule", "poll_threads", "*/15 * * * *", stopped),
        ("write_report_schedule", "write_report", "7 * * * *", stopped),
    ]


STATES = dg.DagsterRunStatus
POLL = "poll_threads"


@pytest.mark.parametrize(
    ("runs", "ahead"),
    [
        ([], 0),
        ([(POLL, STATES.STARTED), (POLL, STATES.QUEUED), (POLL, STATES.QUEUED)], 3),
        ([(POLL, STATES.STARTING)], 1),
        ([(POLL, STATES.CANCELING)], 1),
        ([(POLL, STATES.STARTED)] * 5, 5),
        ([(POLL, STATES.SUCCESS), (POLL, STATES.FAILURE), (POLL, STATES.CANCELED)], 0),
        ([(POLL, STATES.NOT_STARTED)], 0),
        ([("write_report", STATES.STARTED), ("write_report", STATES.QUEUED)], 0),
        ([(POLL, STATES.STARTED, "another_team")], 0),
    ],
)
def test_tick_beside_other_runs(
    runs: list[tuple[Any, ...]], ahead: int, instance: dg.DagsterInstance
) -> None:
    """A tick asks for a run unless one of the job runs or waits; it names those, three at most."""
    location = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("pipelines"), "__repository__")
    for job, status, *team in runs:
        origin, tags = RemoteJobOrigin(location, job), {TABLES: (*team, "file")[0]}
        instance.add_run(dg.DagsterRun(job, status=status, tags=tags, remote_job_origin=origin))
    recorded = instance.get_runs()
    tick = read_schedule().evaluate_tick(dg.build_schedule_context(instance))
    for run in recorded:
        instance.delete_run(run.run_id)
    assert len(tick.run_requests or ()) == (ahead == 0)
    if ahead:
        reason = str(tick.skip_message)
        assert reason.startswith(f"{ahead} of poll_threads not finished: ")
        named = [f"{run.run_id} is {run.status.value.lower()}" in reason for run in recorded]
        assert sum(named) == min(ahead, 3)


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("poll_interval_minutes: 5", "*/5 * * * *"),
        ("poll_interval_minutes: 60", "0 * * * *"),
        ("poll_interval_minutes: 7", "*/15 * * * *"),
        ("poll_interval_minutes: [5", "*/15 * * * *"),
        ("- no mapping", "*/15 * * * *"),
    ],
)
def test_schedule_follows_the_settings(text: str, cron: str) -> None:
    """The file sets the interval; a broken one leaves the schedule there, with its default."""
    Path("sessions.yaml").write_text(text, encoding="utf-8")
    assert read_schedule().cron_schedule == cron


def test_freshness_follows_the_settings() -> None:
    """What every run makes is overdue after two of the configured intervals."""
    Path("sessions.yaml").write_text("poll_interval_minutes: 5", encoding="utf-8")
    graph = defs().resolve_asset_graph()
    expected = dg.FreshnessPolicy.time_window(fail_window=timedelta(minutes=10))
    for name in ("sessions", "thread_pages", "threads", "published_database"):
        assert graph.get(dg.AssetKey(name)).freshness_policy == expected


def test_every_asset_says_what_it_is() -> None:
    """Every asset has a description, an owner, a kind and a group."""
    graph = defs().resolve_asset_graph()
    for node in map(graph.get, graph.get_all_asset_keys()):
        assert node.description
        assert node.owners == ["team:session-threads"]
        assert node.kinds
        assert node.group_name in {"ingestion", "analyses", "publication"}


def test_documented_run_config() -> None:
    """The page on Dagster shows a run config that the job takes, and a setting that is one."""
    text = (ROOT / "docs" / "dagster.md").read_text(encoding="utf-8")
    run_config, settings = re.findall(r"^```yaml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    job = defs().resolve_job_def("poll_threads")
    assert dg.validate_run_config(job, yaml.safe_load(run_config))
    assert yaml.safe_load(settings).keys() <= Settings.model_fields.keys()


def test_documented_checks() -> None:
    """Every check that no analysis' header names stands in the page on Dagster."""
    text = (ROOT / "docs" / "dagster.md").read_text(encoding="utf-8")
    keys = defs().resolve_asset_graph().asset_check_keys
    for key in keys:
        if key.asset_key.to_user_string() not in ANALYSES or key.name == "nothing_is_odd":
            assert f"| `{key.name}`" in text


def test_one_name_of_the_location() -> None:
    """`dagster-webserver` and `dg` give the location the same name: a schedule's state is by it."""
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (entry,) = workspace["load_from"]
    dg_project = project["tool"]["dg"]["project"]
    assert entry["python_module"] == {
        "module_name": dg_project["code_location_target_module"],
        "location_name": dg_project["code_location_name"],
    }


def test_names_that_dagster_keeps() -> None:
    """No file may take a name that Dagster would reject, and all the others with it."""
    assert TAKEN.union(keyword.kwlist) >= DISALLOWED_NAMES


@pytest.mark.slow
def test_any_own_file(tmp_path: Path) -> None:
    """Whatever lies in a directory of the user's own, the job is there."""
    for name, text in OWN.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    Path("sessions.yaml").write_text("analyses_dir: .\n")
    assert {"good", "order", "class_is_broken", "a"} < read_graph().keys()
    assert defs().resolve_job_def("poll_threads")
