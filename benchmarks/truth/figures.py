"""Where assumption and world part: `python -m benchmarks.truth.figures` draws docs/wrong_*.svg.

Plain computations on drawn lifetimes, apart from the product: what a naive reading would say, what
ours says, and what is true.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import polars as pl
import vl_convert
from scipy.stats import t

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[Any]

DOCS = Path(__file__).parents[2] / "docs"
HOURS = np.linspace(0, 24, 97)
TYPICAL_H = 8.0
AGAIN = 400  # worlds of each kind


def kaplan_meier(ends: Numbers, is_closed: Numbers, entries: Numbers | None = None) -> Numbers:
    """Return the share open at each of HOURS."""
    entries = np.zeros(len(ends)) if entries is None else entries
    times = np.sort(ends[is_closed])
    at_risk = np.array([((entries < time) & (ends >= time)).sum() for time in times])
    falls = np.concatenate([[1.0], np.cumprod(1 - 1 / at_risk)])
    share: Numbers = falls[np.searchsorted(times, HOURS, side="right")]
    return share


def draw_threads(chance: np.random.Generator, n: int = 4000) -> tuple[Numbers, Numbers, float]:
    """Return births and ends of threads of three days, and now, in hours."""
    born = 72 * chance.random(n)
    return born, born + TYPICAL_H * chance.exponential(size=n), 72.0


def vanish() -> pl.DataFrame:
    """Half of the threads vanish as they close: taken for open until now, or for closed."""
    chance = np.random.default_rng(1)
    born, end, now = draw_threads(chance)
    vanishes = chance.random(len(born)) < 0.5  # noqa: PLR2004 - half
    closed = end <= now
    until = np.where(closed & ~vanishes, end, now) - born
    return curves(
        {
            "true": np.exp(-HOURS / TYPICAL_H),
            "vanished taken to be open": kaplan_meier(until, closed & ~vanishes),
            "vanished taken to have closed": kaplan_meier(np.minimum(end, now) - born, closed),
        }
    )


def arrive_late() -> pl.DataFrame:
    """At the first poll, after two days, only what is open is listed."""
    born, end, now = draw_threads(np.random.default_rng(2))
    first = 48.0
    listed = end > first
    entry = np.maximum(first - born, 0)[listed]
    until, closed = (np.minimum(end, now) - born)[listed], (end <= now)[listed]
    return curves(
        {
            "true": np.exp(-HOURS / TYPICAL_H),
            "counted from birth": kaplan_meier(until, closed),
            "counted from the first poll": kaplan_meier(until, closed, entry),
        }
    )


def curves(shares: dict[str, Numbers]) -> pl.DataFrame:
    """Return the curves as rows of a figure."""
    return pl.concat(
        pl.DataFrame({"x": HOURS, "y": share, "reading": name}) for name, share in shares.items()
    )


def be_young() -> pl.DataFrame:
    """A version of which 20 % fail, early: what seems to fail, by how old the version is."""
    chance = np.random.default_rng(3)
    n = 20_000
    end = TYPICAL_H * chance.exponential(size=n)
    fails = chance.random(n) < 0.2  # noqa: PLR2004 - a fifth
    end[fails] *= 0.1
    ages = np.linspace(0.5, 24, 48)
    seeming, common = [], []
    for age in ages:
        born = age * chance.random(n)
        closed = born + end <= age
        seeming.append((fails & closed).sum() / closed.sum())
        common.append((fails & (end <= age / 2)).mean())
    parts = {
        "of those that have closed": seeming,
        "of all, by the age half were followed to": common,
    }
    parts["of all, in the end"] = [0.2] * len(ages)
    return pl.concat(
        pl.DataFrame({"x": ages, "y": share, "reading": name}) for name, share in parts.items()
    )


def be_alike() -> pl.DataFrame:
    """Worlds of 8 and 8 sessions without any effect: how many get a verdict at 5 %."""
    chance = np.random.default_rng(4)
    rows = []
    for spread in np.linspace(0, 1, 11):
        speeds = spread * chance.standard_normal((AGAIN, 2, 8, 1))
        logs = speeds + np.log(chance.exponential(size=(AGAIN, 2, 8, 40)))
        means = logs.mean(axis=3)
        difference = means.mean(axis=2) @ [1, -1]
        by_thread = np.sqrt(logs.reshape(AGAIN, 2, 320).var(axis=2, ddof=1).sum(axis=1) / 320)
        by_session = np.sqrt(means.var(axis=2, ddof=1).sum(axis=1) / 8)
        for name, error, df in (("by thread", by_thread, 638), ("by session", by_session, 14)):
            found = float((np.abs(difference / error) > t.ppf(0.975, df)).mean())
            rows.append({"x": float(spread), "y": found, "reading": f"uncertainty {name}"})
    return pl.DataFrame(rows)


def know_little() -> pl.DataFrame:
    """Hangs that the best rule misses that knows how silences vary, and a few of an agent's.

    A silence of ten times the mean hangs. Of the healthy, met at any time, one in twenty is listed.
    """
    chance, again, rows = np.random.default_rng(5), 200_000, []
    for spread, reading in ((0.0, "exponential"), (1.0, "log-normal, 1.0")):

        def draw(size: int | tuple[int, int], power: float, spread: float = spread) -> Numbers:
            """Return silences of mean 1; with power 1 each the likelier the longer it is."""
            if not spread:
                return chance.gamma(1 + power, size=size)
            return chance.lognormal((power - 0.5) * spread * spread, spread, size)

        quiet = draw(again, 1) * chance.random(again)
        for known in range(1, 21):
            earlier = draw((again, known), 0)
            usual = np.exp(np.log(earlier).mean(axis=1)) if spread else earlier.mean(axis=1)
            threshold = np.quantile(quiet / usual, 0.95) * usual
            missed = float((threshold > 10).mean())  # noqa: PLR2004 - times the mean
            rows.append({"x": known, "y": missed, "reading": reading})
    return pl.DataFrame(rows)


FIGURES = {
    "alike": (be_alike, "spread of sessions' log speed", "worlds with a verdict"),
    "young": (be_young, "age of the version (h)", "share that fails"),
    "vanished": (vanish, "age (h)", "share open"),
    "late": (arrive_late, "age (h)", "share open"),
    "few": (know_little, "silences that are known of the agent", "hangs that are missed"),
}


def main() -> None:
    """Draw all figures."""
    for name, (make, x, y) in FIGURES.items():
        chart = (
            alt.Chart(make())
            .mark_line()
            .encode(
                x=alt.X("x:Q", title=x),
                y=alt.Y("y:Q", title=y, axis=alt.Axis(format="%"), scale=alt.Scale(zero=True)),
                color=alt.Color("reading:N", title=None, sort=None),
                strokeDash=alt.StrokeDash("reading:N", title=None, sort=None),
            )
            .properties(width=420, height=220)
            .configure_legend(orient="bottom", labelLimit=400)
        )
        svg = vl_convert.vegalite_to_svg(chart.to_dict())
        (DOCS / f"wrong_{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
