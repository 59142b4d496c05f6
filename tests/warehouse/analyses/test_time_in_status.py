"""The analysis time_in_status: by hand, and against another computation on random worlds."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING

import pytest

from tests.builders import SESSION, at
from tests.warehouse.cases import ALONE, MINUTE, columns, groups_of, only, spelled
from tests.warehouse.reference import (
    LENGTHS,
    Group,
    assert_table,
    name_group,
    newest,
    oldest,
    seconds,
    spells_of,
    table_of,
    world_of,
)
from tests.warehouse.worlds import CLOSED, Row, World, build_one, state

if TYPE_CHECKING:
    from datetime import datetime


def test_time_in_status_by_hand() -> None:
    """Five spells and a birth that no poll saw; the time after a termination is nobody's."""
    rows = build_one(spelled(), "time_in_status")
    assert groups_of(rows) == ALONE
    # The page of minute 30.5 shows no new updated_at: that change is put between it and minute 20.
    expected = [
        ("idle", 2, 10.25 + 9, 0, 48),
        ("blocked", 1, 14.75, 0, 48),
        ("running", 1, 11, 0, 16.5 + 30),
        ("(unobserved)", 1, 3, 0, 4.5),
    ]
    # Three gaps of ten minutes are more than was seen; no status had more than all together.
    total = sum(cells[2] for cells in expected)
    assert total == 48
    for dimension, value in ALONE:
        own = only(rows, dimension=dimension, value=value, as_of=at(40))
        assert columns(own, "status", "threads") == [cells[:2] for cells in expected]
        for row, cells in zip(own, expected, strict=True):
            found = (row["seconds"], row["seconds_low"], row["seconds_high"], row["share"])
            minutes = [cell * MINUTE for cell in cells[2:]]
            assert found == pytest.approx((*minutes, cells[2] / total))


def test_bounds_of_time_in_status_by_hand() -> None:
    """Gaps of 10 and 20 minutes: threads widen the bounds by the mean of theirs, three times."""
    world = World()
    for minute in (10, 20, 30, 40, 50, 60):
        world.poll(minute, state("a"), state("b"))
    for minute in (20, 30, 40, 60):
        outcome = "failed" if minute == 30 else "complete"
        world.poll(minute, state("c"), state("d", "idle"), session_id="s2", outcome=outcome)
    rows = build_one(world, "time_in_status")
    names = ("value", "status", "seconds", "seconds_low", "seconds_high")
    found = [row for row in rows if row["dimension"] in {"all", "session"}]
    assert [
        (*cells[:2], *(cell / MINUTE for cell in cells[2:])) for cells in columns(found, *names)
    ] == [
        ("all", "running", 180, 49.5 + 49.5 + 39.5 - 40, 180 + 40),
        ("all", "idle", 60, 0, 60 + 60),
        ("s2", "idle", 60, 0, 120),
        ("s2", "running", 60, 0, 120),
        (SESSION, "running", 120, 99 - 30, 120),
    ]


def poll_gaps_of(world: World) -> dict[tuple[str, str], float]:
    """Return the mean time between the complete polls of each session, 0 where there is none."""
    starts: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for poll in world.polls:
        starts[poll["source"], poll["session_id"]] += [poll["started_at"]] * poll["is_complete"]
    gaps = {}
    for session, moments in starts.items():
        moments.sort()
        between = [seconds(*pair) or 0 for pair in pairwise(moments)]
        gaps[session] = round(fmean(between), 6) if between else 0.0
    return gaps


def test_time_in_status(name: str) -> None:
    """The time in each status and its bounds are sums over the spells, closed ones left out."""
    stays: dict[Group, list[Row]] = defaultdict(list)
    for spell in spells_of(name):
        fact = spell["fact"]
        is_endless = spell["status"] in CLOSED or (spell["is_current"] and not fact["is_open"])
        unseen = seconds(spell["changed_after"], spell["changed_at"])
        for group in fact["groups"]:
            if not is_endless:
                stays[(*group, spell["status"] or "(none)")].append(spell)
            if spell["spell"] == 1 and unseen and unseen > 0:
                high = seconds(spell["changed_after"], spell["observed_from"])
                lengths = {"seconds": unseen, "seconds_low": 0, "seconds_high": high}
                stays[(*group, "(unobserved)")].append(spell | lengths)
    whole: dict[Group, list[Row]] = defaultdict(list)
    for group, spells in stays.items():
        whole[group[:2]] += spells
    gaps = poll_gaps_of(world_of(name))
    expected = {}
    for group, spells in stays.items():
        total = math.fsum(spell["seconds"] for spell in whole[group[:2]])
        own, low, high = (math.fsum(s[c] for s in spells) for c in LENGTHS)
        # What polls never met in so many threads takes three poll gaps at most: the rule of three.
        keys = {spell["fact"]["key"] for spell in spells}
        is_seen = group[2] != "(unobserved)"
        unseen = 3 * fmean(gaps[key[:2]] for key in keys) if is_seen else 0.0
        expected[group] = name_group(name, group) | {
            "threads": len(keys),
            "seconds": own,
            "seconds_low": max(low - unseen, 0),
            "seconds_high": max(min(high + unseen, total), own),
            "share": own / total if total else None,
            "as_of": newest(spell["fact"] for spell in whole[group[:2]]),
            "as_of_oldest": oldest(spell["fact"] for spell in whole[group[:2]]),
        }
    assert_table(table_of(name, "time_in_status"), ("dimension", "value", "status"), expected)
