"""The generated pages are current, and what they print works."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml

from docs.generate import render_pages
from pipelines.config.loader import load_tolerant
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.schema import migrate
from tests.support import ROOT

DOCS = ROOT / "docs"
TEXT = (DOCS / "analyses.md").read_text(encoding="utf-8")
DICTIONARY = (DOCS / "data-dictionary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", render_pages())
def test_page_is_current(name: str) -> None:
    """`make docs` would change nothing."""
    assert render_pages()[name] == (DOCS / name).read_text(encoding="utf-8")


def test_dictionary_explains_every_column() -> None:
    """Each column of the tables and views stands in the dictionary with its meaning."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.+) \|$", DICTIONARY, flags=re.MULTILINE)
    with duckdb.connect() as connection:
        migrate(connection, Path("memory"))
        query = "SELECT count(*) FROM duckdb_columns() WHERE NOT internal"
        assert connection.execute(query).fetchone() == (len(rows),)
    assert all(meaning.strip() not in {"", "None"} for _, _, meaning in rows)


def test_example_is_an_analysis() -> None:
    """The printed file, in the directory of the printed key, is listed, built and shown."""
    (key,) = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    (query,) = re.findall(r"```sql\n(.*?)```", TEXT, flags=re.DOTALL)
    directory = Path(yaml.safe_load(key)["analyses_dir"])
    directory.mkdir()
    (directory / "tokens_by_agent.sql").write_text(query, encoding="utf-8")
    Path("sessions.yaml").write_text(key, encoding="utf-8")
    own = load_tolerant({}).analyses_dir
    assert own == directory.absolute()
    with duckdb.connect() as connection:
        migrate(connection, Path("memory"))
        assert build_analysis(connection, list_analyses(own)["tokens_by_agent"]).rows == 0
    shown = subprocess.run(
        [Path(sys.executable).parent / "session-threads", "show"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "How many tokens did each agent use?" in shown


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))], ids=str)
def test_links(page: Path) -> None:
    """Every page, picture, file and heading that is linked to is there."""
    for target, _, anchor in re.findall(r"\]\(([^)#:]*)(#([\w-]+))?\)", page.read_text("utf-8")):
        path = page.parent / target if target else page
        assert path.exists(), (page, target)
        assert not anchor or anchor in list_anchors(path), (page, target, anchor)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/how-it-works.md", "docs/faults.md"])
def test_named_paths(name: str) -> None:
    """Every file and folder of the checkout that a page names is there."""
    text = (ROOT / name).read_text(encoding="utf-8")
    paths = set(
        re.findall(r"`((?:\.ci|benchmarks|docs|notebooks|pipelines|sql|tests)/[^`]*)`", text)
    )
    assert paths
    assert not {path for path in paths if not (ROOT / path).exists()}


def list_anchors(page: Path) -> set[str]:
    """Return what a Markdown page's headings are linked by."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_rules_are_numbered() -> None:
    """Every rule of the wire contract that code or a test names by its number is there."""
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\d)\. .+\n((?:.|\n)*?)(?=^## |\Z)", text, flags=re.MULTILINE))
    rules = {
        f"{number}.{rule}"
        for number, section in sections.items()
        for rule in re.findall(r"^(\d+)\. ", section, flags=re.MULTILINE)
    }
    files = [*(ROOT / "pipelines").rglob("*.py"), *(ROOT / "tests").rglob("test_*.py")]
    named = {
        number
        for file in [DOCS / "api.md", *files]
        for number in re.findall(r"docs/api\.md, ([\d.]*\d)", file.read_text(encoding="utf-8"))
    }
    named |= set(re.findall(r"\((\d\.\d+)\)", text))
    assert len(named) > 10
    assert named - rules - set(sections) == set()


# What names once were made of, and the words that replaced them: see docs/glossary.md.
PRIVATE = {
    *("walk", "walks", "visit", "visits", "mend", "judge", "tell", "told", "refuse", "strangers"),
    *("troubled", "checkup", "sights", "lives", "stays", "families"),
}


def list_names(path: Path) -> set[str]:
    """Return the names in a Python file, or the words of an SQL file outside texts and comments."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".sql":
        return set(re.findall(r"\w+", re.sub(r"--.*|'(?:[^']|'')*'", "", text).lower()))
    fields = ("id", "name", "arg")
    nodes = ast.walk(ast.parse(text))
    return {str(getattr(node, field)) for node in nodes for field in fields if hasattr(node, field)}


@pytest.mark.parametrize("folder", ["benchmarks", "docs", "notebooks", "pipelines", "sql"])
def test_no_private_vocabulary(folder: str) -> None:
    """Names are made of the field's words: none has an invented word for what has one already."""
    files = [path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".sql"}]
    assert files
    assert not {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in list_names(path)
        if PRIVATE.intersection(part.lower() for part in re.findall(r"[A-Z]?[a-z]+", name))
    }
