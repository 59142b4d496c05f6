"""The analysis status_transitions: by hand, and against another computation on random worlds."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.builders import at
from tests.warehouse.cases import MINUTE, columns, only, spelled, terminated
from tests.warehouse.reference import (
    LENGTHS,
    Group,
    assert_table,
    find_percentile,
    newest_of_source,
    oldest_of_source,
    spells_of,
    table_of,
    world_of,
)
from tests.warehouse.worlds import MICROSECOND, SOURCE, Row, World, build_one, state

if TYPE_CHECKING:
    from collections.abc import Iterable


def test_status_transitions_by_hand() -> None:
    """The same spells: what followed them; each that ended was seen once, and may hide another."""
    rows = build_one(spelled(), "status_transitions")
    assert only(rows, source=SOURCE, as_of=at(40), as_of_oldest=at(40)) == [
        {
            "from_status": start,
            "to_status": end,
            "transitions": 1,
            "share": 1 / n,
            "n": n,
            "p50_seconds_before": estimate * MINUTE,
            "p50_seconds_before_low": 0,
            "p50_seconds_before_high": high * MINUTE,
            "p90_seconds_before": estimate * MINUTE,
            "possibly_missed": missed,
        }
        for start, end, n, estimate, high, missed in [
            ("idle", "blocked", 2, 10.25, 20.5, 1),
            ("idle", "terminated", 2, 9, 14.5, 1),
            ("running", "idle", 1, 11, 16.5, 1),
            ("terminated", "archived", 1, 10, 20.5, 1),
        ]
    ]


def test_possibly_missed_by_hand() -> None:
    """Forty threads, half of them idle before they end; two were seen idle only once."""
    # Where changes are rarer than polls, what follows is half a gap old when first seen. Those that
    # end at once are 7/16 of a gap of 10.5 minutes old: with the others 15/32, 1/16 is missed.
    half, younger = 5.25, 10.5 * 9 / 16
    world = World()
    for minute in (10, 20, 30, 40, 50, 60, 70):
        listed = []
        for number in range(40):
            idle = 30 + half if number < 20 else 100
            end = (40 if number < 2 else 60) + half if number < 20 else 30 + younger
            now = minute + 0.25
            shown = state(f"t{number}")
            if now > end:
                shown = terminated(f"t{number}", 0, end)
            elif now > idle:
                shown = state(f"t{number}", "idle", 0, idle)
            listed.append(shown)
        world.poll(minute, *listed)
    rows = build_one(world, "status_transitions")
    assert columns(rows, "from_status", "to_status", "transitions", "possibly_missed") == [
        # What follows never ends: as often as idle itself, 2 * 2/20 of 20: 4, and 2 * 2 of chance.
        ("idle", "terminated", 20, 8),
        # 2 * 2/20 + 1/16 of 20: 5.25, and 4.58 of chance.
        ("running", "idle", 20, 10),
        # The same, and 2 * 2/20 of the 20 that went by way of idle: 9.25, and 6.08 of chance.
        ("running", "terminated", 20, 16),
    ]


NONE, ALL = Fraction(0), Fraction(1)


def test_status_transitions(name: str) -> None:
    """Each transition's number, share and times are those of the ended spells."""
    world = world_of(name)
    moves: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for spell in spells_of(name):
        if not spell["is_current"]:
            kinds = (spell["status"] or "(none)", spell["next_status"] or "(none)")
            moves[(spell["source"], *kinds)].append(spell)
    totals = Counter(group[:2] for group, spells in moves.items() for _ in spells)
    missed: dict[Group, int] = {}
    for source in {group[0] for group in moves}:
        own = {group[1:]: spells for group, spells in moves.items() if group[0] == source}
        missed |= {(source, *pair): count for pair, count in count_missed(own).items()}
    expected: dict[Group, Row] = {}
    for group, spells in moves.items():
        lengths = {c: [s[c] for s in spells] for c in LENGTHS}
        expected[group] = {
            "transitions": len(spells),
            "share": len(spells) / totals[group[:2]],
            "n": totals[group[:2]],
            "p50_seconds_before": find_percentile(lengths["seconds"], 50),
            "p50_seconds_before_low": find_percentile(lengths["seconds_low"], 50),
            "p50_seconds_before_high": find_percentile(lengths["seconds_high"], 50),
            "p90_seconds_before": find_percentile(lengths["seconds"], 90),
            "possibly_missed": missed[group],
            "as_of": newest_of_source(world, group[0]),
            "as_of_oldest": oldest_of_source(world, group[0]),
        }
    rows = table_of(name, "status_transitions")
    assert_table(rows, ("source", "from_status", "to_status"), expected)


def count_missed(moves: dict[tuple[str, str], list[Row]]) -> dict[tuple[str, str], int]:
    """Return how many transitions of each pair may have passed a status that no poll saw.

    In fractions, so that nothing is rounded before the end.
    """
    leaving: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    for (start, end), spells in moves.items():
        leaving[start] += [(end, spell) for spell in spells]
    # The share of a status' spells that one poll alone saw: no complete poll after its first page.
    glimpsed = {
        status: mean_of(spell["ended_after"] <= spell["observed_from"] for _, spell in spells)
        for status, spells in leaving.items()
    }
    hidden = {}
    for status, left in leaving.items():
        # What never ends cannot hide; where nothing else follows, the status stands for it.
        after = [glimpsed[end] for end, _ in left if end in glimpsed] or [glimpsed[status]]
        ages = [age_of(spell) for _, spell in left]
        hidden[status] = min(2 * mean_of(after) + max(1 - 2 * mean_of(ages), NONE), ALL)
    counts = {}
    for (start, end), spells in moves.items():
        if start == end:
            counts[start, end] = len(spells)
            continue
        missed = len(spells) * hidden[start]
        for middle in leaving.keys() - {start, end}:
            share = mean_of(last == end for last, _ in leaving[middle])
            entered = len(moves.get((start, middle), ()))
            missed += entered * share * min(2 * glimpsed[middle], ALL)
        chance = 2 * math.sqrt(missed)
        counts[start, end] = min(math.ceil(float(missed) + chance), len(spells))
    return counts


def mean_of(numbers: Iterable[Fraction | bool]) -> Fraction:
    """Return the exact mean of some numbers."""
    exact = [Fraction(number) for number in numbers]
    return sum(exact, NONE) / len(exact)


def age_of(spell: Row) -> Fraction:
    """Return how old the next spell was when first seen, as a share of the time it began in."""
    began_in = spell["ended_before"] - spell["ended_after"]
    return Fraction(
        (spell["ended_before"] - spell["ended_at"]) // MICROSECOND, began_in // MICROSECOND
    )
