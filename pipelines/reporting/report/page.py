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
from pipelines.reporting.formats import format_value
from pipelines.reporting.palette import classify, list_variables
from pipelines.reporting.report.charts import draw_charts
from pipelines.reporting.report.periods import compare_periods, name_period
from pipelines.reporting.report.tables import make_tables

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.reporting.report.sections import Sections

TEMPLATES = resources.files("pipelines.reporting.report") / "templates"


def render_page(sections: Sections, made_at: datetime) -> str:
    """Return the page of the sections, made at an instant; the same give the same page."""
    scripts = [bundle_vega(), read_template("report.js")]
    (headline,) = sections["headline"].rows
    periods = sections["periods"].rows
    template = make_environment().get_template("report.html.j2")
    return template.render(
        version=__version__,
        made_at=made_at,
        headline=headline,
        reasons=sections["reasons"].rows,
        period=name_period(periods),
        changes=compare_periods(periods),
        unseen=[
            row
            for row in sections["durations"].rows
            if row["dimension"] == "all" and (row["vanished_share"] or row["late_share"])
        ],
        compared=next((row["compared"] for row in sections["versions"].rows), 0),
        n_lifetimes=[row["n_lifetimes"] for row in periods],
        charts=draw_charts(sections),
        tables=make_tables(sections),
        style=Markup(write_style()),  # noqa: S704 - ours
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - ours
        policy=write_policy(scripts),
    )


@cache
def bundle_vega() -> str:
    """Return what draws the charts, Vega and all that it needs, as one script; takes seconds."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def write_style() -> str:
    """Return the style sheet, with its colours in light and in dark."""
    light, dark = (list_variables(dark=dark) for dark in (False, True))
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        + read_template("report.css")
    )


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
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
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
