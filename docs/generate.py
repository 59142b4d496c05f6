"""Make the pages that follow from the code: `make docs`."""

from __future__ import annotations

from pathlib import Path

import jinja2

from pipelines.warehouse.analyses import list_analyses

DOCS = Path(__file__).parent


def render_analyses() -> str:
    """Return the text of analyses.md."""
    environment = jinja2.Environment(  # noqa: S701 - Markdown, of our own texts
        loader=jinja2.FileSystemLoader(DOCS),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = "`{}`".format
    analyses = sorted(list_analyses().values(), key=lambda analysis: analysis.name)
    polling = (DOCS / "polling_error.md").read_text(encoding="utf-8")
    template = environment.get_template("analyses.md.j2")
    return template.render(analyses=analyses, polling=polling)


if __name__ == "__main__":
    (DOCS / "analyses.md").write_text(render_analyses(), encoding="utf-8")
