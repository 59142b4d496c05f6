"""The views: what several analyses would repeat, in layers, each in one place."""

from __future__ import annotations

import re

import pytest

from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.analysis import SCHEMA
from pipelines.warehouse.parser import find_tables
from pipelines.warehouse.sql import read_sql

VIEWS = {
    name.partition("_")[2]: (int(name.partition("_")[0]), text)
    for name, text in read_sql("views")
    if f"CREATE OR REPLACE VIEW {name.partition('_')[2]} AS" in text
}


def read_query(text: str) -> str:
    """Return the query of a view's file."""
    _, _, query = text.partition(" AS\n")
    return query.partition("COMMENT ON VIEW")[0].strip().removesuffix(";")


@pytest.mark.parametrize("name", VIEWS)
def test_layers(name: str) -> None:
    """A view reads tables, and views of lower layers, never an analysis: those come later."""
    layer, text = VIEWS[name]
    tables = find_tables(read_query(text))
    assert not any(table.startswith(SCHEMA) for table in tables)
    below = [VIEWS[table][0] for table in tables if table in VIEWS]
    assert layer == 1 + max(below, default=0)


def test_one_view_a_file() -> None:
    """A file is named like its view, behind its layer; macros, in layer 0, read no table."""
    for name, text in read_sql("views"):
        found = re.findall(r"^CREATE OR REPLACE (VIEW|MACRO) (\w+)", text, re.MULTILINE)
        if name.startswith("0_"):
            assert {kind for kind, _ in found} == {"MACRO"}
            tables = re.findall(r" AS TABLE \((.*?)^\);", text, re.MULTILINE | re.DOTALL)
            assert not any(find_tables(table) for table in tables)
        else:
            assert found == [("VIEW", name.partition("_")[2])]


@pytest.mark.parametrize("name", list_analyses())
def test_length(name: str) -> None:
    """No query of an analysis is longer than a screen and a half; its header says what it means."""
    (text,) = (text for file, text in read_sql("analyses") if file == name)
    assert len([line for line in text.splitlines() if not line.startswith("--")]) <= 85
