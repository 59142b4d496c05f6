"""What is said of a plan: why sessions are asked, and what was missed of those that were not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelines.extract.resting import DAY_US, MISS_US, TRUST_SESSIONS, count_reasons, is_trustworthy
from pipelines.reporting.wording import Duration, count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.config.polling import Polling
    from pipelines.extract.history import Trials
    from pipelines.extract.plan import PlannedSource
    from pipelines.extract.resting import Choice, Reason
    from pipelines.reporting.health import Health

SECOND_US = 1_000_000
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
    asked = ", ".join(f"{number} {REASONS[reason][0]}" for reason, number in counts.items())
    of_all = f"{len(choices) - resting} of {count(len(choices), 'session')} asked"
    return f"{of_all}{': ' if asked else ''}{asked}; {resting} resting"


def describe_trust(planned: Sequence[PlannedSource], polling: Polling) -> list[str]:
    """Return what is missing before sessions rest, a line for each source whose trials say so."""
    return [
        describe_trials(each.source.name, each.trials, len(each.choices), polling)
        for each in planned
        if count_reasons(each.choices).keys() - {"full"}
        and each.present.at
        and not is_trustworthy(each.trials, len(each.choices), each.present.at, polling)
    ]


def describe_trials(name: str, trials: Trials, sessions: int, polling: Polling) -> str:
    """Return one line on what a source's evidence has gone through, and what is missing."""
    needed = count(polling.trust_after_changes, "change")
    missed = ""
    if trials.missed_at is not None:
        at = datetime.fromtimestamp(trials.missed_at / SECOND_US, UTC)
        missed = f"{MISS_US // DAY_US} days after one was missed ({at:%Y-%m-%d %H:%M} UTC), and "
    so_far = "none"
    if trials.announced:
        so_far = f"{count(trials.announced, 'change')} of {count(trials.sessions, 'session')}"
    if seconds := ((trials.last_at or 0) - (trials.first_at or 0)) / SECOND_US:
        so_far += f" over {Duration(seconds)}"
    return (
        f"source {name}: no session rests until {missed}{needed} of"
        f" {count(min(TRUST_SESSIONS, sessions), 'session')} were announced over"
        f" {count(polling.trust_after_days, 'day')}; so far {so_far}"
    )


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
