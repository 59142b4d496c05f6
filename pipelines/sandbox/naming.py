"""Ids, names and titles as long and as odd as those in the field, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

# Ids of one week begin alike: they carry the time at which they were made.
WEEK = "019f3a"
DIGITS = 26
# Some are alike but for their ends, and two agents have one name, as a copy of one has.
AGENT_NAMES = (
    "planner",
    "Research Analyst (EU)",
    "Research Analyst (US)",
    "coder – TypeScript",  # noqa: RUF001 - people write dashes
    "coder – TypeScript",  # noqa: RUF001
    "Code reviewer: security, licences and data protection for the payments team's monorepo",
    "Code reviewer: security, licences and data protection for the platform team's monorepo",
    "テスト担当エージェント",
    "🧪 regression-tester",
    "Übersetzerin für Verträge",
    "نویسندهٔ مستندات",
    "release_notes.writer/v2",
)
TITLES = (
    "Nightly regression of checkout-service, branch release/2026.11, region eu-central-1",
    "Fix flaky login test",
    "Upgrade all services to Python 3.14 and report what breaks, one pull request per service",
    "PROJ-4711",
    "請求書の照合 2026年10月分",
    "Why did p95 of /search double since Tuesday? Look at traces, deploys and the feature flags",
    "triage",
    "Übersetzung der Verträge für Müller & Söhne GmbH (zweite Fassung, bitte mit Glossar)",
)


@dataclass(frozen=True)
class Agent:
    """Who works in a thread."""

    id: str
    name: str


def draw_id(draw: random.Random, prefix: str, longer: int = 0) -> str:
    """Return an id such as sess_019f3a…, of 32 digits or more behind its prefix."""
    digits = DIGITS + longer
    return f"{prefix}_{WEEK}{draw.getrandbits(4 * digits):0{digits}x}"


def draw_session_id(draw: random.Random) -> str:
    """Return an id of 37 to 39 characters."""
    return draw_id(draw, "sess", draw.randrange(3))


def draw_agents(draw: random.Random, number: int) -> list[Agent]:
    """Return so many agents with ids of 38 characters; their names are of one kind or another."""
    return [Agent(draw_id(draw, "agent"), name) for name in islice(number_names(), number)]


def number_names() -> Iterator[str]:
    """Give the name of the coordinators' agent, then others, then these with a number behind."""
    yield "coordinator"
    yield from AGENT_NAMES
    for number in count(2):
        yield from (f"{name} #{number}" for name in AGENT_NAMES)


def title_session(index: int) -> str:
    """Return the title of a session; titles of one job differ at their ends alone."""
    repeat, kind = divmod(index, len(TITLES))
    return f"{TITLES[kind]} · run {repeat + 1}" if repeat else TITLES[kind]
