"""What a page lists: read whole where it is as documented, else field by field."""

from __future__ import annotations

import json
from typing import Any, Generic, TypeVar

import msgspec
import pytest

from pipelines.http.bodies import MAX_DEPTH
from pipelines.providers.items import Fields, ItemReader

T = TypeVar("T")


class Envelope(msgspec.Struct, Generic[T], frozen=True):
    """A page."""

    rows: list[T]


class Owner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose it is."""

    name: str | None = None


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item with a nested object and one of any shape."""

    id: str
    owner: str | Owner | None = None
    result: Fields | None = None


class Plain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item without either."""

    id: str


JOBS = ItemReader(Job, Envelope, "rows", ("owner.notes", "script"))


def encode(*items: Any) -> bytes:
    """Return a page."""
    return json.dumps({"rows": items, "more": "x"}).encode()


def nest(depth: int) -> Any:
    """Return an object that nests so deep."""
    return {"k": nest(depth - 1)} if depth else 1


def test_documented_items() -> None:
    """What is as documented is a struct, with nothing beside it."""
    item = {"id": "a", "owner": {"name": "n"}, "result": {"k": [1]}}
    (read,) = JOBS.read_items(encode(item), keep_prompts=False)
    assert read == (Job("a", Owner("n"), {"k": [1]}), {})


@pytest.mark.parametrize("keep", [True, False])
def test_undocumented_fields(keep: bool) -> None:  # noqa: FBT001
    """What is not documented is kept at its path, prompts only if the user says so."""
    item = {"id": "a", "owner": {"name": "n", "notes": "p", "x": 1}, "script": "p", "result": "r"}
    ((job, extra),) = JOBS.read_items(encode(item), keep_prompts=keep)
    assert job == Job("a", Owner("n"))
    prompts = {"script": "p"} if keep else {}
    notes = {"notes": "p"} if keep else {}
    assert extra == {"owner": {"x": 1, **notes}, "result": "r", **prompts}


def test_odd_items_spare_the_others() -> None:
    """What has no id is passed over by the rows, and named by the page."""
    body = encode({"id": "a"}, None, {"id": 3}, {"id": "b", "new": 1})
    assert [job.id for job, _ in JOBS.read_items(body, keep_prompts=False)] == ["a", "b"]
    _, ids, fault = JOBS.read_page(body)
    assert (ids, fault) == (["a", "b"], "rows[1] is null, which has no id")


@pytest.mark.parametrize("key", ["result", "undocumented"])
def test_depth(key: str) -> None:
    """What nests too deep is rejected by the page and by the rows alike, whatever the field."""
    reads = (JOBS.read_page, lambda body: JOBS.read_items(body, keep_prompts=False))
    for read in reads:
        read(encode({"id": "a", key: nest(MAX_DEPTH - 3)}))
        with pytest.raises(ValueError, match="nested more than"):
            read(encode({"id": "a", key: nest(MAX_DEPTH + 1)}))


def test_item_without_objects() -> None:
    """An item that has no field of any shape is read as well."""
    reader = ItemReader(Plain, Envelope, "rows")
    assert reader.read_page(encode({"id": "a"}))[1:] == (["a"], None)
    assert reader.read_items(encode({"id": "a"}), keep_prompts=False) == [(Plain("a"), {})]


def test_raw_items() -> None:
    """The items come as they were sent, without the cursor beside them; no page comes whole."""
    assert bytes(JOBS.raw_items(b'{"rows": [ 1 ], "more": "x"}')) == b"[ 1 ]"
    assert JOBS.raw_items(b"<html>") == b"<html>"
