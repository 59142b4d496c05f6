"""Tables for people: an analysis at several widths, and words that are shortened."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from pipelines.cli.tables import SHORTEST, Column, fit, format_value
from pipelines.warehouse.analyses import list_analyses
from tests.builders import land, load_all, publish_all, thread
from tests.support import invoke

if TYPE_CHECKING:
    from pathlib import Path

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
POLLED = 500
HEADER = ["reason", "severity", "quiet", "agent_name", "thread_id", "status", "name"]
PLACE = "of the payments team's monorepo, branch release/2026.11, region eu-central-1, part"


def long_id(prefix: str, number: int) -> str:
    """Return an id as the API makes them: their beginnings are alike."""
    return f"{prefix}_019f{number % 7:04d}{number:024x}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory with threads of forty agents, of which some need a person."""
    home = tmp_path_factory.mktemp("fleet")
    threads = [
        thread(
            long_id("thread", number),
            "blocked" if number % 2 else "running",
            updated=5 * number,
            created_at=f"2026-10-01T00:00:{number % 60:02d}Z",
            agent={
                "id": long_id("agent", number % 40),
                "name": f"agent {number % 40} {PLACE}",
                "version": 1,
            },
            name=f"Look into step {number}",
        )
        for number in range(80)
    ]
    land(home, POLLED, *threads)
    load_all(home)
    publish_all(home, list_analyses())
    return home


@pytest.fixture(autouse=True)
def environment(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands look at the fleet."""
    monkeypatch.setenv("SESSION_THREADS_HOME", str(fleet))


def show(width: int, *arguments: str) -> list[str]:
    """Return the lines that `show` prints on a terminal of that width."""
    done = invoke("show", *arguments, COLUMNS=str(width), FORCE_COLOR="1", TERM="xterm")
    assert done.returncode == 0, done.stderr
    return ESCAPES.sub("", done.stdout).splitlines()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_every_analysis_fits(width: int) -> None:
    """No line is wider than the terminal, no row takes two, and what is left out is named."""
    for name, analysis in list_analyses().items():
        lines = show(width, name)
        assert max(map(cell_len, lines)) <= width, name
        said = " ".join(lines).replace("no rows", " ".join(analysis.header.columns))
        missing = [c for c in analysis.header.columns if c.removesuffix("_seconds") not in said]
        assert (name, missing) == (name, [])


@pytest.mark.parametrize("width", [80, 100])
def test_attention(width: int) -> None:
    """Reason, severity, age, agent and thread are readable side by side, a line for a thread."""
    header, _, *lines = show(width, "attention")
    assert header.split() == HEADER
    rows = [line.split("  ") for line in lines[:80]]
    assert {len([cell for cell in row if cell]) for row in rows} == {len(HEADER)}
    notes = " ".join(lines[80:])
    assert notes.startswith(
        "the same in every row: source qoder, session_id sess_1, session_label (empty), "
    )
    words = {cell.strip() for row in rows for cell in row if "…" in cell}
    assert len([word for word in words if re.fullmatch(r"thread_0\w*…\w+", word)]) == 80


def test_pipe() -> None:
    """A pipe gets the same columns with whole ids; --wide and --columns say which else."""
    header, _, first, *_ = invoke("show", "attention").stdout.splitlines()
    assert header.split() == HEADER
    assert re.search(rf"agent 0 {PLACE} +thread_\w{{32}}  ", first)
    wide = invoke("show", "attention", "--wide").stdout.splitlines()
    columns = [c.removesuffix("_seconds") for c in list_analyses()["attention"].header.columns]
    assert (wide[0].split(), len(wide)) == (columns, 2 + 80)
    some = invoke("show", "attention", "--columns", "role, Quiet").stdout.splitlines()
    assert (some[0].split(), len(some)) == (["role", "quiet"], 2 + 80)
    names = "thread_id,agent,session_id,role,status,as_of"
    narrow = show(60, "attention", "--columns", names, "--limit", "1")
    assert [line.split()[0] for line in narrow] == ["row", *names.split(",")]


def test_order_and_columns_of_data() -> None:
    """Rows are sorted and columns chosen in data as in tables; a sorted column is shown."""
    options = ("--sort", "quiet", "--limit", "3")
    data = ("--columns", "thread_id,quiet_seconds", "--format", "jsonl")
    up, down = (
        [
            json.loads(line)
            for line in invoke("show", "attention", *order, *data).stdout.splitlines()
        ]
        for order in (options, (*options, "--desc"))
    )
    assert [row["quiet_seconds"] for row in up] == sorted(row["quiet_seconds"] for row in up)
    assert down[0]["thread_id"] == long_id("thread", 0)
    assert down[0]["quiet_seconds"] > up[0]["quiet_seconds"]
    assert down[0].keys() == {"thread_id", "quiet_seconds"}
    assert show(80, "thread_durations", "--sort", "agent")[0].split()[0] == "agent"
    label = show(80, "thread_durations", "--sort", "session_label", "--limit", "1")
    assert label[0].split()[:2] == ["session_id", "thread_id"]
    assert label[2].split()[0] == "sess_1"
    everything = json.loads(invoke("show", "attention", "--format", "json").stdout)
    assert list(everything[0]) == list(list_analyses()["attention"].header.columns)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--columns", "thread"], "--columns thread: there is no such column. Did you mean "),
        (["--columns", ""], "--columns : there is no such column. The columns are: source, "),
        (["--columns", "role,,agent"], "--columns : there is no such column. The columns are: "),
        (["--sort", "severitty"], "--sort severitty: there is no such column. Did you mean sever"),
        (["--sort", 'role"; --'], '--sort role"; --: there is no such column'),
        (["--desc"], "--desc needs --sort COLUMN"),
    ],
)
def test_rejected_choices(options: list[str], line: str) -> None:
    """A column that is none is one line that names it, and what may have been meant."""
    done = invoke("show", "attention", *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"session-threads: {line}")


def test_headers_obey_nothing() -> None:
    """A column that is named by data commands no terminal, in a table or upright."""
    query = 'SELECT 1 AS "[bold]x\x1b[2J\u202e", 2 AS "[/]"'
    for more in ("", f", '{'x' * 90}' AS long"):
        done = invoke("sql", query + more, COLUMNS="80", FORCE_COLOR="1", TERM="xterm")
        assert "[bold]x�[2J�" in ESCAPES.sub("", done.stdout)
        assert "[/]" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 140])
def test_several_sessions(
    width: int, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions without labels are their ids, shortened as ids are, which no line calls empty.

    `sessions` takes a line for each, too.
    """
    home = tmp_path_factory.mktemp("sessions")
    monkeypatch.setenv("SESSION_THREADS_HOME", str(home))
    ids = [long_id("sess", number) for number in range(8)]
    for number, id_ in enumerate(ids):
        land(home, number, thread("a", "blocked"), session_id=id_)
    load_all(home)
    publish_all(home, list_analyses())
    for arguments in (["show", "attention"], ["show", "session_summary"], ["sessions"]):
        done = invoke(*arguments, COLUMNS=str(width), FORCE_COLOR="1", TERM="xterm")
        header, _, *lines = ESCAPES.sub("", done.stdout).splitlines()
        assert "session_id" in header
        assert not {"label", "session_label", "name"} & set(header.split())
        assert max(map(cell_len, [header, *lines])) <= width
        shown = [word for line in lines[: len(ids)] for word in line.split() if "sess_" in word]
        assert len(set(shown)) == len(ids)
        assert arguments[-1] != "attention" or (shown[0] in ids) is (width > 40)


def make_words(*words: str) -> Column:
    """Return a column of words."""
    return Column("word", words)


@pytest.mark.parametrize(
    "words",
    [
        [long_id("sess", number) for number in range(60)],
        [f"{number:032x}sess_019f" for number in range(60)],
        [f"sess_019f{number:020x}00000000" for number in range(60)],
        [f"{'x' * 30}{number}{'y' * 30}@{version}" for number in range(5) for version in range(12)],
        ["日本" * 20 + str(number) for number in range(20)],
        ["x" * 40, "x" * 41, "x" * 42, "x" * 5 + "…" + "x" * 6],
    ],
    ids=["end", "beginning", "middle", "both", "wide letters", "length"],
)
def test_words_stay_apart(words: list[str]) -> None:
    """Words that are shortened differ as they did, wherever they differ."""
    (column,) = fit([make_words(*words)], 20)
    assert len(set(column.cells)) == len(words)


@pytest.mark.parametrize("amount", ["139.5", "150", "0", "0.000000001", "13162.42"])
def test_amounts_have_no_empty_digits(amount: str) -> None:
    """An amount is shown with the digits that it has, whatever its column could hold."""
    assert format_value(Decimal(amount).quantize(Decimal("1e-9"))) == amount


def test_least_important_first() -> None:
    """If even short words do not fit, the last columns go; the first one never does."""
    columns = [make_words(long_id("sess", number)) for number in range(4)]
    assert len(fit(columns, 4 * SHORTEST + 3 * 2)) == 4
    assert len(fit(columns, 4 * SHORTEST + 3 * 2 - 1)) == 3
    assert len(fit(columns, 1)) == 1


def test_report_is_html() -> None:
    """A report is written under no name of another format."""
    for name in ("r.pdf", "r.csv", "r.TXT"):
        done = invoke("report", "--out", name)
        assert (done.returncode, done.stdout) == (2, "")
        line = f"session-threads: --out {name}: the report is HTML. End the name in .html\n"
        assert done.stderr == line
