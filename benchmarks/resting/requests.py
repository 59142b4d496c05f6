"""Count the requests of each poll at a server, and draw them.

    python -m benchmarks.resting.requests [SESSIONS]

1,000 sessions by default, of one page each, polled every 15 minutes by the steps of a run; those
that earn trust are three days apart. Writes `requests` in docs/resting.json, and docs/polling.svg.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl
import vl_convert
import yaml

from benchmarks.contestants import TOKEN, UNLIMITED
from benchmarks.planned import ANNOUNCING, CHANGED, EARNING, INTERVAL
from benchmarks.quiet import QuietFleet
from benchmarks.resting import RESULTS
from pipelines import steps
from pipelines.config.loader import load_settings
from pipelines.providers.registry import PROVIDERS
from pipelines.sandbox.server import serve

if TYPE_CHECKING:
    from pipelines.config.settings import Settings

PICTURE = RESULTS.with_name("polling.svg")
POLLS = 8


def main(sessions: int = 1_000) -> None:
    """Poll, and write down what was asked."""
    counts = (0, *[ANNOUNCING] * (len(EARNING) - 1))
    earning = [(*act, "untrusted") for act in zip(EARNING, counts, strict=True)]
    changed = [(INTERVAL, sessions // CHANGED, "5 % changed")] * POLLS
    unchanged = [(INTERVAL, 0, "unchanged")] * POLLS
    fleet = QuietFleet(sessions, sessions, timedelta(hours=80))
    rows = []
    with serve(fleet, is_dated=False) as base_url, tempfile.TemporaryDirectory() as home:
        settings = configure(Path(home), base_url)
        for number, (minutes, count, kind) in enumerate([*earning, *changed, *unchanged], 1):
            fleet.move(minutes, number * ANNOUNCING, count)
            fleet.take_truth()
            result = steps.run(settings)
            due = sum(choice.reason == "due" for choice in result.choices)
            requests = fleet.take_truth().requests
            rows.append({"poll": number, "kind": kind, "requests": requests, "due": due})
    results = json.loads(RESULTS.read_text(encoding="utf-8")) | {"requests": rows}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PICTURE.write_text(draw(rows), encoding="utf-8")


def configure(directory: Path, base_url: str) -> Settings:
    """Return the settings of a run in the directory, which asks as fast as the server answers."""
    source = {"base_url": base_url, "discover": True, "token_env": "QUIET_PAT"} | UNLIMITED
    config = directory / "sessions.yaml"
    config.write_text(yaml.safe_dump({"sources": [source]}), "utf-8")
    places = {"SESSION_THREADS_CONFIG": str(config), "SESSION_THREADS_HOME": str(directory)}
    return load_settings(PROVIDERS, places | {"QUIET_PAT": TOKEN})


def draw(requests: list[dict[str, Any]]) -> str:
    """Return the picture of the requests of each poll."""
    chart = (
        alt.Chart(pl.DataFrame(requests))
        .mark_bar(size=14)
        .encode(
            x=alt.X("poll:O", title="poll", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("requests:Q", title="requests"),
            color=alt.Color("kind:N", title=None, sort=None),
        )
        .properties(width=480, height=200)
        .configure_legend(orient="bottom")
    )
    return vl_convert.vegalite_to_svg(chart.to_dict())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
