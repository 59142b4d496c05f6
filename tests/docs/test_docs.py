"""The generated pages are current, and what they print works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import yaml

from docs.generate import render_analyses
from pipelines.settings import load_analyses_dir
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.database import migrate
from tests.support import ROOT

TEXT = (ROOT / "docs" / "analyses.md").read_text(encoding="utf-8")


def test_page_is_current() -> None:
    """`make docs` would change nothing."""
    assert render_analyses() == TEXT


def test_example_is_an_analysis() -> None:
    """The printed file, in the directory of the printed key, is listed, built and shown."""
    (key,) = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    (query,) = re.findall(r"```sql\n(.*?)```", TEXT, flags=re.DOTALL)
    directory = Path(yaml.safe_load(key)["analyses_dir"])
    directory.mkdir()
    (directory / "tokens_by_agent.sql").write_text(query, encoding="utf-8")
    Path("sessions.yaml").write_text(key, encoding="utf-8")
    own = load_analyses_dir({})
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


def test_pictures_exist() -> None:
    """Every picture and file that the pages link to is there."""
    for page in (ROOT / "docs").glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page, target)
