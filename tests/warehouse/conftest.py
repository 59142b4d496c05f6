"""What tests of tables get: a data directory whose tables are in a file, or in a lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.empty import LAKES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lake.empty import OpenLake


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat with a lake what is said of the tables wherever they are."""
    if metafunc.definition.get_closest_marker("anywhere"):
        places = ["file", pytest.param("lake", marks=[pytest.mark.slow, pytest.mark.lake])]
        metafunc.parametrize("place", places)


@pytest.fixture
def place() -> str:
    """Return where the tables are, which a test with this parameter says otherwise."""
    return "file"


@pytest.fixture(scope="session")
def make_lake() -> Iterator[Callable[[Path], OpenLake]]:
    """Return a function that makes an empty lake for a data directory."""
    for package in ("psycopg", "duckdb_extension_ducklake", "obstore"):
        pytest.importorskip(package, reason="the extra lake is not installed")
    from tests.lake.empty import serve_lakes  # noqa: PLC0415 - of an extra

    with serve_lakes() as make:
        yield make


@pytest.fixture
def home(home: Path, place: str, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return the data directory, not made yet."""
    if place == "file":
        yield home
        return
    LAKES[home] = lake = request.getfixturevalue("make_lake")(home)
    yield home
    lake.close()
    del LAKES[home]
