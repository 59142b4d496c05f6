"""What docs/deploy/lake/ starts and grants: two teams beside each other, each with its lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from docs.deploy.lake.start import name_bucket
from pipelines.config.place import find_place
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.warehouse.ducklake import DuckLake
from pipelines.warehouse.load import load_landed
from pipelines.warehouse.publication import publish
from tests.builders import land, thread
from tests.lake.deployed import make_deployment
from tests.lake.objects import find_server
from tests.lake.postgres import find_binaries
from tests.support import invoke

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docs.deploy.lake.start import Deployment

pytest.importorskip("dagster_postgres", reason="the extra dagster-postgres is not installed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (find_binaries() and find_server()), reason="PostgreSQL or an S3 server is missing"
    ),
]
TEAMS = ("team_a", "team_b")


@pytest.fixture
def teams(tmp_path: Path) -> dict[str, Path]:
    """Return what each team polls: nothing yet."""
    files = {team: tmp_path / f"{team}.yaml" for team in TEAMS}
    for file in files.values():
        file.write_text("{}")
    return files


@pytest.fixture
def servers(teams: dict[str, Path]) -> Iterator[Deployment]:
    """Run the servers without Dagster, with a lake of each team."""
    with make_deployment(teams) as deployment:
        deployment.start_postgres()
        deployment.start_objects()
        deployment.make_databases()
        yield deployment


def load(deployment: Deployment, team: str, home: Path) -> None:
    """Load a thread, named after its team, into the team's lake, and publish."""
    land(home, 5, thread(team))
    lake = find_place(deployment.configure(team))[1]
    assert lake is not None
    warehouse = DuckLake(home, lake)
    with warehouse.write() as tables:
        load_landed(tables, Directory(home / RAW))
        publish(warehouse, tables, {})


def connect(deployment: Deployment, role: str) -> psycopg.Connection:
    """Connect to the lakes' database as a team's role."""
    team, _, kind = role.rpartition("_")
    return psycopg.connect(
        host="127.0.0.1",
        port=deployment.ports["postgres"],
        dbname="threads",
        user=role,
        password=deployment.secrets[f"{team}.{kind}"],
        autocommit=True,
    )


def open_bucket(deployment: Deployment, role: str, team: str) -> S3Store:
    """Open a team's bucket with the keys of a role."""
    owner, _, kind = role.rpartition("_")
    return S3Store(
        name_bucket(team),
        endpoint=f"http://127.0.0.1:{deployment.ports['s3']}",
        region="us-east-1",
        access_key_id=role,
        secret_access_key=deployment.secrets[f"{owner}.{kind}_secret"],
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def test_least_rights(servers: Deployment, tmp_path: Path) -> None:
    """A reader reads its team's lake and nothing else, and writes nothing; a loader keeps to it."""
    for team in TEAMS:
        load(servers, team, tmp_path / team)
    for team in TEAMS:
        found = invoke("sql", "SELECT thread_id FROM threads", **servers.configure(team, "reader"))
        assert (found.returncode, team in found.stdout) == (0, True)
        maintained = invoke("maintain", **servers.configure(team))
        assert (maintained.returncode, maintained.stderr) == (0, "")

    with connect(servers, "team_a_reader") as reader:
        reader.execute("SET default_transaction_read_only = off")
        assert reader.execute("SELECT count(*) FROM team_a.ducklake_snapshot").fetchone()
        for statement in (
            "SELECT * FROM team_b.ducklake_snapshot",
            "DELETE FROM team_a.ducklake_snapshot",
            "DROP TABLE team_a.ducklake_snapshot",
            "UPDATE team_a.session_threads_publication SET snapshot_id = 0",
            "CREATE TABLE team_a.mine (x INT)",
            "CREATE TABLE public.mine (x INT)",
            "CREATE TEMP TABLE mine (x INT)",
            "CREATE SCHEMA mine",
            "SET ROLE team_a_loader",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)
    with (
        connect(servers, "team_a_loader") as loader,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        loader.execute("SELECT * FROM team_b.ducklake_snapshot")

    loader_of_a = open_bucket(servers, "team_a_loader", "team_a")
    loader_of_a.put("raw/landed", b"x")
    names = [each["path"] for page in loader_of_a.list("lake/") for each in page]
    assert names
    reader_of_a = open_bucket(servers, "team_a_reader", "team_a")
    assert reader_of_a.get(names[0]).bytes()
    for denied in (
        lambda: reader_of_a.get("raw/landed"),
        lambda: reader_of_a.put("lake/mine", b""),
        lambda: reader_of_a.delete(names[0]),
        lambda: open_bucket(servers, "team_a_reader", "team_b").get("started"),
        lambda: open_bucket(servers, "team_a_loader", "team_b").get("started"),
        lambda: open_bucket(servers, "team_a_loader", "team_b").put("mine", b""),
    ):
        with pytest.raises(BaseError):
            denied()
    assert loader_of_a.get(names[0]).bytes()
