"""Axes of durations and of time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import altair as alt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NICE_S = (
    *(
        0.01,
        0.02,
        0.05,
        0.1,
        0.2,
        0.5,
        1,
        2,
        5,
        10,
        30,
        60,
        120,
        300,
        600,
        1800,
        3600,
        7200,
        6 * 3600,
        12 * 3600,
    ),
    *(86400 * part * 10**power for power in range(8) for part in (1, 2, 5)),
)
TICKS = 6
# What is longer than this many medians is drawn on a logarithmic scale.
SKEWED = 20
DURATION_LABEL = """
    datum.value < 60 ? datum.value + 's'
    : datum.value < 3600
        ? floor(datum.value / 60) + 'm' + (datum.value % 60 ? ' ' + datum.value % 60 + 's' : '')
    : datum.value < 86400
        ? floor(datum.value / 3600) + 'h'
            + (datum.value % 3600 ? ' ' + (datum.value % 3600) / 60 + 'm' : '')
    : format(datum.value / 86400, ',') + 'd'
"""
TIME_LABEL = """
    utchours(datum.value) || utcminutes(datum.value) || utcseconds(datum.value)
        ? utcFormat(datum.value, utcseconds(datum.value) ? '%H:%M:%S' : '%H:%M')
        : utcFormat(datum.value, '%-d %b')
"""


def scale_durations(
    medians: Sequence[float], longest: float, title: str, part: float
) -> Callable[[str], alt.X]:
    """Return what makes the x axis of a field in seconds, on which medians can be distinguished.

    It is logarithmic if the longest is many times as long as a median, and begins at a part of the
    shortest median then.
    """
    longest = max(longest, NICE_S[0])
    shortest = min((median for median in medians if median > 0), default=longest)
    if longest > SKEWED * shortest:
        begin = max((nice for nice in NICE_S if nice <= shortest * part), default=0.01)
        scale = alt.Scale(type="log", domain=[begin, longest], nice=False, clamp=True)
        ticks, title = pick_rising_ticks(begin, longest), f"{title} (logarithmic)"
    else:
        scale = alt.Scale(domain=[0, longest], nice=False)
        ticks = pick_even_ticks(longest)
    return lambda field: alt.X(f"{field}:Q", title=title, scale=scale, axis=tick_durations(ticks))


def tick_durations(ticks: Sequence[float]) -> alt.Axis:
    """Return an axis with these ticks, which read as durations."""
    return alt.Axis(
        values=list(ticks), labelExpr=DURATION_LABEL, labelOverlap=True, labelSeparation=8
    )


def pick_even_ticks(longest: float) -> list[float]:
    """Return a few multiples of a round duration."""
    years = math.ceil(longest / TICKS / NICE_S[-1]) * NICE_S[-1]
    step = next((nice for nice in NICE_S if longest <= TICKS * nice), years)
    return [step * i for i in range(int(longest / step) + 1)]


def pick_rising_ticks(shortest: float, longest: float) -> list[float]:
    """Return a few round durations, each a multiple of the one before."""
    within = [nice for nice in NICE_S if shortest <= nice <= longest]
    return within[:: math.ceil(len(within) / TICKS) or 1]


def scale_time(field: str) -> alt.X:
    """Return the x axis of an instant, in UTC."""
    return alt.X(
        f"{field}:T",
        title="time (UTC)",
        scale=alt.Scale(type="utc", nice=False),
        axis=alt.Axis(tickCount=5, labelExpr=TIME_LABEL, labelOverlap=True, grid=False),
    )
