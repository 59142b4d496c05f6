"""What `plan` prints: which sessions the next run would ask, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipelines.cli.console import name_sources, print_json
from pipelines.cli.printing import make_console, print_text
from pipelines.cli.tables import print_records
from pipelines.reporting.plans import REASONS, describe_trust, sum_up_plan
from pipelines.reporting.wording import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.cli.exit_status import ExitStatus
    from pipelines.config.polling import Polling
    from pipelines.extract.plan import PlannedSource
    from pipelines.extract.resting import Choice
    from pipelines.records import Poll

SHOWN = 50


def print_plan(
    planned: Sequence[PlannedSource], listings: Sequence[Poll], polling: Polling
) -> None:
    """Print the first sessions in the order of their turn, and how many requests are expected.

    Of sources that are not trusted yet it says what is missing.
    """
    console = make_console()
    asked = list_asked(planned)
    print_records(console, asked[:SHOWN])
    if len(asked) > SHOWN:
        print_text(console, f"and {count(len(asked) - SHOWN, 'more session')}")
    choices = [choice for each in planned for choice in each.choices]
    print_text(console, sum_up_plan(choices) or f"{count(len(choices), 'session')}, all asked")
    pages = sum(choice.pages for choice in choices if choice.is_asked)
    lists = sum(poll.pages for poll in listings)
    print_text(
        console,
        f"{count(pages + lists, 'request')} expected: {lists} for the list of sessions, {pages} for"
        " their threads",
    )
    for line in describe_trust(planned, polling):
        print_text(console, line)


def list_asked(planned: Sequence[PlannedSource]) -> list[dict[str, object]]:
    """Return a row for each session that is asked, in the order of their turn."""
    sources = name_sources([each.source.name for each in planned])
    return [
        sources[each.source.name]
        | {
            "session": choice.session.label
            or each.titles.get(choice.session.id)
            or choice.session.id
        }
        | {"requests": choice.pages, "why it is asked": REASONS[choice.reason][1]}
        for each in planned
        for choice in in_order(each)
    ]


def in_order(planned: PlannedSource) -> list[Choice]:
    """Return what was decided of the sessions that are asked, in the order of their turn."""
    choices = {choice.session.id: choice for choice in planned.choices}
    return [choices[session.id] for session in planned.sessions]


def print_plan_json(planned: Sequence[PlannedSource], ending: ExitStatus) -> None:
    """Print what was decided of each session as one JSON document."""
    sessions = [
        {
            "source": each.source.name,
            "session_id": choice.session.id,
            "label": choice.session.label,
            "title": each.titles.get(choice.session.id),
            "is_asked": choice.is_asked,
            "reason": choice.reason,
            "requests": choice.pages if choice.is_asked else 0,
        }
        for each in planned
        for choice in each.choices
    ]
    print_json(msgspec.structs.asdict(ending) | {"sessions": sessions})
