"""The demo: a made-up fleet, polled several times while it evolves."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import yaml

from pipelines import steps
from pipelines.cli.analysis import Choice, write_analysis
from pipelines.cli.console import print_heading, print_summary
from pipelines.cli.exit_status import ExitStatus, exit_of_run
from pipelines.cli.printing import echo
from pipelines.cli.progress import watch_poll
from pipelines.cli.target import Target
from pipelines.config.loader import load_settings
from pipelines.config.settings import data_home
from pipelines.errors import SessionThreadsError
from pipelines.files import make_private
from pipelines.providers.registry import PROVIDERS
from pipelines.sandbox.server import TOKEN, Sandbox, serve
from pipelines.sandbox.world import World, draw_sizes
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.place import open_warehouse

if TYPE_CHECKING:
    from pathlib import Path

POLLS = 4
PAUSE_S = 1.5
LONGEST_ERROR = 500
TURN_S = 2.0


def play() -> ExitStatus:
    """Poll the fleet, and show what is known of it then; stop at a poll that fails."""
    home = data_home() / "demo"
    shutil.rmtree(home, ignore_errors=True)
    world = World(draw_sizes(8, 400), turn_s=TURN_S)
    with serve(Sandbox(world).app) as base_url:
        settings = write_settings(home, base_url, world)
        forget_variables()
        os.environ |= {
            "SESSION_THREADS_HOME": str(home),
            "SESSION_THREADS_CONFIG": str(settings),
            "SANDBOX_PAT": TOKEN,
        }
        print_heading(f"Poll 1 of {POLLS}, as Dagster's job")
        run_dagster_job()
        for number in range(2, POLLS + 1):
            time.sleep(PAUSE_S)
            print_heading(f"Poll {number} of {POLLS}, by the command")
            with watch_poll() as progress:
                result = steps.run(load_settings(PROVIDERS), progress=progress)
            print_summary(result, verbose=True)
            if (ending := exit_of_run(result.ledger, result.findings)).error:
                return ending
    show_analyses()
    echo(f"The database: {home / 'threads.duckdb'}")
    echo("To look further:")
    echo("")
    for variable, path in (("HOME", home), ("CONFIG", settings)):
        echo(f"export SESSION_THREADS_{variable}={shlex.quote(str(path))}")
    return ExitStatus()


def forget_variables() -> None:
    """Forget what the environment says of sources: the demo brings one."""
    for provider in PROVIDERS.values():
        for variable in (provider.base_url_variable, provider.session_ids_variable):
            os.environ.pop(variable or "", None)


def run_dagster_job() -> None:
    """Run the job as Dagster runs it, in a separate process that no instance of yours records.

    Raises SessionThreadsError if it fails.
    """
    command = [sys.executable, "-m", "dagster", "job", "execute", "-j", "poll_threads"]
    environ = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    done = subprocess.run(  # noqa: S603 - this interpreter
        [*command, "-m", "pipelines.definitions"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SessionThreadsError(f"Dagster's job failed: {done.stderr[-LONGEST_ERROR:]}")
    echo("Assets: sessions → thread_pages → threads → the analyses → published_database")


def show_analyses() -> None:
    """Print some rows of three analyses, each below the command that gives them."""
    warehouse, analyses, target = open_warehouse(data_home()), list_analyses(), Target()
    print_heading("session-threads show status_distribution --where \"dimension = 'all'\"")
    write_analysis(warehouse, analyses["status_distribution"], target, Choice("dimension = 'all'"))
    for name in ("thread_durations", "attention"):
        print_heading(f"session-threads show {name} --limit 2")
        write_analysis(warehouse, analyses[name], target, Choice(limit=2))


def write_settings(home: Path, base_url: str, world: World) -> Path:
    """Write the demo's own configuration and return its path."""
    source = {
        "name": "sandbox",
        "base_url": base_url,
        "token_env": "SANDBOX_PAT",
        "sessions": [{"id": id_, "label": plan.title} for id_, plan in world.sessions.items()],
    }
    make_private(home)
    path = home / "sessions.yaml"
    path.write_text(yaml.safe_dump({"sources": [source]}, sort_keys=False), encoding="utf-8")
    return path
