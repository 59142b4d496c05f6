"""Make the pages that are made from the code: `make docs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import jinja2

from docs.performance import FILTERS, gather_performance
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.schema import migrate
from pipelines.warehouse.sql import fetch_records

DOCS = Path(__file__).parent


def render_pages() -> dict[str, str]:
    """Return name -> text of every page that is made."""
    analyses = sorted(list_analyses().values(), key=lambda analysis: analysis.name)
    polling = (DOCS / "polling_error.md").read_text(encoding="utf-8")
    resting = json.loads((DOCS / "resting.json").read_text(encoding="utf-8"))
    lake = json.loads((DOCS / "lake.json").read_text(encoding="utf-8"))
    truth = json.loads((DOCS / "truth.json").read_text(encoding="utf-8"))
    return {
        "how-numbers-can-be-wrong.md": render("how-numbers-can-be-wrong.md.j2", truth=truth),
        "analyses.md": render("analyses.md.j2", analyses=analyses, polling=polling),
        "polling.md": render(
            "polling.md.j2", full=max(r["requests"] for r in resting["requests"]), **resting
        ),
        "lake-costs.md": render("lake-costs.md.j2", trim_blocks=True, **lake),
        "data-dictionary.md": render("data-dictionary.md.j2", tables=read_tables()),
        "performance.md": render("performance.md.j2", trim_blocks=True, **gather_performance()),
    }


def render(template: str, *, trim_blocks: bool = False, **values: object) -> str:
    """Return the text of a page; `trim_blocks` drops the line end behind a block's tag."""
    environment = jinja2.Environment(  # noqa: S701 - Markdown, of our texts
        loader=jinja2.FileSystemLoader(DOCS),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=trim_blocks,
    )
    environment.filters |= {"code": "`{}`".format, "percent": "{:.1%}".format, **FILTERS}
    return environment.get_template(template).render(values)


def read_tables() -> list[dict[str, Any]]:
    """Return the tables and views of a new warehouse, with their columns and comments."""
    query = (DOCS / "dictionary.sql").read_text(encoding="utf-8")
    with duckdb.connect() as connection:
        migrate(connection, Path("memory"))
        return fetch_records(connection, query)


if __name__ == "__main__":
    for name, text in render_pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
