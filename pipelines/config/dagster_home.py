"""DAGSTER_HOME, Dagster's own directory: what is wrong with it, in one line."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from pipelines.errors import SettingsError
from pipelines.files import try_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "DAGSTER_HOME"
CONFIGURATION = "dagster.yaml"
# Of each run's own file there is nothing to say: Dagster opens it when someone looks at that run.
DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")


def find_dagster_home(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the directory, None if the variable names none.

    Raises SettingsError if Dagster could not use it: it is relative, no directory, cannot be
    written to, or holds a database that is none.
    """
    named = (os.environ if environ is None else environ).get(VARIABLE, "")
    if not named:
        return None
    home = Path(named)
    if not home.is_absolute():
        raise SettingsError(VARIABLE, f"{named!r} is not a whole path", "Begin it with /.")
    if not home.is_dir():
        raise SettingsError(VARIABLE, f"{home} is no directory", "Name one, or make it.")
    owner = home.stat().st_uid
    if owner not in {0, os.geteuid()}:
        problem = f"{home} belongs to another user (uid {owner})"
        raise SettingsError(VARIABLE, problem, "Name a directory of yours.")
    try:
        try_directory(home)
    except OSError as error:
        problem = f"{home} cannot be written to ({error.strerror or error})"
        raise SettingsError(VARIABLE, problem, "Name a directory of yours with room.") from None
    if (home / CONFIGURATION).exists():
        _try_configuration(home / CONFIGURATION)
    for name in DATABASES:
        if (home / name).exists():
            _try_database(home / name)
    return home


def _try_configuration(path: Path) -> None:
    try:
        yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        fix = "Restore it, for example from the repository."
        raise SettingsError(VARIABLE, f"{path} cannot be read ({reason})", fix) from None


def _try_database(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except sqlite3.Error as error:
        fix = "Move it away: Dagster makes a new one, and forgets its runs; the tables keep theirs."
        raise SettingsError(VARIABLE, f"{path} cannot be read ({error})", fix) from None
