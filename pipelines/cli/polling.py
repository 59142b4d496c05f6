"""The commands that make data: run, init, check, build, replay, demo.

What only one command needs is imported in that command, so that --help is quick.
"""

from __future__ import annotations

import click

from pipelines.cli.failure import complain, conclude, end
from pipelines.cli.printing import echo
from pipelines.reporting.wording import count


@click.command()
@click.option("--session", "sessions", multiple=True, metavar="ID", help="Only this session.")
@click.option("--status", "statuses", multiple=True, metavar="S", help="Only this status.")
@click.option("--full", is_flag=True, help="List every session, whatever the plan says.")
@click.option("-v", "--verbose", is_flag=True, help="A line for each session, also in a log.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines.")
def run(
    sessions: tuple[str, ...],
    statuses: tuple[str, ...],
    *,
    full: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Poll every session that may have news once, load, analyse and publish.

    Listing a session that has no thread yet makes the server create its coordinator.

    Exit status: 0 all complete, 1 some sessions failed, 2 configuration, 3 token rejected,
    4 nothing could be loaded.
    """
    from pipelines import steps
    from pipelines.cli.progress import watch_poll
    from pipelines.config.loader import load_settings
    from pipelines.landing.place import open_landing
    from pipelines.providers.registry import PROVIDERS
    from pipelines.records import Selection

    settings = load_settings(PROVIDERS)
    with watch_poll(verbose=verbose) as progress:
        result = steps.run(settings, Selection(sessions, statuses, full), progress)

    from pipelines.cli.console import print_run_json, print_summary
    from pipelines.cli.exit_status import add_aside, exit_of_run

    resting = sum(not choice.is_asked for choice in result.choices)
    ending = exit_of_run(result.ledger, result.findings, result.listings, resting=resting)
    ending = add_aside(ending, open_landing(settings))
    if as_json:
        print_run_json(result, ending)
    else:
        print_summary(result, verbose=verbose)
    conclude(ending)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines.")
def plan(*, as_json: bool) -> None:
    """Say what the next run would ask, and why.

    Asks only for the list of sessions. What it says of requests is by the pages that came last.

    Exit status: 0 all is well, 2 configuration, 3 token rejected, 4 the sessions cannot be listed.
    """
    from pipelines import steps
    from pipelines.cli.exit_status import exit_of_plan
    from pipelines.cli.plans import print_plan, print_plan_json
    from pipelines.config.loader import load_settings
    from pipelines.providers.registry import PROVIDERS

    settings = load_settings(PROVIDERS)
    planned, listings = steps.preview(settings)
    ending = exit_of_plan(listings)
    if as_json:
        print_plan_json(planned, ending)
    else:
        print_plan(planned, listings, settings.polling)
    conclude(ending)


@click.command()
@click.argument("session_ids", nargs=-1, metavar="[SESSION_ID]...")
def init(session_ids: tuple[str, ...]) -> None:
    """Write a commented configuration, sessions.yaml, of these sessions.

    Its place is SESSION_THREADS_CONFIG, else the working directory.
    """
    from os import environ

    from pipelines.config.example import write_example
    from pipelines.providers.registry import PROVIDERS

    path = write_example(PROVIDERS, environ, session_ids)
    echo(f"{path}: written. Next:")
    if not session_ids:
        echo("  list the ids of your sessions there, in the place of the examples")
    echo("  export QODER_PAT=pt-…     the token is in no file")
    echo("  session-threads check     asks for little, and says what must be fixed")
    echo("  session-threads run")


@click.command()
def check() -> None:
    """Look for what would make a run fail: a line for each thing to fix.

    Asks each source for one session, or one thread of its first session if it lists none, and
    those that discover for all their sessions.

    Exit status: 0 all is well, 2 the configuration or the environment must be fixed, 3 token
    rejected, 4 the tables cannot be opened.
    """
    from pipelines.cli.doctor import diagnose
    from pipelines.config.loader import load_settings
    from pipelines.providers.registry import PROVIDERS

    wrong = []
    for finding in diagnose(load_settings(PROVIDERS)):
        if finding.exit_status:
            wrong.append(finding)
            complain(finding.text)
        else:
            echo(finding.text)
    if wrong:
        end(wrong[0].exit_status)


@click.command()
@click.argument("name", required=False)
def build(name: str | None) -> None:
    """Build the analyses, or NAME and what it reads, and publish; asks no server.

    Exit status: 0 all is well, 1 a check of an analysis found something.
    """
    from pipelines import steps
    from pipelines.cli.exit_status import exit_of_build
    from pipelines.config.loader import load_tolerant
    from pipelines.warehouse.analyses import choose_analyses, list_analyses
    from pipelines.warehouse.place import open_warehouse
    from pipelines.warehouse.publication import publish

    settings = load_tolerant()
    warehouse = open_warehouse(settings.home, settings.lake)
    known = list_analyses(settings.analyses_dir)
    chosen = choose_analyses(known, name) if name else known
    with warehouse.write() as tables:
        outcomes = steps.build(settings, tables, chosen, anew=True)
        path = publish(warehouse, tables, known)
    echo(f"built {count(len(outcomes), 'analysis', 'analyses')}. Data: {path}")
    conclude(exit_of_build(outcomes))


@click.command()
@click.option("--partial", is_flag=True, help="Even if pages of some loaded runs are gone.")
@click.option("--skip-damaged", is_flag=True, help="Leave out files that cannot be read.")
def replay(*, partial: bool, skip_damaged: bool) -> None:
    """Rebuild the tables from the landed pages, offline.

    They are published when all is done.
    """
    from pipelines import steps
    from pipelines.cli.exit_status import ExitStatus, add_aside
    from pipelines.config.loader import load_tolerant
    from pipelines.landing.place import open_landing

    settings = load_tolerant()
    replayed, copy = steps.replay(settings, partial=partial, skip_damaged=skip_damaged)
    for file in replayed.skipped:
        echo(f"left out: {file}", err=True)
    echo(f"replayed {count(len(replayed.runs), 'run')}. Data: {copy}")
    conclude(add_aside(ExitStatus(), open_landing(settings)))


@click.command()
def maintain() -> None:
    """Keep the files of a lake few: compact them, and remove what nobody reads any more.

    Tables in a file need none.
    """
    from pipelines import clock
    from pipelines.config.loader import load_tolerant
    from pipelines.warehouse.place import open_warehouse

    settings = load_tolerant()
    done = open_warehouse(settings.home, settings.lake).maintain(clock.now())
    if done is None:
        echo(f"nothing to do: the tables are in a file of {settings.home}")
        return
    files = f"{done.before.files} files before, {done.after.files} now"
    snapshots = f"{done.before.snapshots} snapshots before, {done.after.snapshots} now"
    echo(f"maintained: {files}; {snapshots}. Data: {done.place}")


@click.command()
@click.option("--to-lake", is_flag=True, required=True, help="The tables, and the landed pages.")
def copy(*, to_lake: bool) -> None:
    """Copy the tables of the data directory into the lake that the configuration names.

    Every table is compared. The data directory stays as it is.
    """
    from pipelines.config.loader import load_tolerant
    from pipelines.warehouse.move import copy_to_lake

    del to_lake  # there is no other place yet
    moved = copy_to_lake(load_tolerant())
    files = count(moved.files, "landed file")
    echo(f"copied {count(moved.runs, 'run')}, {files}. Data: {moved.place}")


@click.command()
def demo() -> None:
    """Poll a made-up fleet while it evolves, and show it.

    Needs no credentials: the sandbox plays the server.
    """
    from pipelines.cli.demo import play

    conclude(play())
