"""The command `session-threads`: run the job, look at what it made, check what it needs."""

from __future__ import annotations

import atexit
import gc
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pipelines import __version__
from pipelines.errors import SessionThreadsError, TokenRejected
from pipelines.reporting.wording import count, to_printable
from pipelines.sandbox.command import sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.cli.exit_status import ExitStatus

SELDOM = (50_000, 20, 100)

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
    line = to_printable(" ".join(message.split()))
    click.echo(f"session-threads: {line}", err=True)
    sys.exit(exit_code)


def end_at_once() -> None:
    """Leave the last look through all objects out, unless DuckDB 2 would call them leaked."""
    duckdb = sys.modules.get("duckdb")
    if duckdb is None or duckdb.__version__.startswith("1."):
        gc.freeze()


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks and Dagster's log.")
@click.version_option(__version__, prog_name="session-threads")
def main(*, debug: bool) -> None:
    """Every thread of your agent sessions, polled into DuckDB."""
    del debug
    # Imports make millions of objects that stay: looking through them at every turn, and once more
    # at the end, takes a third of a short command's time.
    gc.set_threshold(*SELDOM)
    atexit.register(end_at_once)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that the locale has no letters for


@main.command()
@click.option("--session", "sessions", multiple=True, metavar="ID", help="Only this session.")
@click.option("--status", "statuses", multiple=True, metavar="S", help="Only this status.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines.")
@click.pass_context
def run(
    ctx: click.Context, sessions: tuple[str, ...], statuses: tuple[str, ...], *, as_json: bool
) -> None:
    """Poll every configured session once, load, analyse and publish.

    Listing a session that has no thread yet makes the server create its coordinator.

    Exit status: 0 all complete, 1 some sessions failed, 2 configuration, 3 token rejected,
    4 nothing could be loaded.
    """
    from pipelines.cli.console import print_run_json, print_summary, watch_poll
    from pipelines.cli.exit_status import exit_of_run
    from pipelines.cli.job import run_job
    from pipelines.records import Selection

    with watch_poll() as progress:
        result = run_job(
            Selection(sessions, statuses), progress, debug=ctx.find_root().params["debug"]
        )
    verdict = exit_of_run(result.ledger, result.findings)
    if as_json:
        print_run_json(result, verdict)
    else:
        print_summary(result)
    conclude(verdict)


def conclude(verdict: ExitStatus) -> None:
    """End the command in silence where all is well, else with the line that says why it is not."""
    if verdict.error:
        fail(verdict.error, verdict.exit_status)


@main.command()
def check() -> None:
    """Validate configuration, token and warehouse.

    Asks for one thread of the first session of each source.

    Exit status: 0 all is well, 2 something must be fixed, 3 token rejected.
    """
    from pipelines.cli.doctor import diagnose

    try:
        for line in diagnose():
            click.echo(line)
    except SessionThreadsError as error:
        fail(error.advise(), TokenRejected.exit_code if isinstance(error, TokenRejected) else 2)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines.")
def status(*, as_json: bool) -> None:
    """Show how each session fares, a line each.

    That is its last complete poll, its threads, the open ones, and its last error.

    Exit status: 0 all is well, 1 a session is failing, stale, or was never polled.
    """
    from datetime import UTC, datetime

    from pipelines.cli.console import print_health, print_health_json
    from pipelines.cli.exit_status import exit_of_health
    from pipelines.config.settings import data_home, load_settings
    from pipelines.reporting.health import read_health

    now = datetime.now(UTC)
    lines = read_health(data_home(), load_settings(with_tokens=False), now)
    verdict = exit_of_health(lines)
    if as_json:
        print_health_json(lines, now, verdict)
    else:
        print_health(lines, now)
    conclude(verdict)


@main.command()
@click.option("--partial", is_flag=True, help="Also where pages of some loaded runs are gone.")
@click.option("--skip-damaged", is_flag=True, help="Leave out files that cannot be read.")
def replay(*, partial: bool, skip_damaged: bool) -> None:
    """Rebuild the tables from the landed pages, offline.

    They are published when all is done.
    """
    from pipelines.config.settings import data_home, load_analyses_dir, load_analysis_settings
    from pipelines.warehouse.analyses import list_analyses
    from pipelines.warehouse.build import write_settings
    from pipelines.warehouse.duckdb_file import open_warehouse
    from pipelines.warehouse.publication import publish
    from pipelines.warehouse.replay import replay as replay_landed

    replayed = replay_landed(data_home(), partial=partial, skip_damaged=skip_damaged)
    for file in replayed.skipped:
        click.echo(f"left out: {file}", err=True)
    with open_warehouse(data_home()) as connection:
        write_settings(connection, load_analysis_settings())
    path = publish(data_home(), list_analyses(load_analyses_dir()))
    click.echo(f"replayed {count(len(replayed.runs), 'run')}. Data: {path}")


def choose_target(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how and where its rows are written."""
    formats = click.Choice(["table", "csv", "json", "parquet"])
    path = click.Path(dir_okay=False, path_type=Path)
    for option in (
        click.option("--raw", is_flag=True, help="Text as it is, also what CSV marks as text."),
        click.option("--out", type=path, help="Write to this file."),
        click.option(
            "--format", "form", type=formats, help="By default what --out ends in, else table."
        ),
    ):
        command = option(command)
    return command


@main.command()
@click.argument("name", required=False)
@choose_target
@click.option("--where", metavar="SQL", help="Only rows for which this holds.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most so many rows.")
def show(name: str | None, where: str | None, limit: int | None, **target: Any) -> None:  # noqa: ANN401 - click's
    """Show one analysis; without NAME, list them all."""
    from pipelines.cli.output import Target, write_analysis, write_catalogue
    from pipelines.config.settings import load_analyses_dir
    from pipelines.warehouse.analyses import list_analyses

    analyses = list_analyses(load_analyses_dir())
    if name is None:
        if where is not None or limit is not None:
            fail("--where and --limit need the NAME of an analysis", 2)
        answers = {name: analyses[name].header.answers for name in analyses}
        write_catalogue(answers, Target(**target))
        return
    if name not in analyses:
        raise click.BadParameter(f"{name!r} is none of {', '.join(analyses)}.", param_hint="NAME")
    write_analysis(analyses[name], Target(**target), where, limit)


@main.command()
@click.argument("query")
@choose_target
def sql(query: str, **target: Any) -> None:  # noqa: ANN401 - click's
    """Run QUERY on the published database, read-only."""
    from pipelines.cli.output import Target, write_query

    write_query(query, Target(**target))


@main.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of one in the data directory.",
)
def report(out: Path | None) -> None:
    """Write what is published as one HTML file, which opens anywhere and asks no network."""
    from pipelines.config.settings import data_home
    from pipelines.reporting.report.file import write_report

    click.echo(f"report: {write_report(data_home(), out)}")


main.add_command(sandbox)


@main.command()
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Poll a made-up fleet while it evolves, and show it.

    Needs no credentials: the sandbox plays the server.
    """
    from pipelines.cli.demo import play

    conclude(play(debug=ctx.find_root().params["debug"]))
