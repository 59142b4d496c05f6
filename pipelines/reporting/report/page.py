"""The report as HTML: the templates filled, and everything that they need inside one page."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import jinja2
import vl_convert
from markupsafe import Markup

from pipelines import __version__
from pipelines.reporting.report.charts import draw_charts
from pipelines.reporting.report.style import classify
from pipelines.reporting.report.tables import LAYOUTS, format_value, make_table

if TYPE_CHECKING:
    from pipelines.reporting.report.sections import Section, Sections

TEMPLATES = resources.files("pipelines.reporting.report") / "templates"
# Each curve has one row in the table beside it.
SUMMARIZED = {"survival": "is_first"}


def render_page(sections: Sections) -> str:
    """Return the page of the sections; the same sections give the same page."""
    scripts = [bundle_vega(), read_template("report.js")]
    (headline,) = sections["headline"].rows
    template = make_environment().get_template("report.html.j2")
    return template.render(
        version=__version__,
        headline=headline,
        reasons=sections["reasons"].rows,
        charts=draw_charts(sections),
        tables={name: make_table(name, summarize(name, sections[name])) for name in LAYOUTS},
        style=Markup(read_template("report.css")),  # noqa: S704 - ours
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - ours
        policy=write_policy(scripts),
    )


@cache
def bundle_vega() -> str:
    """Return what draws the charts, Vega and all that it needs, as one script; takes seconds."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def summarize(name: str, section: Section) -> Section:
    """Return a section as its table shows it."""
    flag = SUMMARIZED.get(name)
    return type(section)([row for row in section.rows if flag is None or row[flag]], section.total)


def read_template(name: str) -> str:
    """Return the text of a template."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def make_environment() -> jinja2.Environment:
    """Return where templates are found, and the filters that they use; all text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines.reporting.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"read": format_value, "classify": classify}
    return environment


def write_policy(scripts: list[str]) -> str:
    """Return the page's Content-Security-Policy: our scripts alone run, and nothing is fetched."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    sources = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline';"
        " base-uri 'none'; form-action 'none'"
    )
