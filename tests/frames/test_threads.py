"""Page bytes to typed rows: every documented shape, every odd one, and nothing lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.frames.drift import Drift
from pipelines.frames.known import KNOWN as KNOWN_THREADS
from pipelines.frames.known import ThreadDigests
from pipelines.frames.paths import KINDS, Paths
from pipelines.frames.threads import NAMES, THREADS, describe_reading, threads_frame
from pipelines.frames.values import TIMESTAMP, read_instants
from pipelines.landing.format import PAGES
from pipelines.providers.documented import Documented
from pipelines.providers.instants import read_instant
from pipelines.providers.items import ItemReader, describe_fields, split
from pipelines.providers.thread import PROMPT_FIELDS, Thread
from pipelines.records import Poll
from tests.support import ROOT, decode_json_columns

OBSERVED = datetime(2026, 10, 3, 12, 0, 0, 5, tzinfo=UTC)
SAMPLES = ROOT / "tests" / "samples"


def make_pages(*pages: list[Any], session_id: str = "sess_odd") -> pl.DataFrame:
    """Return landed pages that hold these threads."""
    rows = [
        (
            "qoder",
            "threads",
            session_id,
            number,
            None,
            OBSERVED,
            200,
            json.dumps({"data": page}).encode(),
        )
        for number, page in enumerate(pages, 1)
    ]
    return pl.DataFrame(rows, schema=PAGES, orient="row")


# What differs from the plain form by a little: seconds, digits, offsets, days that are none.
INSTANTS = st.from_regex(
    "(2026|1999|2200|0000|9999|\uff12026)-(0[2-3]|1[3])-(28|29|30|00)[T ](23|24):59:(59|6[0-1])"
    r"([.,][0-9]{0,10})?(Z|z|\+00:00|-23:59)?[ \n]?",
    fullmatch=True,
)


@given(st.lists(st.none() | INSTANTS | st.text(max_size=3)))
@example(["2026-02-28T12:00:05Z", "2026-11-26T12:00:05.123456789Z", "0001-01-01T00:00:00Z"])
def test_instants_of_a_column(texts: list[str | None]) -> None:
    """Timestamps that are read as a column are those that are read one by one."""
    frame = read_instants(pl.DataFrame({"at": texts}, {"at": pl.String()}))
    assert frame["at"].to_list() == [read_instant(text) for text in texts]


@given(st.dictionaries(st.sampled_from(["input_tokens", "x"]), st.sampled_from([1, "1", [], None])))
def test_drift_of_a_known_shape(usage: dict[str, Any]) -> None:
    """An object that is not looked into, because it is documented whole, holds nothing new."""
    origins = pl.DataFrame({"source": ["qoder"], "observed_at": [OBSERVED]})
    documented = Documented(fields={"usage": "object", "usage.input_tokens": "number"})
    drift = Drift({"qoder": documented})
    for _ in range(2):
        drift.add_fields(origins, ([0], [0]), usage=[usage])
    new = {name: value for name, value in usage.items() if value is not None}
    if isinstance(new.get("input_tokens"), int):
        del new["input_tokens"]
    expected = {(f"usage.{name}", KINDS[type(value)], 2) for name, value in new.items()}
    assert {row[:2] + row[3:4] for row in drift.frame().rows()} == expected


LEAVES = st.sampled_from([1, "1", None, True])
INSIDE = st.dictionaries(
    st.sampled_from(["input_tokens", "cache", "ids", "x", "[]"]),
    st.recursive(
        LEAVES,
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["input_tokens", "[]"]), inner, max_size=2)
        ),
        max_leaves=3,
    ),
    max_size=3,
)


@given(st.lists(INSIDE, max_size=5))
@example([{"ids": [None]}])
@example([{"[]": None}, {"ids": ["1"]}, {"cache": {"input_tokens": 1}}])
def test_drift_of_many_threads(usages: list[dict[str, Any]]) -> None:
    """What is new in objects is the same, whether they are looked at together or one by one."""
    documented = Documented(
        fields={
            "usage": "object",
            "usage.input_tokens": "number",
            "usage.cache": "object",
            "usage.cache.input_tokens": "number",
            "usage.ids": "array",
            "usage.ids[]": "string",
        }
    )
    paths, drift = Paths(documented, ()), Drift({"qoder": documented})
    for number, usage in enumerate(usages):
        paths.add("usage", usage, number, OBSERVED)
    origins = pl.DataFrame(
        {"source": ["qoder"] * len(usages), "observed_at": [OBSERVED] * len(usages)}
    )
    drift.add_fields(origins, (range(len(usages)), range(len(usages))), usage=usages)
    assert set(drift.frame().rows()) == set(paths.rows())


def test_pages_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads of a page whose digests are known are not read again from its bytes."""
    decoded, read_items = [], ItemReader.read_items

    def count(reader: ItemReader[Any], body: bytes, **keys: Any) -> list[Any]:
        decoded.append(body)
        return read_items(reader, body, **keys)

    monkeypatch.setattr(ItemReader, "read_items", count)
    pages = make_pages([{"id": "a"}, {"id": "b"}], [{"id": "c"}])
    digests = ThreadDigests(
        {"qoder": "qoder"}, lambda: pl.DataFrame(schema=KNOWN_THREADS), keep_agent_definition=False
    )
    digests.add(pages)
    items, _ = digests.leave_known(pages)
    assert [thread.id for page in items for thread in page.threads] == ["a", "b", "c"]
    assert decoded == pages["body"].to_list()


def test_drift_counts_threads() -> None:
    """A thread that is listed twice is one example, of when it first came with the field."""
    listed = [
        {"id": id_, "colour": colour}
        for id_, colour in [("a", None), ("b", "x"), ("c", "y"), ("a", "z"), ("b", "x")]
    ]
    pages = make_pages(*([thread] for thread in listed))
    times = [OBSERVED + timedelta(seconds=number) for number in range(len(listed))]
    drift = Drift({"qoder": Documented(fields={"id": "string"})})
    threads_frame(pages.with_columns(observed_at=pl.Series(times, dtype=TIMESTAMP)), drift=drift)
    (row,) = drift.frame().filter(path="colour").rows()
    assert row == ("colour", "string", None, 3, times[1])


def flatten(*threads: Any, **options: Any) -> list[dict[str, Any]]:
    """Return the rows of one page's threads, without what is null."""
    frame = threads_frame(make_pages(list(threads)), **options)
    assert frame.schema == THREADS
    return [
        {name: value for name, value in decode_json_columns(row).items() if value is not None}
        for row in frame.sort("thread_id").to_dicts()
    ]


def utc(*parts: int) -> datetime:
    """Return an instant."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def sample(name: str) -> Any:
    """Return a documented body."""
    return json.loads((SAMPLES / name).read_text(encoding="utf-8"))


def test_revision_a_sample() -> None:
    """The documented body of revision A becomes exactly these rows."""
    session_id = "sess_019f00000000000000000000000000aa"
    pages = make_pages(sample("list_threads.revision_a.json")["data"], session_id=session_id)
    common = {
        "source": "qoder",
        "session_id": session_id,
        "observed_at": OBSERVED,
        "agent_type": "agent",
        "agent_model": "ultimate",
        "is_open": True,
    }
    expected = [
        common
        | {
            "thread_id": "sthr_019f00000000000000000000000001aa",
            "role": "coordinator",
            "agent_id": "agent_019f000000000000000000000000001a",
            "agent_name": "task-coordinator",
            "agent_version": 1,
            "status": "idle",
            "stop_reason_type": "end_turn",
            "stop_reason": '{"type":"end_turn"}',
            "created_at": utc(2026, 6, 15, 8),
            "updated_at": utc(2026, 6, 15, 8, 5),
        },
        common
        | {
            "thread_id": "sthr_019f00000000000000000000000002bb",
            "parent_thread_id": "sthr_019f00000000000000000000000001aa",
            "role": "child",
            "name": "Research Agent",
            "created_by_tool_use_id": "toolu_bdrk_01T42NPLcKrBvLJfWgGt3QMt",
            "agent_id": "agent_019f000000000000000000000000002b",
            "agent_name": "Research Agent",
            "agent_version": 2,
            "status": "running",
            "created_at": utc(2026, 6, 15, 8, 1),
            "updated_at": utc(2026, 6, 15, 8, 1),
        },
    ]
    assert threads_frame(pages).sort("thread_id").to_dicts() == [
        dict.fromkeys(THREADS) | row for row in expected
    ]


def test_revision_b_sample() -> None:
    """The documented body of revision B becomes exactly these rows; roles are derived."""
    rows = flatten(*sample("list_threads.revision_b.json")["data"])
    other_session = {"session_id": "sess_019f00000000000000000000000000aa"}
    coordinator, child = rows
    assert coordinator == {
        "source": "qoder",
        "session_id": "sess_odd",
        "thread_id": "sthr_019f00000000000000000000000001aa",
        "observed_at": OBSERVED,
        "role": "coordinator",
        "agent_id": "agent_019f000000000000000000000000001a",
        "agent_type": "agent",
        "agent_version": 1,
        "status": "idle",
        "is_open": True,
        "created_at": utc(2026, 6, 15, 8),
        "updated_at": utc(2026, 6, 15, 8, 5),
        "extra": other_session,
    }
    assert child == {
        "source": "qoder",
        "session_id": "sess_odd",
        "thread_id": "sthr_019f00000000000000000000000003cc",
        "observed_at": OBSERVED,
        "parent_thread_id": "sthr_019f00000000000000000000000001aa",
        "role": "child",
        "agent_id": "agent_019f000000000000000000000000002b",
        "agent_type": "agent",
        "agent_version": 2,
        "status": "terminated",
        "is_open": False,
        "created_at": utc(2026, 6, 23, 5, 53, 19, 774840),
        "updated_at": utc(2026, 6, 23, 5, 58, 30),
        "archived_at": utc(2026, 6, 23, 5, 58, 30),
        "active_seconds": 41.7,
        "duration_seconds": 310.2,
        "startup_seconds": 0.0,
        "extra": other_session,
    }


ODD = {"source": "qoder", "session_id": "sess_odd", "observed_at": OBSERVED}
ODD_ROWS = [
    {
        "thread_id": "sthr_odd_01",
        "parent_thread_id": "sthr_odd_00",
        "role": "child",
        "agent_type": "advisor",
        "agent_model": "ultimate",
        "status": "terminated",
        "is_open": False,
        "created_at": utc(2026, 10, 1, 10, 0, 4),
        "updated_at": utc(2026, 10, 1, 10, 0, 7),
    },
    {
        "thread_id": "sthr_odd_02",
        "role": "coordinator",
        "agent_type": "agent",
        "agent_id": "agent_odd",
        "agent_version": 3,
        "agent_name": "Lead",
        "agent_model": "ultimate",
        "status": "running",
        "is_open": True,
        "startup_seconds": 2.1,
        "active_seconds": 9.0,
        "duration_seconds": 9.4,
        "growing": "active_seconds duration_seconds usage",
        "usage": {
            "input_tokens": 18230,
            "output_tokens": 2411,
            "list_cost": {"amount": "37", "currency": "USD"},
        },
        "created_at": utc(2026, 10, 1, 10),
        "updated_at": utc(2026, 10, 1, 10, 0, 9, 123456),
        "extra": {"agent": {"model": {"effective_context_window": 200000}}},
    },
    {
        "thread_id": "sthr_odd_03",
        "parent_thread_id": "sthr_odd_02",
        "role": "child",
        "agent_type": "inline",
        "agent_name": "step-2",
        "agent_model": "lite",
        "status": "hibernating",
        "stop_reason_type": "requires_action",
        "stop_reason": {"type": "requires_action", "event_ids": ["evt_1", "evt_2"]},
        "is_open": True,
        "created_at": utc(2026, 10, 1, 10, 0, 5, 500000),
        "updated_at": utc(2026, 10, 1, 10, 0, 8),
        "workflow_run_id": "wfr_011",
        "extra": {"agent": {"colour": "green"}, "priority": 7},
    },
    {
        "thread_id": "sthr_odd_04",
        "parent_thread_id": "sthr_odd_02",
        "role": "child",
        "name": "a\"b'c\nд线",
        "agent_id": "agent_odd",
        "agent_type": "agent",
        "agent_name": "a\"b'c\nд线",
        "agent_model": "lite",
        "agent_version": 1,
        "status": "idle",
        "is_open": True,
        "created_at": utc(2026, 10, 1, 10, 0, 5),
        "updated_at": utc(2026, 10, 1, 10, 0, 8, 250000),
    },
    {
        "thread_id": "sthr_odd_05",
        "parent_thread_id": "sthr_not_listed",
        "role": "child",
        "agent_id": "agent_odd",
        "agent_type": "agent",
        "agent_version": 1,
        "status": "archived",
        "stop_reason_type": "archive",
        "stop_reason": {"type": "archive"},
        "is_open": False,
        "created_at": utc(2026, 10, 1),
        "updated_at": utc(2026, 10, 2),
        "archived_at": utc(2026, 10, 2),
    },
]


def test_odd_samples() -> None:
    """Every odd but legal thread becomes exactly one row; prompt text is left out."""
    threads = [entry["thread"] for entry in sample("threads.odd.json")]
    assert flatten(*threads) == [ODD | row for row in ODD_ROWS]


def test_keep_agent_definition() -> None:
    """Prompt-bearing fields of the agent are kept when that is asked for."""
    threads = [entry["thread"] for entry in sample("threads.odd.json")]
    kept = flatten(*threads, keep_agent_definition=True)[1]["extra"]["agent"]
    assert kept["system"] == "SECRET PROMPT TEXT"
    assert kept["tools"] == [{"name": "bash"}]


WRONG = {
    "parent_thread_id": 7,
    "role": ["child"],
    "name": {"first": "x"},
    "created_by_tool_use_id": 1.5,
    "agent": "planner",
    "agent_id": 3,
    "agent_version": 2**64,
    "status": 5,
    "stop_reason": 5,
    "stats": [1],
    "usage": 12,
    "created_at": "0000-10-01T10:00:00",
    "updated_at": "yesterday",
    "archived_at": True,
    "type": "session",
    "session_id": 9,
}


def test_values_of_another_type() -> None:
    """A value that is not of the documented type is kept as it came, and its column is null."""
    assert flatten({"id": "t", **WRONG}) == [
        ODD | {"thread_id": "t", "role": "child", "is_open": False, "extra": WRONG}
    ]


@pytest.mark.parametrize("key", [name for name in WRONG if name not in {"type", "session_id"}])
@pytest.mark.parametrize("nothing", [None, {}])
def test_missing_null_and_empty_are_the_same(key: str, nothing: object) -> None:
    """Missing, null and {} mean the same for every field."""
    assert flatten({"id": "t", key: nothing}) == flatten({"id": "t"})


@pytest.mark.parametrize("key", sorted(NAMES))
def test_a_name_without_a_letter_is_none(key: str) -> None:
    """A text that says who or what a thread is of is not said if it is empty: it is no drift."""
    outer, _, name = key.rpartition(".")
    beside = {"id": "t", "agent_id": "a", "agent_name": "n", "agent": {"version": 1}}
    of_agent = {"id": "t", "agent": {"id": "a", "name": "n", "model": "m"}}
    for thread in ({"id": "t"}, beside, of_agent):
        inner: Any = thread.get(outer, {}) if outer else thread
        empty = {name: ""} | inner
        assert flatten(thread | {outer: empty} if outer else empty) == flatten(thread)


def test_both_agents_differ() -> None:
    """Where id and version beside the agent differ from its own, both are kept."""
    thread = {
        "id": "t",
        "agent_id": "a",
        "agent_version": 1,
        "agent": {"id": "b", "version": 2, "type": "agent"},
    }
    assert flatten(thread) == [
        ODD
        | {
            "thread_id": "t",
            "role": "coordinator",
            "is_open": True,
            "agent_id": "a",
            "agent_version": 1,
            "agent_type": "agent",
            "extra": {"agent": {"id": "b", "version": 2}},
        }
    ]


def test_empty_page() -> None:
    """A session without a thread gives no row, of the same types."""
    frame = threads_frame(make_pages([]))
    assert frame.schema == THREADS
    assert frame.height == 0


def test_what_is_no_thread_is_left_to_the_walk() -> None:
    """Objects without an id do not become rows, and do not hide those beside them."""
    assert [row["thread_id"] for row in flatten(None, {"id": "t"}, 3, {"id": ""}, {"id": 4})] == [
        "t"
    ]


def test_duplicates_keep_the_newest() -> None:
    """A thread listed twice is kept as of its newest updated_at; of equal ones the later."""
    old, new = "2026-10-01T00:00:00Z", "2026-10-01T00:00:00.1Z"
    first = [
        {"id": "t1", "updated_at": new, "status": "idle"},
        {"id": "t2", "updated_at": old, "status": "running"},
        {"id": "t3", "status": "running"},
    ]
    second = [
        {"id": "t1", "updated_at": old, "status": "running"},
        {"id": "t2", "updated_at": old, "status": "idle"},
        {"id": "t3", "updated_at": old, "status": "idle"},
    ]
    frame = threads_frame(make_pages(first, second))
    assert dict(frame.select("thread_id", "status").iter_rows()) == {
        "t1": "idle",
        "t2": "idle",
        "t3": "idle",
    }
    assert frame.height == 3


def test_status_filter_is_checked() -> None:
    """Threads in other statuses than asked for are left out: some servers ignore the filter."""
    poll = Poll(
        source="qoder",
        session_id="sess_odd",
        label=None,
        started_at=OBSERVED,
        finished_at=OBSERVED,
        outcome="complete",
        end_reason="has_more_false",
        status_filter="idle,running",
        pages=1,
        requests=1,
        retries=0,
        wait_seconds=0,
        bytes=0,
        threads_listed=3,
        duplicates=0,
    )
    threads = [{"id": s, "status": s} for s in ("idle", "running", "archived")] + [{"id": "none"}]
    frame = threads_frame(make_pages(threads), [poll])
    assert sorted(frame["thread_id"]) == ["idle", "running"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
TEXT = st.text(st.characters(codec="utf-8"))
KNOWN = st.sampled_from(
    ["parent_thread_id", "role", "name", "agent_id", "agent_version", "status", "stop_reason",
     "stats", "usage", "created_at", "created_by_tool_use_id"]
)  # fmt: skip
AGENTS = st.dictionaries(st.sampled_from(["id", "type", "name", "model", "version", "x"]), JSON)
THREAD = st.builds(
    lambda fields, agent: fields | {"id": "t", "agent": agent},
    st.dictionaries(KNOWN | TEXT, JSON, max_size=6),
    AGENTS | JSON,
)
COLUMN_OF = {
    ("parent_thread_id",): "parent_thread_id",
    ("role",): "role",
    ("name",): "name",
    ("created_by_tool_use_id",): "created_by_tool_use_id",
    ("agent_id",): "agent_id",
    ("agent_version",): "agent_version",
    ("workflow_run_id",): "workflow_run_id",
    ("agent", "id"): "agent_id",
    ("agent", "type"): "agent_type",
    ("agent", "name"): "agent_name",
    ("agent", "model"): "agent_model",
    ("agent", "model", "id"): "agent_model",
    ("agent", "version"): "agent_version",
    ("status",): "status",
    ("stats", "active_seconds"): "active_seconds",
    ("stats", "duration_seconds"): "duration_seconds",
    ("stats", "startup_seconds"): "startup_seconds",
}


def leaves(value: object, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    """Return path -> value of everything that is known in an object."""
    if isinstance(value, dict):
        inner = (leaves(item, (*path, key)) for key, item in value.items())
        return {key: item for part in inner for key, item in part.items()}
    return {} if value is None else {path: value}


@given(thread=THREAD)
@example(thread={"id": "t", "agent": {"id": ""}})
@example(thread={"id": "t", "agent": "x", "stats": {"y": 1}})
@example(thread={"id": "t", "stop_reason": "end_turn"})
@example(thread={"id": "t", "stop_reason": ""})
def test_nothing_is_lost(thread: dict[str, Any]) -> None:
    """Whatever a thread holds is found again: in its column, or in `extra` under its path."""
    (row,) = flatten(thread)
    found = leaves(row.get("extra", {})) | leaves(
        {name: row[name] for name in ("stop_reason", "usage") if name in row}
    )
    for path, value in leaves(thread).items():
        is_prompt = ".".join(map(str, path[:2])) in PROMPT_FIELDS
        is_unsaid = value == "" and ".".join(path) in {*NAMES, "agent.model.id"}
        if is_prompt or is_unsaid or path == ("id",):
            continue
        if path in found:
            assert found[path] == value
        elif path == ("created_at",):
            assert row["created_at"] == datetime.fromisoformat(str(value)).astimezone(UTC)
        elif path == ("type",):
            assert value == "session_thread"
        elif path == ("stop_reason",):  # a plain text is the type
            assert row.get("stop_reason") == ({"type": value} if value else None)
        else:
            assert row[COLUMN_OF[path]] == value


STAMP = st.datetimes().map(lambda moment: moment.isoformat() + "Z") | st.just("yesterday")
INTEGER = st.integers(-(2**63), 2**63 - 1)
ANY_OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
ANY_AGENT = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("id", "type", "name"), st.none() | TEXT)
    | {"model": st.none() | TEXT | st.just({"id": "m"}), "version": st.none() | INTEGER},
)
ANY_STATS = st.dictionaries(
    st.sampled_from(["active_seconds", "duration_seconds", "startup_seconds"]),
    st.none() | INTEGER | st.floats(allow_nan=False, allow_infinity=False),
)
DOCUMENTED = st.fixed_dictionaries(
    {"id": st.text(min_size=1)},
    optional=dict.fromkeys(
        ("session_id", "parent_thread_id", "role", "name", "created_by_tool_use_id", "agent_id",
         "status"),
        st.none() | TEXT,
    )
    | dict.fromkeys(("created_at", "updated_at", "archived_at"), st.none() | STAMP)
    | dict.fromkeys(("stop_reason", "usage"), st.none() | ANY_OBJECT)
    | {"agent": st.none() | ANY_AGENT, "stats": st.none() | ANY_STATS, "agent_version": INTEGER}
    | {"type": st.just("session_thread")},
)  # fmt: skip


@given(thread=DOCUMENTED)
def test_both_ways_to_read_a_thread_agree(thread: dict[str, Any]) -> None:
    """What fits the documented shape is read at once exactly as it is read field by field."""
    body = json.dumps(thread).encode()
    assert split(msgspec.json.decode(body), Thread) == (msgspec.json.decode(body, type=Thread), {})
    other = "no field of ours"
    (plain,), (odd,) = flatten(thread), flatten(thread | {other: 1})
    assert odd.pop("extra") == plain.pop("extra", {}) | {other: 1}
    assert odd == plain


@pytest.mark.parametrize(
    ("archived_at", "is_open"),
    [
        ("2026-11-26T20:32:55.369800", False),
        ("2026-11-26 20:32:55", False),
        ("some day", False),
        (1764158405, False),
        ("0001-01-01T00:00:00Z", True),
        ("9999-12-31T00:00:00", True),
        ("", True),
    ],
)
def test_archival(archived_at: object, is_open: bool) -> None:  # noqa: FBT001
    """What is archived is closed, however the time is written; "not set" archives nothing."""
    (row,) = flatten({"id": "t", "status": "idle", "archived_at": archived_at})
    assert row["is_open"] is is_open


@pytest.mark.parametrize("reason", ["end_turn", "requires_action", "something_new"])
def test_stop_reason_as_a_text(reason: str) -> None:
    """A stop reason that is a plain text is its type."""
    assert flatten({"id": "t", "stop_reason": reason}) == flatten(
        {"id": "t", "stop_reason": {"type": reason}}
    )


def test_reading_has_a_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """It changes with a column, a documented field, a closed status or a derivation alone."""
    before = {describe_reading()}
    monkeypatch.setattr("pipelines.__version__", "99")
    assert {describe_reading()} == before
    changes = {
        "THREADS": pl.Schema({**THREADS, "colour": pl.String()}),
        "CLOSED": ("archived",),
        "DERIVATIONS": 0,
    }
    for name, value in changes.items():
        with monkeypatch.context() as patch:
            patch.setattr(f"pipelines.frames.threads.{name}", value)
            before.add(describe_reading())
    assert len(before) == 4
    assert describe_fields(Thread)["agent"][1]["model"][1] == {"id": "str | None"}
