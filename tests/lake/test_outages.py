"""Lakes beside each other, and what dies while one is loaded: the next poll is right.

Nothing is lost or doubled, whatever is taken away. LAKE_POLLS=20 makes a soak of it.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.lake.cluster import OTHER, SERVERS, start_cluster, wait_for
from tests.lake.front import BROKEN, NO_BUCKET
from tests.lake.objects import find_server
from tests.lake.postgres import find_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lake.cluster import Cluster

pytest.importorskip("dagster_postgres", reason="the extra dagster-postgres is not installed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (find_binaries() and find_server()), reason="PostgreSQL or an S3 server is missing"
    ),
]
IS_SOAK = "LAKE_POLLS" in os.environ
POLLS = int(os.environ.get("LAKE_POLLS", "0"))
SOURCES, TRANSACTIONS, PAUSE_S = (8, 1000, 2.0) if IS_SOAK else (2, 4, 4.0)
# Longer than Dagster tries to connect.
CATALOG_AWAY_S = 60 if IS_SOAK else 12
STORE_AWAY_S = 60 if IS_SOAK else 5
# From the end of an outage to the end of all loads, on a busy machine.
LIMIT_S = 900


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run two code servers of one lake, and one of another team."""
    home = tmp_path_factory.mktemp("cluster")
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        start_cluster(home, monkeypatch, SOURCES, PAUSE_S) as running,
    ):
        yield running


def test_two_teams(cluster: Cluster, tmp_path: Path) -> None:
    """Runs of two teams poll, and their loads run at the same time, each into its lake."""
    cluster.poll((OTHER, "source-0"))
    load = wait_for(lambda: cluster.list_loads("SUCCESS", server=OTHER), LIMIT_S)[0]
    cluster.wait_until_loaded(LIMIT_S)
    assert any(
        max(run["startTime"], load["startTime"]) < min(run["endTime"], load["endTime"])
        for server in SERVERS
        for run in cluster.list_loads("SUCCESS", server=server)
    )
    for team, worlds in (("team_a", cluster.worlds), (OTHER, cluster.others)):
        rows = cluster.deployed.read(team, "SELECT DISTINCT session_id FROM threads")
        expected = set().union(*(world.sessions for world in worlds))
        assert {row["session_id"] for row in rows} == expected
    cluster.check(tmp_path / "file")


def test_killed(cluster: Cluster, tmp_path: Path) -> None:
    """A code server is killed with the load that it runs; what looks after it starts it again.

    PostgreSQL is stopped in the middle of the load that follows, and started again.
    """
    cluster.poll()
    load = cluster.wait_for_load()
    cluster.kill_server_of(load)
    wait_for(lambda: cluster.find_status(load) == "FAILURE", LIMIT_S)
    cluster.wait_for_load()
    deployment = cluster.deployed.deployment
    deployment.stop("postgres", signal.SIGINT)
    time.sleep(CATALOG_AWAY_S)
    deployment.start_postgres()
    cluster.wait_until_loaded(LIMIT_S)
    cluster.check(tmp_path / "file")


def test_rejected(cluster: Cluster, tmp_path: Path) -> None:
    """A poll whose password PostgreSQL rejects, or whose bucket is gone, fails; the next are right.

    So is a load during which the S3 server answers 500. All this time readers have seen whole
    snapshots alone.
    """
    deployment = cluster.deployed.deployment
    password = deployment.secrets["team_a.loader"]
    with deployment.connect("threads") as catalog:
        catalog.execute("ALTER ROLE team_a_loader PASSWORD 'another'")
        assert cluster.ask(1) == {"FAILURE"}
        catalog.execute(f"ALTER ROLE team_a_loader PASSWORD '{password}'")
    cluster.front.answer = NO_BUCKET
    assert cluster.ask(1) == {"FAILURE"}
    cluster.front.answer = None
    for _ in range(max(POLLS - cluster.polls, 1)):
        cluster.poll()
    load = cluster.wait_for_load()
    cluster.front.answer = BROKEN
    time.sleep(STORE_AWAY_S)
    cluster.front.answer = None
    cluster.wait_until_loaded(LIMIT_S)
    assert cluster.find_status(load) == "SUCCESS"
    while sum(reader.transactions for reader in cluster.readers) < TRANSACTIONS:
        time.sleep(0.5)
    cluster.check(tmp_path / "file")
