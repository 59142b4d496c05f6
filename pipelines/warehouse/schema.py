"""The schema of a file of tables: its migrations, and the views that are re-created."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import duckdb

from pipelines.errors import WarehouseError, WarehouseNewer, WarehouseOlder
from pipelines.files import list_seeds
from pipelines.warehouse.sql import fetch_records, quote_name, read_sql, transaction

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REPLAY_HINT = "Rebuild it from the landed pages: session-threads replay"
SCHEMA_VERSION = """
    CREATE TABLE IF NOT EXISTS schema_version (
        version INTEGER, name VARCHAR, digest VARCHAR, views VARCHAR
    )
"""

# Of a column, up to the end of its line.
COMMENT = re.compile(r"^COMMENT ON COLUMN .*;$", re.MULTILINE)
# Its file in sql/migrations, and the digest of that.
Migration = tuple[str, str | None]


def migrate(
    connection: duckdb.DuckDBPyConnection, path: Path | str, *, describes_views: bool = True
) -> None:
    """Bring a file to this version's schema, whole or not at all: tables, then views and macros.

    Not every place can hold what the columns of views mean.

    Raises WarehouseNewer for a newer version's file, WarehouseOlder for one made before the first
    release.
    """
    connection.execute(SCHEMA_VERSION)
    rows = fetch_records(connection, "FROM schema_version")
    applied = {row["version"]: (row["name"], row.get("digest")) for row in rows}
    migrations = {
        int(name.partition("_")[0]): (name, text) for name, text in read_sql("migrations")
    }
    known = {version: (name, digest(text)) for version, (name, text) in migrations.items()}
    check_schema(path, applied, known)
    with transaction(connection):
        for version in known.keys() - applied.keys():
            name, text = migrations[version]
            _define(connection, path, name, text)
            row = [version, *known[version]]
            connection.execute(
                "INSERT INTO schema_version (version, name, digest) VALUES (?, ?, ?)", row
            )
        if (views := digest_views()) not in {row.get("views") for row in rows}:
            _renew(connection, path, describes_views=describes_views)
            connection.execute("UPDATE schema_version SET views = ?", [views])


def check_schema(
    path: Path | str, applied: Mapping[int, Migration], known: Mapping[int, Migration]
) -> None:
    """Raise WarehouseNewer or WarehouseOlder if the file has migrations that are not known."""
    newest, newest_known = max(applied, default=0), max(known)
    if any(known.get(version, migration) != migration for version, migration in applied.items()):
        problem = "made by an older version, before the first release"
        raise WarehouseOlder(f"{path}: {problem}. {REPLAY_HINT}")
    if newest > newest_known:
        raise WarehouseNewer(
            f"{path}: made by a newer version (schema {newest}, this one knows"
            f" {newest_known}). Upgrade session-threads"
        )


def digest(text: str) -> str:
    """Return a short name of a text's content."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def digest_views() -> str:
    """Return a short name of what this version's views, macros and seeds are."""
    texts = [text for _, text in read_sql("views")]
    return digest("".join([*texts, *(seed.read_text(encoding="utf-8") for seed in list_seeds())]))


def _renew(
    connection: duckdb.DuckDBPyConnection, path: Path | str, *, describes_views: bool
) -> None:
    """Fill the seeds, and create the views and macros."""
    for seed in list_seeds():
        connection.execute(f"DELETE FROM {seed.stem}")  # noqa: S608 - the name of a file of ours
        connection.execute(f"INSERT INTO {seed.stem} BY NAME FROM read_csv(?)", [str(seed)])
    for (name,) in connection.execute(
        "SELECT view_name FROM duckdb_views() WHERE NOT internal AND NOT temporary"
    ).fetchall():
        connection.execute(f"DROP VIEW {quote_name(name)}")
    for name, text in read_sql("views"):
        _define(connection, path, name, text if describes_views else COMMENT.sub("", text))


def _define(connection: duckdb.DuckDBPyConnection, path: Path | str, name: str, text: str) -> None:
    try:
        connection.execute(text)
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        problem = f"{path}: cannot be upgraded, {name} fails ({first})"
        raise WarehouseError(f"{problem}. It is as it was; report this") from None
