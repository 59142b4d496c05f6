"""The command `session-threads`: run the job, look at what it made, check what it needs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pipelines import __version__
from pipelines.errors import (
    TOKEN_REFUSED,
    SessionThreadsError,
    TokenRefused,
    WarehouseError,
)
from pipelines.sandbox.command import sandbox

if TYPE_CHECKING:
    Records = list[dict[str, Any]]

DEMO_POLLS = 4
DEMO_PAUSE_S = 1.5
DEMO_TURN_S = 2.0

# Imports of what one command alone needs stand in that command: --help answers at once.


class Cli(click.Group):
    """Turns every failure of ours into one line on standard error and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as in click
        """Run a command; a traceback only with --debug."""
        try:
            return super().invoke(ctx)
        except SessionThreadsError as error:
            if ctx.params["debug"]:
                raise
            fail(str(error), error.exit_code)
        except KeyboardInterrupt:
            fail("interrupted", 130)  # as a shell says of a command that Ctrl-C ended


def fail(message: str, exit_code: int) -> NoReturn:
    """End the command with one line on standard error."""
    click.echo(f"session-threads: {' '.join(message.split())}", err=True)
    sys.exit(exit_code)


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks and Dagster's log.")
@click.version_option(__version__, prog_name="session-threads")
def main(*, debug: bool) -> None:
    """Every thread of your agent sessions, polled into DuckDB."""
    del debug


@main.command()
@click.option("--session", "sessions", multiple=True, metavar="ID", help="Only this session.")
@click.option("--status", "statuses", multiple=True, metavar="S", help="Only this status.")
@click.pass_context
def run(ctx: click.Context, sessions: tuple[str, ...], statuses: tuple[str, ...]) -> None:
    """Poll every configured session once, load, analyse and publish.

    Listing a session that has no thread yet makes the server create its coordinator.

    Exit status: 0 all complete, 1 some sessions failed, 2 configuration, 3 token refused,
    4 nothing could be loaded.
    """
    conclude(*run_job(sessions, statuses, debug=ctx.find_root().params["debug"]))


def run_job(
    sessions: tuple[str, ...] = (), statuses: tuple[str, ...] = (), *, debug: bool = False
) -> tuple[Records, list[str]]:
    """Run Dagster's job in this process and print its summary.

    Returns its rows of the ledger, and what the checks of analyses have found.
    """
    from pipelines.api.poll import Scope
    from pipelines.console import print_summary, watch_poll
    from pipelines.definitions import run_poll
    from pipelines.settings import data_home, load_settings
    from pipelines.warehouse.database import open_warehouse
    from pipelines.warehouse.load import read_drift, read_ledger

    load_settings()
    started = time.monotonic()
    with watch_poll() as observer:
        run_id, found = run_poll(Scope(sessions, statuses), observer, debug=debug)
    with open_warehouse(data_home()) as connection:
        ledger, drift = read_ledger(connection, [run_id]), read_drift(connection, [run_id])
    print_summary(ledger, drift, time.monotonic() - started, data_home())
    return ledger, found


def conclude(ledger: Records, found: list[str]) -> None:
    """End the command as the ledger says: in silence where every session is complete.

    What analyses' checks have found ends it with 1, and is passed over by a worse end.
    """
    from pipelines.warehouse.build import KEPT
    from pipelines.warehouse.load import ENDED_WELL

    failing = [row for row in ledger if row["outcome"] not in ENDED_WELL]
    if not failing:
        if found:
            fail(f"{'; '.join(found)}. {KEPT}", 1)
        return
    refused = [row for row in failing if row["error_type"] == TOKEN_REFUSED]
    first = (refused or failing)[0]
    message = str(first["error_message"]).rstrip(".")
    reason = f"session {first['session_id']}: {first['outcome']}: {message}"
    if refused:
        fail(
            f"the token was refused: {reason}. Put a valid token into its variable",
            TokenRefused.exit_code,
        )
    if all(row["outcome"] == "gone" for row in ledger):
        fail(
            f"no session is known to the server: is base_url right? {reason}",
            WarehouseError.exit_code,
        )
    if not any(row["pages"] for row in ledger):
        fail(
            f"nothing could be loaded from {len(ledger)} sessions; {reason}",
            WarehouseError.exit_code,
        )
    fail(f"{len(failing)} of {len(ledger)} sessions are not complete; {reason}", 1)


@main.command()
def check() -> None:
    """Validate configuration, token and warehouse; makes one authenticated request.

    Exit status: 0 all is well, 2 something must be mended, 3 token refused.
    """
    try:
        check_everything()
    except SessionThreadsError as error:
        fail(str(error), TokenRefused.exit_code if isinstance(error, TokenRefused) else 2)


def check_everything() -> None:
    """Say what is right, line by line; raise what is wrong."""
    import asyncio

    from pipelines.api.client import open_client
    from pipelines.settings import Source, data_home, load_settings
    from pipelines.warehouse.database import open_warehouse

    async def ask(source: Source) -> None:
        async with open_client(source.model_copy(update={"max_attempts": 1})) as client:
            await client.list_threads(source.sessions[0].id, limit=1)

    for source in load_settings().sources:
        click.echo(f"source {source.name}: {source.base_url}, {len(source.sessions)} sessions")
        asyncio.run(ask(source))
        click.echo(f"source {source.name}: the token is accepted")
    with open_warehouse(data_home()) as connection:
        counted = connection.execute("SELECT count(*) FROM threads").fetchone()
    click.echo(f"warehouse: {data_home()}, {counted[0] if counted else 0} threads")


@main.command()
def status() -> None:
    """Show one line per session: last complete poll, threads, open ones, last error.

    Exit status: 0 all is well, 1 a session is failing, stale, or was never polled.
    """
    from datetime import UTC, datetime

    from pipelines.console import print_health
    from pipelines.settings import data_home, load_settings
    from pipelines.warehouse.health import read_health

    settings = load_settings(with_tokens=False)
    lines = read_health(data_home(), settings, datetime.now(UTC))
    print_health(lines)
    troubled = [line for line in lines if line.state != "ok"]
    if troubled:
        first = troubled[0]
        fail(f"{len(troubled)} of {len(lines)} sessions: {first.session} is {first.state}", 1)


@main.command()
@click.option("--partial", is_flag=True, help="Also where pages of some loaded runs are gone.")
@click.option("--skip-damaged", is_flag=True, help="Leave out files that cannot be read.")
def replay(*, partial: bool, skip_damaged: bool) -> None:
    """Rebuild the tables from the landed pages, offline, and publish them."""
    from pipelines.settings import data_home, load_analyses_dir, load_analysis_settings
    from pipelines.warehouse.analyses import list_analyses
    from pipelines.warehouse.build import write_settings
    from pipelines.warehouse.database import open_warehouse
    from pipelines.warehouse.publication import publish
    from pipelines.warehouse.replay import replay as replay_landed

    replayed = replay_landed(data_home(), partial=partial, skip_damaged=skip_damaged)
    for file in replayed.skipped:
        click.echo(f"left out: {file}", err=True)
    with open_warehouse(data_home()) as connection:
        write_settings(connection, load_analysis_settings())
    path = publish(data_home(), list_analyses(load_analyses_dir()), whole=True)
    click.echo(f"replayed {len(replayed.runs)} runs. Data: {path}")


FORMATS = click.Choice(["table", "csv", "json", "parquet"])


@main.command()
@click.argument("name", required=False)
@click.option("--format", "form", type=FORMATS, help="By default what --out ends in, else table.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option("--where", metavar="SQL", help="Only rows for which this holds.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most so many rows.")
def show(
    name: str | None, form: str | None, out: Path | None, where: str | None, limit: int | None
) -> None:
    """Show one analysis; without NAME, list them all."""
    from pipelines.console import write_analysis, write_catalogue
    from pipelines.settings import load_analyses_dir
    from pipelines.warehouse.analyses import list_analyses

    analyses = list_analyses(load_analyses_dir())
    if name is None:
        if where is not None or limit is not None:
            fail("--where and --limit need the NAME of an analysis", 2)
        write_catalogue({name: analyses[name].header.answers for name in analyses}, form, out)
        return
    if name not in analyses:
        raise click.BadParameter(f"{name!r} is none of {', '.join(analyses)}.", param_hint="NAME")
    write_analysis(analyses[name], form, out, where, limit)


@main.command()
@click.argument("query")
@click.option("--format", "form", type=FORMATS, help="By default what --out ends in, else table.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def sql(query: str, form: str | None, out: Path | None) -> None:
    """Run QUERY on the published database, read-only."""
    from pipelines.console import write_query

    write_query(query, form, out)


@main.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of one in the data directory.",
)
def report(out: Path | None) -> None:
    """Write what is published as one HTML file, which opens anywhere and asks no network."""
    from pipelines.report.file import write_report
    from pipelines.settings import data_home

    click.echo(f"report: {write_report(data_home(), out)}")


main.add_command(sandbox)


@main.command()
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Poll a made-up fleet several times while it evolves; show what is known of it then."""
    import shutil

    from pipelines.console import print_heading, write_analysis
    from pipelines.sandbox.server import TOKEN, Sandbox, serve
    from pipelines.sandbox.world import World, draw_sizes
    from pipelines.settings import data_home
    from pipelines.warehouse.analyses import list_analyses

    home = data_home() / "demo"
    shutil.rmtree(home, ignore_errors=True)
    os.environ.pop("DAGSTER_HOME", None)  # what is made up is no run of yours to remember
    world = World(draw_sizes(8, 400), turn_s=DEMO_TURN_S)
    with serve(Sandbox(world).app) as base_url:
        os.environ |= {
            "SESSION_THREADS_HOME": str(home),
            "SESSION_THREADS_CONFIG": str(
                write_demo_settings(home, base_url, list(world.sessions))
            ),
            "SANDBOX_PAT": TOKEN,
        }
        for poll in range(DEMO_POLLS):
            time.sleep(DEMO_PAUSE_S if poll else 0)
            print_heading(f"Poll {poll + 1} of {DEMO_POLLS}")
            conclude(*run_job(debug=ctx.find_root().params["debug"]))
    analyses = list_analyses()
    print_heading("session-threads show status_distribution --where \"dimension = 'all'\"")
    write_analysis(analyses["status_distribution"], "table", None, "dimension = 'all'", None)
    for name in ("thread_durations", "attention"):
        print_heading(f"session-threads show {name} --limit 2")
        write_analysis(analyses[name], "table", None, None, 2)
    click.echo(f"The database: {home / 'threads.duckdb'}")


def write_demo_settings(home: Path, base_url: str, session_ids: list[str]) -> Path:
    """Write the demo's own configuration and return its path."""
    import yaml

    from pipelines.landing import make_private

    source = {
        "name": "sandbox",
        "base_url": base_url,
        "token_env": "SANDBOX_PAT",
        "sessions": [{"id": id_, "label": f"demo {i}"} for i, id_ in enumerate(session_ids, 1)],
    }
    make_private(home)
    path = home / "sessions.yaml"
    path.write_text(yaml.safe_dump({"sources": [source]}, sort_keys=False), encoding="utf-8")
    return path
