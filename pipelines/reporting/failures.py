"""What is said of polls that failed, as they end: a line each, and one of a source as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import INTERRUPTED
from pipelines.records import STOPPED
from pipelines.reporting.wording import count, describe_wait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.records import Poll


class Failures:
    """Says once what ended many polls of a source, such as a rejected token, or a deadline."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str | None]] = set()

    def describe(self, poll: Poll) -> str | None:
        """Return what is to be said of a poll that has ended; None if that is nothing new."""
        reason = (poll.source, poll.error_message)
        is_new = reason not in self._said
        if poll.error_message:
            self._said.add(reason)
        if poll.outcome == "complete" or (poll.end_reason in STOPPED and not is_new):
            return None
        if poll.end_reason in STOPPED and not poll.requests:
            return (
                f"source {poll.source}: none of its other sessions is asked: {poll.error_message}"
            )
        return describe_poll(poll)


def describe_poll(poll: Poll) -> str:
    """Return how a poll has ended, in one line."""
    name = poll.session_id or f"sessions of source {poll.source}"
    counts = f"{count(poll.threads_listed, 'thread')} on {count(poll.pages, 'page')}"
    reason = f": {poll.error_message}" if poll.error_message else ""
    wait = describe_wait("waited", poll.wait_seconds)
    return f"{name}: {poll.outcome}, {counts}{wait}{reason}"


def find_problem(polls: Sequence[Poll]) -> str | None:
    """Return why a run must not go on, in one line: it was ended, or brought nothing at all."""
    ended = [poll for poll in polls if poll.error_type == INTERRUPTED]
    if ended:
        return str(ended[0].error_message)
    if polls and not any(poll.pages for poll in polls):
        return f"{count(len(polls), 'session')} failed; the first: {polls[0].error_message}"
    return None
