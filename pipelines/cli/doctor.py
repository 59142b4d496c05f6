"""What would fail at three in the morning, looked for by day: a list of small checks.

Each yields what it has found, a line each, and does what a run would do: it asks the server, writes
into the data directory, opens the tables.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

import msgspec

from pipelines.config.dagster_home import find_dagster_home
from pipelines.errors import ApiError, SessionThreadsError, SourceBusy, TokenRejected
from pipelines.extract.discover import count_found, name_sessions
from pipelines.extract.poll import ask_once
from pipelines.files import make_private, try_directory
from pipelines.http.auth import SCHEMES
from pipelines.landing.aside import describe_aside
from pipelines.landing.directory import RAW
from pipelines.landing.place import open_landing
from pipelines.landing.store import try_store
from pipelines.reporting.clocks import MOST_SKEW_S, describe_skew
from pipelines.reporting.wording import count
from pipelines.warehouse.place import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipelines.config.settings import Settings, Source

    Check = Callable[[Settings], Iterator["Finding"]]

ENVIRONMENT, NO_TABLES = 2, 4
MIB = 2**20
# What a run needs beside what follows the data: logs, its first pages, the report.
LEAST_ROOM = 64 * MIB


class Finding(msgspec.Struct, frozen=True):
    """A line on what is right, or wrong: then with the exit status that it means."""

    text: str
    exit_status: int = 0


def diagnose(settings: Settings) -> Iterator[Finding]:
    """Yield what the checks find; without a data directory, or tables, the others find nothing."""
    for check in CHECKS:
        for finding in attempt(check, settings):
            yield finding
            if finding.exit_status == NO_TABLES:
                return


def attempt(check: Check, settings: Settings) -> Iterator[Finding]:
    """Yield what a check finds, the error that ends it too."""
    try:
        yield from check(settings)
    except SessionThreadsError as error:
        yield Finding(error.advise(), find_status(error))


def find_status(error: SessionThreadsError) -> int:
    """Return the exit status of `check`: a server that cannot be asked is of the environment."""
    is_of_server = isinstance(error, ApiError) and not isinstance(error, TokenRejected)
    return ENVIRONMENT if is_of_server else error.exit_code


def check_directory(settings: Settings) -> Iterator[Finding]:
    """Write, synchronize, rename and restrict a file in the data directory."""
    home = settings.home
    make_private(home)
    try:
        is_private = try_directory(home)
    except OSError as error:
        fix = "Let SESSION_THREADS_HOME name a directory of yours with room"
        yield Finding(f"{home}: cannot be written to ({error.strerror or error}). {fix}", NO_TABLES)
        return
    modes = "" if is_private else ", but its file system knows no modes: others may read it"
    yield Finding(f"data directory: {home} can be written to{modes}")


def check_room(settings: Settings) -> Iterator[Finding]:
    """Compare the free space with what the next run may write beside what there is."""
    home = settings.home
    free, needed = shutil.disk_usage(home).free, estimate_run(home)
    room = f"{free // MIB:,} MiB free, a run may need {needed // MIB:,}"
    if free < needed:
        yield Finding(f"{home}: {room}. Make room, or lower raw_retention_days", ENVIRONMENT)
    else:
        yield Finding(f"room: {room}")


def estimate_run(home: Path) -> int:
    """Return how many bytes a run may need: tables twice, and the largest landed run, as so far."""
    landed = max((path.stat().st_size for path in (home / RAW).glob("*")), default=0)
    return 2 * sum(path.stat().st_size for path in home.glob("*.duckdb")) + landed + LEAST_ROOM


def check_servers(settings: Settings) -> Iterator[Finding]:
    """Ask each source for little, if nobody polls it now."""
    warehouse = open_warehouse(settings.home, settings.lake)
    for source in settings.sources:
        try:
            with warehouse.hold_sources((source,), wait_s=0):
                yield from check_server(source)
        except SourceBusy as error:
            yield Finding(f"{str(error).partition('. ')[0]} now, and is not asked")


def check_server(source: Source) -> Iterator[Finding]:
    """Ask a source for little, and compare its clock with ours."""
    name = f"source {source.name}"
    number = len(name_sessions(source))
    named = f", {count(number, 'session')} named" if number or not source.discover else ""
    scheme = SCHEMES[source.auth].described
    yield Finding(f"{name}: {source.provider} at {source.base_url}, {scheme}{named}")
    try:
        ahead_s = asyncio.run(ask_once(source))
    except SessionThreadsError as error:
        yield Finding(f"{error.advise()}{explain_certificates(error)}", find_status(error))
        return
    yield Finding(f"{name}: the token is accepted")
    yield from check_discovery(source)
    is_wrong = abs(ahead_s or 0) > MOST_SKEW_S
    yield Finding(describe_skew(source.name, ahead_s), ENVIRONMENT if is_wrong else 0)


def check_discovery(source: Source) -> Iterator[Finding]:
    """Count the sessions that a source would find, and poll."""
    if source.discover is not None:
        try:
            found = count(asyncio.run(count_found(source)), "session")
        except ApiError as error:
            yield Finding(error.advise(), find_status(error))
            return
        consent = "Listing one without threads makes the server create its coordinator"
        yield Finding(f"source {source.name}: discover finds {found}. {consent}")


def explain_certificates(error: SessionThreadsError) -> str:
    """Return where trusted certificates are named, if the server's is none of them."""
    if "CERTIFICATE_VERIFY_FAILED" not in str(error).upper().replace(" ", "_"):
        return ""
    unused = "; REQUESTS_CA_BUNDLE is not looked at" if "REQUESTS_CA_BUNDLE" in os.environ else ""
    return f". Name a private CA in SSL_CERT_FILE or SSL_CERT_DIR{unused}"


def check_dagster_home(_: Settings) -> Iterator[Finding]:
    """Look at Dagster's directory, if the variable names one."""
    if home := find_dagster_home():
        yield Finding(f"DAGSTER_HOME: {home} can be used")


def check_tables(settings: Settings) -> Iterator[Finding]:
    """Open the tables, to write, and what is published of them."""
    warehouse = open_warehouse(settings.home, settings.lake)
    with warehouse.write() as tables:
        counted = tables.execute("SELECT count(*) FROM threads").fetchone()
    place = settings.lake.name if settings.lake else settings.home
    yield Finding(f"warehouse: {place}, {count(counted[0] if counted else 0, 'thread')}")
    if warehouse.is_published():
        with warehouse.read():
            yield Finding("published copy: can be read")


def check_landed(settings: Settings) -> Iterator[Finding]:
    """Put a file where runs land, twice, and delete it; look for runs that could not be loaded."""
    landing = open_landing(settings)
    if settings.landing is not None:
        yield Finding(f"landing: {try_store(landing)}")
    if aside := describe_aside(landing):
        yield Finding(aside, 1)


CHECKS: tuple[Check, ...] = (
    check_directory,
    check_room,
    check_servers,
    check_dagster_home,
    check_tables,
    check_landed,
)
