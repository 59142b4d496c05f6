"""Digests of what polls brought: equal ones mean equal threads, which need not be read again."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.frames.growing import GrowingFields
from pipelines.landing.format import POLL
from pipelines.providers.registry import find_endpoint
from pipelines.records import DEFAULT_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipelines.landing.format import Landed
    from pipelines.providers.base import Endpoint
    from pipelines.records import Poll

_encode = msgspec.json.Encoder(order="deterministic").encode
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


class StateDigests:
    """The digests of polls' threads without numbers that grow by themselves, so far.

    `providers` is source -> provider. A page that cannot be read counts as it came.
    """

    def __init__(self, providers: Mapping[str, str]) -> None:
        self._providers = providers
        self._digests: defaultdict[PollKey, hashlib.blake2b] = defaultdict(
            lambda: hashlib.blake2b(digest_size=16)
        )

    def add(self, poll: PollKey, body: bytes) -> None:
        """Add the next page of a poll."""
        endpoint = find_endpoint(poll[1], self._providers[poll[0]])
        self._digests[poll].update(_blank_page(endpoint, body))

    def get(self, poll: PollKey) -> str | None:
        """Return a poll's digest, None if none of its pages was added."""
        return self._digests[poll].hexdigest() if poll in self._digests else None

    def conclude(self) -> dict[PollKey, str]:
        """Return the digest of each poll."""
        return {key: digest.hexdigest() for key, digest in self._digests.items()}


def read_state_digests(landed: Landed, wanted: Collection[PollKey]) -> dict[PollKey, str]:
    """Return the digest of the threads of these polls without numbers that grow by themselves."""
    digests = StateDigests({poll.source: poll.provider for poll in landed.polls})
    for pages in landed.read_batches() if wanted else ():
        for *key, body in pages.select(*POLL, "body").iter_rows():
            if tuple(key) in wanted:
                digests.add(tuple(key), body)
    none = hashlib.blake2b(digest_size=16).hexdigest()
    return dict.fromkeys(wanted, none) | digests.conclude()


def _blank_page(endpoint: Endpoint[Any], body: bytes) -> bytes:
    """Return a page's threads without numbers that grow by themselves."""
    growing = GrowingFields(endpoint.documented.growing)
    try:
        items = endpoint.read_items(body, keep_prompts=True)
    except (ValueError, RecursionError):
        return body
    extras = [growing.blank(thread, extra) for thread, extra in items]
    return _encode(([thread for thread, _ in items], extras))
