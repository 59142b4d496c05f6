"""No query, of an analysis or of a person, reaches a file, the network or a setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipelines.errors import AnalysisError
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.analysis import parse_analysis
from pipelines.warehouse.build import build_all
from pipelines.warehouse.duckdb_file import DuckdbFile
from tests.builders import HEADER, see, thread
from tests.support import invoke

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "not to be read"  # noqa: S105 - what a file of someone else holds
QUERIES = [
    "SELECT content AS x FROM read_text('{file}')",
    "SELECT content AS x FROM read_blob('{file}')",
    "SELECT * FROM read_csv('{file}', header = false, names = ['x'])",
    "SELECT column0 AS x FROM '{file}'",
    "SELECT file AS x FROM glob('{folder}/*')",
    "SELECT num_rows AS x FROM parquet_file_metadata('{file}')",
    "SELECT delimiter AS x FROM sniff_csv('{file}')",
    "SELECT x FROM read_json('http://127.0.0.1:1/x.json')",
    "SELECT (SELECT content FROM read_text('{file}')) AS x",
]
STATEMENTS = [
    "COPY threads TO '{folder}/stolen.csv'",
    "ATTACH '{folder}/stolen.duckdb'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "EXPORT DATABASE '{folder}/stolen'",
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a published data directory, and a folder with a file that is none of ours."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("folder")
    (folder / "secret.csv").write_text(SECRET)
    see(home, 0, thread("a"))
    return {"home": home, "folder": folder, "file": folder / "secret.csv"}


def test_analyses(places: dict[str, Path]) -> None:
    """An analysis that reads a file fails and says why; the others are built."""
    queries = [query.format(**places) for query in QUERIES]
    own = {
        f"own_{number}": parse_analysis(f"own_{number}", HEADER + query)
        for number, query in enumerate(queries)
    }
    good = {"status_distribution": list_analyses()["status_distribution"]}
    with DuckdbFile(places["home"]).write() as tables:
        outcomes = build_all(tables, own | good)
        for statement in STATEMENTS[:4]:
            with pytest.raises(AnalysisError):
                parse_analysis("own", HEADER + statement.format(**places))
    problems = {each.analysis.name: str(each.failures) for each in outcomes if each.failures}
    assert problems.keys() == own.keys()
    assert [name for name, problem in problems.items() if "Permission Error" not in problem] == []
    assert SECRET not in str(problems)


@pytest.mark.parametrize("query", QUERIES)
def test_readers(places: dict[str, Path], query: str) -> None:
    """`sql`, and the condition of `show`, read the published copy and nothing beside it."""
    query, home = query.format(**places), {"SESSION_THREADS_HOME": str(places["home"])}
    condition = f"exists({query})"
    for arguments in (["sql", query], ["show", "thread_durations", "--where", condition]):
        result = invoke(*arguments, **home)
        assert (result.returncode, result.stdout) == (1, "")
        assert "the query failed: Permission Error: " in result.stderr


def test_statements(places: dict[str, Path]) -> None:
    """Nothing but a query is taken, and nothing is left of what is not."""
    before = sorted(places["folder"].iterdir())
    for statement in STATEMENTS:
        home = {"SESSION_THREADS_HOME": str(places["home"])}
        assert invoke("sql", statement.format(**places), **home).returncode == 1
    assert sorted(places["folder"].iterdir()) == before


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_the_target_is_reached(places: dict[str, Path], tmp_path: Path, form: str) -> None:
    """Rows are still written to the file that the user names, new or in the place of another."""
    target, home = tmp_path / f"it's.{form}", {"SESSION_THREADS_HOME": str(places["home"])}
    arguments = ["sql", "SELECT thread_id FROM threads", "--out", str(target)]
    for _ in range(2):
        assert invoke(*arguments, **home).returncode == 0
        assert target.stat().st_size > 0
    assert list(tmp_path.iterdir()) == [target]


def test_files_of_others(tmp_path: Path) -> None:
    """An analysis that others can change, or a link to one, fails and says so."""
    own, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    for folder in (own, elsewhere):
        folder.mkdir()
    for path in (own / "a.sql", elsewhere / "b.sql"):
        path.write_text(HEADER + "SELECT 1 AS x")
        path.chmod(0o664)
    (own / "b.sql").symlink_to(elsewhere / "b.sql")
    problems = {name: each.problem for name, each in list_analyses(own).items() if each.problem}
    found = "it can be written by others (mode 664). Own it, and let nobody else write"
    assert problems == {f"{name}_is_broken": f"{own / name}.sql: {found}" for name in ("a", "b")}


def test_no_progress_is_drawn(places: dict[str, Path]) -> None:
    """Whoever writes or reads the tables, DuckDB draws no bars on what is a program's output."""
    warehouse, look = DuckdbFile(places["home"]), "SELECT current_setting('enable_progress_bar')"
    with warehouse.write() as tables, warehouse.read() as first, warehouse.read() as second:
        for connection in (tables, tables.cursor(), first, second):
            assert connection.execute(look).fetchall() == [(False,)]
