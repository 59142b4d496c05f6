"""Whatever the server does, a listing ends with all of the threads or says that it did not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipelines.extract.paginate import Pagination
from tests.builders import make_page

IDS = st.lists(st.integers(0, 10**6), unique=True, max_size=40)


def take_all(listing: Pagination, pages: dict[str | None, dict[str, Any]]) -> None:
    """Drive a listing through the pages that its cursors ask for."""
    is_more = True
    while is_more:
        cursor = listing.cursor and listing.cursor[1]
        body = json.dumps(pages[cursor]).encode()
        is_more = listing.take(make_page(body, datetime.now(UTC)))


def split(draw: st.DrawFn, ids: list[int]) -> list[list[str]]:
    """Cut the ids into pages, some of them with an id of a page before."""
    pages: list[list[str]] = []
    rest = [f"t{number}" for number in ids]
    while rest:
        size = draw(st.integers(1, len(rest)))
        again = (
            draw(st.lists(st.sampled_from(list(chain.from_iterable(pages))), max_size=3))
            if pages
            else []
        )
        pages.append([*rest[:size], *again])
        rest = rest[size:]
    return pages or [[]]


@st.composite
def revision_a(draw: st.DrawFn) -> tuple[set[str], dict[str | None, dict[str, Any]]]:
    """Pages linked by last_id; duplicates stand before a page's last thread."""
    pages = [page[-3:] + page[:-3] if len(page) > 3 else page for page in split(draw, draw(IDS))]
    pages = [sorted(page, key=page.index) for page in pages]
    linked: dict[str | None, dict[str, Any]] = {}
    cursor, seen = None, set()
    for number, page in enumerate(pages):
        fresh = [id_ for id_ in page if id_ not in seen]
        ordered = [id_ for id_ in page if id_ in seen] + fresh
        seen.update(page)
        linked[cursor] = {
            "data": [{"id": id_} for id_ in ordered],
            "last_id": ordered[-1] if ordered else None,
            "has_more": number < len(pages) - 1,
        }
        cursor = ordered[-1] if ordered else None
    return seen, linked


@st.composite
def revision_b(draw: st.DrawFn) -> tuple[set[str], dict[str | None, dict[str, Any]]]:
    """Pages linked by opaque cursors, with empty ones between."""
    pages: list[list[str]] = []
    for page in split(draw, draw(IDS)):
        pages += [[] for _ in range(draw(st.integers(0, 2)))] + [page]
    linked: dict[str | None, dict[str, Any]] = {}
    for number, page in enumerate(pages):
        is_last = number == len(pages) - 1
        linked[f"c{number}" if number else None] = {
            "data": [{"id": id_} for id_ in page],
            "last_id": page[-1] if page else None,
            "has_more": draw(st.sampled_from([not is_last, None])),
            "next_page": None if is_last else f"c{number + 1}",
        }
    return {id_ for page in pages for id_ in page}, linked


@given(world=st.one_of(revision_a(), revision_b()))
def test_any_split_gives_exactly_the_threads(
    world: tuple[set[str], dict[str | None, dict[str, Any]]],
) -> None:
    """Any split of any threads into pages, with duplicates, gives them all and says complete."""
    ids, pages = world
    listing = Pagination(max_pages=10_000)
    take_all(listing, pages)
    assert listing.is_complete
    assert listing.ids == ids
    assert listing.pages == len(pages)
    listed = sum(len(page["data"]) for page in pages.values())
    assert listing.duplicates == listed - len(ids)


CURSOR = st.sampled_from(["c1", "c2", "c3"])
ANY_PAGE = st.fixed_dictionaries(
    {"data": st.lists(st.sampled_from([{"id": "t1"}, {"id": "t2"}, {"id": "t3"}, {}, None]))},
    optional={
        "has_more": st.none() | st.booleans(),
        "last_id": st.none() | CURSOR,
        "next_page": st.none() | CURSOR,
    },
)


@given(pages=st.fixed_dictionaries(dict.fromkeys([None, "c1", "c2", "c3"], ANY_PAGE)))
def test_any_pages_end(pages: dict[str | None, dict[str, Any]]) -> None:
    """Any graph of pages is walked to an end: complete without an error, or incomplete with one."""
    listing = Pagination(max_pages=50)
    take_all(listing, pages)
    assert listing.is_complete == (listing.error is None)
    assert listing.pages <= 4


@given(
    ids=st.lists(st.integers(0, 1000), unique=True, max_size=30),
    born=st.lists(st.integers(0, 1000), max_size=30),
    limit=st.integers(1, 7),
)
def test_world_that_moves(ids: list[int], born: list[int], limit: int) -> None:
    """Threads born anywhere in the list while a listing runs lose and double none of the others."""
    listed = sorted(ids)
    waiting = list(born)
    listing = Pagination(max_pages=1000)
    is_more = True
    while is_more:
        after = int(listing.cursor[1]) if listing.cursor else -1
        page = [id_ for id_ in listed if id_ > after][:limit]
        body = json.dumps(
            {
                "data": [{"id": str(id_)} for id_ in page],
                "last_id": str(page[-1]) if page else None,
                "has_more": bool(page) and page[-1] != listed[-1],
            }
        ).encode()
        is_more = listing.take(make_page(body, datetime.now(UTC)))
        if waiting:
            listed = sorted({*listed, waiting.pop()})
    assert listing.is_complete
    assert {str(id_) for id_ in ids} <= listing.ids <= {str(id_) for id_ in listed}
    assert listing.duplicates == 0
