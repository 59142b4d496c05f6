"""What is said of a plan: why sessions are asked, and what was missed of those that were not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.extract.resting import count_reasons
from pipelines.reporting.wording import Duration, count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pipelines.extract.resting import Choice, Reason
    from pipelines.reporting.health import Health

# Of each reason what a summary calls the sessions, and why one of them is asked.
REASONS: dict[Reason, tuple[str, str]] = {
    "full": ("always asked", "its threads are listed in every run (polling.strategy)"),
    "leaving": ("leaving", "it has left the list, and is listed one last time"),
    "new": ("new", "it was never listed to its end"),
    "incomplete": ("incomplete last time", "its last poll was not complete"),
    "impossible age": ("listed in the future", "its last poll lies there: a clock was wrong"),
    "read otherwise": ("read otherwise now", "its pages would be read otherwise now"),
    "no evidence": ("without evidence", "the list of sessions says nothing of it, or did not then"),
    "changed": ("changed", "the list of sessions says something new of it"),
    "running": ("running", "it ran when it was listed last, or had just changed"),
    "untrusted": ("not trusted yet", "its source has not proven yet that it announces changes"),
    "due": ("due", "it is its turn (polling.full_listing_hours)"),
    "resting": ("resting", "rests: nothing points to news"),
}


def sum_up_plan(choices: Sequence[Choice]) -> str | None:
    """Return how many sessions are asked, and why, in one line; None if all always are."""
    counts = count_reasons(choices)
    if not counts.keys() - {"full"}:
        return None
    resting = counts.pop("resting", 0)
    asked = ", ".join(f"{number:,} {REASONS[reason][0]}" for reason, number in counts.items())
    of_all = f"{len(choices) - resting:,} of {len(choices):,} sessions asked"
    return f"{of_all}{': ' if asked else ''}{asked}; {resting:,} resting"


def describe_miss(row: Mapping[str, Any]) -> str:
    """Return one line on a change of which nothing was said, by a row of `read_missed`."""
    change = f"thread {row['thread_id']} of session {row['session_id']}: {row['change']}"
    return (
        f"source {row['source']}: a change was not announced ({change}). Until its evidence has"
        " proven itself anew, no session of it rests (docs/polling.md)"
    )


def describe_resting(lines: Sequence[Health], now: datetime) -> list[str]:
    """Return how old what is known of resting sessions is, a line for each source that has some."""
    sources = dict.fromkeys(line.source for line in lines if line.state == "resting")
    return [
        describe_source(name, [x for x in lines if x.source == name and x.state == "resting"], now)
        for name in sources
    ]


def describe_source(name: str, resting: Sequence[Health], now: datetime) -> str:
    """Return one line on a source's resting sessions."""
    oldest = min(line.last_complete_poll for line in resting if line.last_complete_poll)
    age = Duration((now - oldest).total_seconds())
    bound = max(line.missed_share_upper or 0.0 for line in resting)
    return (
        f"source {name}: {count(len(resting), 'session')} resting, nothing points to news; last"
        f" listed in full at most {age} ago. Of changes like those seen so far at most"
        f" {bound:.1%} pass unannounced (95 % confidence), and are seen at the next full listing"
    )
