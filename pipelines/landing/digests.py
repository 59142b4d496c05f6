"""Digests of what polls brought: equal ones mean equal threads, which need not be read again."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

from pipelines.landing.footer import POLL
from pipelines.providers.registry import find_endpoint
from pipelines.records import DEFAULT_PROVIDER

if TYPE_CHECKING:
    from pipelines.landing.format import Landed
    from pipelines.records import Poll

PollKey = tuple[str, str, str]


class PageDigests:
    """The digest of each poll's pages so far. Only the items count: a cursor may be another."""

    def __init__(self) -> None:
        self._digests: defaultdict[PollKey, hashlib.blake2b] = defaultdict(
            lambda: hashlib.blake2b(digest_size=16)
        )

    def add(self, poll: PollKey, provider: str, body: bytes) -> None:
        """Add the next page of a poll: of a source, endpoint and session."""
        self._digests[poll].update(find_endpoint(poll[1], provider).raw_items(body))

    def conclude(self, poll: PollKey) -> str:
        """Return the digest of a poll's pages, all of which were added, and forget them."""
        digest = self._digests[poll].hexdigest()
        del self._digests[poll]
        return digest


def poll_key(poll: Poll) -> PollKey:
    """Return the key of a poll among the others of its run."""
    return (poll.source, poll.endpoint, poll.session_id)


def read_digests(landed: Landed) -> dict[PollKey, str]:
    """Return the digest of each poll, computed from its pages if its footer does not say it."""
    if all(poll.digest for poll in landed.polls):
        return {poll_key(poll): poll.digest or "" for poll in landed.polls}
    digests = PageDigests()
    providers = {poll_key(poll): poll.provider for poll in landed.polls}
    for pages in landed.read_batches():
        for source, endpoint, session_id, body in pages.select(*POLL, "body").iter_rows():
            key = (source, endpoint, session_id)
            digests.add(key, providers.get(key, DEFAULT_PROVIDER), body)
    return {poll_key(poll): digests.conclude(poll_key(poll)) for poll in landed.polls}
