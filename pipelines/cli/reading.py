"""The commands that show data: status, show, sql, report.

What only one command needs is imported in that command, so that --help is quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.failure import conclude, fail
from pipelines.cli.printing import echo

if TYPE_CHECKING:
    from collections.abc import Callable


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines.")
def status(*, as_json: bool) -> None:
    """Show the state of each session, a line each.

    That is its last complete poll, its threads, the open ones, and its last error.

    Exit status: 0 all is well, 1 a session is failing, stale, or was never polled, or all are
    gone or forbidden.
    """
    from pipelines import clock
    from pipelines.cli.console import print_health, print_health_json
    from pipelines.cli.exit_status import add_aside, exit_of_health
    from pipelines.config.loader import load_settings
    from pipelines.landing.place import open_landing
    from pipelines.providers.registry import PROVIDERS
    from pipelines.reporting.health import read_health
    from pipelines.warehouse.place import open_warehouse

    now, settings = clock.now(), load_settings(PROVIDERS, with_tokens=False)
    lines = read_health(open_warehouse(settings.home, settings.lake), settings, now)
    ending = add_aside(exit_of_health(lines), open_landing(settings))
    if as_json:
        print_health_json(lines, now, ending)
    else:
        print_health(lines, now)
    conclude(ending)


def take_target(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how and where its rows are written."""
    formats = click.Choice(["table", "csv", "json", "jsonl", "parquet"])
    path = click.Path(dir_okay=False, path_type=Path)
    for option in (
        click.option("--raw", is_flag=True, help="Text as it is, also what commands a terminal."),
        click.option("--out", type=path, help="Write to this file, which is replaced."),
        click.option(
            "--format", "form", type=formats, help="By default what --out ends in, else table."
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("name", required=False)
@take_target
@click.option("--where", metavar="SQL", help="Only rows for which this holds.")
@click.option("--sort", metavar="COLUMN", help="In the order of this column.")
@click.option("--desc", is_flag=True, help="The largest first.")
@click.option("--columns", metavar="A,B", help="These columns.")
@click.option("--wide", is_flag=True, help="All columns and whole values, also in a table.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most so many rows.")
def show(
    name: str | None,
    form: str | None,
    out: Path | None,
    columns: str | None,
    *,
    raw: bool,
    **choice: Any,  # noqa: ANN401 - click's
) -> None:
    """Show one analysis; without NAME, list them all.

    A table shows the columns that matter most, as far as they fit. Data have all of them.
    """
    from pipelines.cli.analysis import Choice, write_analysis
    from pipelines.cli.output import write_catalogue
    from pipelines.cli.target import choose_target
    from pipelines.config.loader import load_tolerant
    from pipelines.warehouse.analyses import find_analysis, list_analyses
    from pipelines.warehouse.place import open_warehouse

    chosen = Choice(columns=tuple(columns.split(",")) if columns is not None else (), **choice)
    target = choose_target(form, out, raw=raw)
    if chosen.desc and chosen.sort is None:
        fail("--desc needs --sort COLUMN", 2)
    settings = load_tolerant()
    analyses = list_analyses(settings.analyses_dir)
    if name is None:
        if chosen != Choice():
            fail("options that choose rows or columns need the NAME of an analysis", 2)
        write_catalogue({name: analyses[name].header.answers for name in analyses}, target)
        return
    analysis = find_analysis(analyses, name)
    write_analysis(open_warehouse(settings.home, settings.lake), analysis, target, chosen)


@click.command()
@take_target
def sessions(form: str | None, out: Path | None, *, raw: bool) -> None:
    """Show every session ever configured or found, and whether it is polled."""
    from pipelines.cli.output import write_registry
    from pipelines.cli.target import choose_target
    from pipelines.config.place import find_place
    from pipelines.warehouse.place import open_warehouse

    write_registry(open_warehouse(*find_place()), choose_target(form, out, raw=raw))


@click.command()
@click.argument("query")
@take_target
def sql(query: str, form: str | None, out: Path | None, *, raw: bool) -> None:
    """Run QUERY on the published database, read-only."""
    from pipelines.cli.output import write_query
    from pipelines.cli.target import choose_target
    from pipelines.config.place import find_place
    from pipelines.warehouse.place import open_warehouse

    target = choose_target(form, out, raw=raw)
    write_query(open_warehouse(*find_place()), query, target)


@click.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of one in the data directory.",
)
def report(out: Path | None) -> None:
    """Write what is published as one HTML file, which opens anywhere and needs no network."""
    from pipelines.config.place import find_place
    from pipelines.reporting.report.file import REPORTS, write_report
    from pipelines.warehouse.place import open_warehouse

    if out and out.suffix.lower() not in {"", ".html", ".htm"}:
        fail(f"--out {out}: the report is HTML. End the name in .html", 2)
    home, lake = find_place()
    echo(f"report: {write_report(open_warehouse(home, lake), home / REPORTS, out)}")
