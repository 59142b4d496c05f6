"""Timestamps as servers write them: which instant, or none, and what an odd one says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.providers.instants import means_archived, read_instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 26, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-26T12:00:05Z", NOON),
        ("2026-11-26T12:00:05.123456789Z", NOON.replace(microsecond=123456)),
        ("2026-11-26T14:00:05+02:00", NOON),
        ("2026-11-26T14:00:05+0200", NOON),
        ("2026-11-26T12:00:05", NOON),
        ("2026-11-26T12:00:05.5", NOON.replace(microsecond=500000)),
        ("2026-11-26 12:00:05", NOON),
        ("2026-11-26 12:00:05+0000", NOON),
        ("2026-11-26t12:00:05z", NOON),
        (" 2026-11-26T12:00:05Z ", NOON),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_instants(text: str, instant: datetime) -> None:
    """A timestamp in any usual form is its instant; one without an offset is UTC."""
    assert read_instant(text) == (instant - EPOCH) // timedelta(microseconds=1)


NEVER = [
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00", "1970-01-01T00:00:00Z", "1899-12-30 00:00:00"),
    *("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999", "2262-04-11T23:47:16Z"),
]
UNREADABLE = ["yesterday", "2026-13-01T00:00:00Z", "1764158405", "2026-11-26T25:00:00Z"]


@pytest.mark.parametrize("text", [None, "", *NEVER, *UNREADABLE])
def test_what_is_no_instant(text: str | None) -> None:
    """What cannot be read, or cannot be, is no instant."""
    assert read_instant(text) is None


@pytest.mark.parametrize("value", [*UNREADABLE, True, 1764158405, {"at": "x"}, ["x"]])
def test_an_archival_that_cannot_be_read(value: object) -> None:
    """Whatever stands in archived_at, a thread that has it is archived."""
    assert means_archived(value)


@pytest.mark.parametrize("value", [None, "", " ", 0, False, {}, [], *NEVER])
def test_no_archival(value: object) -> None:
    """A way to write "not set" or "never" archives no thread."""
    assert not means_archived(value)
