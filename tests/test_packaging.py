"""What leaves the checkout: the wheel, and the locks from which an environment is made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines import __version__
from pipelines.sandbox.world import World
from tests.support import ROOT, read_table, serve_world

if TYPE_CHECKING:
    from collections.abc import Iterable

RUNTIME = "requirements.lock"
DEVELOPMENT = "requirements-dev.lock"
PEERS = "benchmarks/requirements.txt"
PIN = re.compile(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[\w.+!]+( ; [^:]+)?")  # extras, version, marker
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def run(*arguments: str | Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command; with `path`, Python finds its modules there before the checkout's."""
    places = [str(path)] if path else []
    return subprocess.run(
        arguments,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*places, os.environ["PYTHONPATH"]])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def pip(command: str, *arguments: str | Path) -> None:
    """Run pip with what is here: it asks no index and resolves nothing."""
    options = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    done = run(sys.executable, "-m", "pip", command, *options, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory into which a wheel of the checkout is installed."""
    wheels = tmp_path_factory.mktemp("wheels")
    target = tmp_path_factory.mktemp("installed")
    pip("wheel", "--no-build-isolation", "--wheel-dir", wheels, ROOT)
    (wheel,) = wheels.iterdir()
    pip("install", "--target", target, wheel)
    return target


@pytest.mark.packaging
def test_wheel_holds_the_package_alone(installed: Path) -> None:
    """The package brings all of its SQL files and templates, and puts nothing beside itself."""
    metadata = f"session_threads-{__version__}.dist-info"
    assert {path.name for path in installed.iterdir()} == {"bin", "pipelines", metadata}
    found = {path.relative_to(ROOT / "sql") for path in (ROOT / "sql").rglob("*.sql")}
    packed = installed / "pipelines" / "sql"
    assert {path.relative_to(packed) for path in packed.rglob("*.sql")} == found
    templates = Path("pipelines", "reporting", "report", "templates")
    assert list_names(installed / templates) == list_names(ROOT / templates)
    done = run(sys.executable, "-c", "import pipelines; print(pipelines.__file__)", path=installed)
    assert Path(done.stdout.strip()) == installed / "pipelines" / "__init__.py"


def list_names(directory: Path) -> set[str]:
    """Return the names of a directory's files."""
    return {path.name for path in directory.iterdir()}


@pytest.mark.packaging
def test_installed_command_shows_the_analyses(installed: Path) -> None:
    """The installed command lists the analyses that came with it."""
    done = run(installed / "bin" / "session-threads", "show", path=installed)
    assert done.returncode == 0, done.stderr
    for analysis in (ROOT / "sql" / "analyses").glob("*.sql"):
        assert analysis.stem in done.stdout


@pytest.mark.packaging
def test_installed_command_runs_the_job(
    installed: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The installed command polls, publishes and reports with no checkout about it."""
    world = World([5, 1])
    with serve_world(world, monkeypatch):
        done = run(installed / "bin" / "session-threads", "run", path=installed)
    assert done.returncode == 0, done.stderr
    done = run(installed / "bin" / "session-threads", "report", path=installed)
    assert done.returncode == 0, done.stderr
    published = read_table(home / "threads.duckdb", "SELECT DISTINCT session_id FROM threads")
    assert {row["session_id"] for row in published} == world.sessions.keys()


def read_lock(name: str) -> dict[str, set[str]]:
    """Return requirement -> hashes of a lock; every line must be a pin or the hash of one."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    locked: dict[str, set[str]] = {}
    for line in (line.removesuffix("\\").rstrip() for line in lines):
        if line.startswith(" "):
            assert HASH.fullmatch(line.strip()), line
            locked[list(locked)[-1]].add(line.strip())
        else:
            assert PIN.fullmatch(line), line
            locked[line] = set()
    return locked


def read_pins(name: str) -> dict[str, set[str]]:
    """Return name and version -> hashes; for which platforms each lock says for itself."""
    return {pin.partition(" ;")[0]: hashes for pin, hashes in read_lock(name).items()}


@pytest.mark.parametrize("name", [RUNTIME, DEVELOPMENT, PEERS])
def test_lock_pins_all_with_hashes(name: str) -> None:
    """A lock holds pins and their hashes, nothing else: no URL, no index, no option."""
    locked = read_lock(name)
    assert all(locked.values())
    assert "duckdb==1.5.5" in locked


def test_locks_agree() -> None:
    """Tests run on what users run: the development lock holds every pin of the runtime's."""
    runtime, development = read_pins(RUNTIME), read_pins(DEVELOPMENT)
    assert {pin: development.get(pin) for pin in runtime} == runtime


def test_locks_follow_the_project() -> None:
    """Whatever pyproject.toml asks for is locked, and constraints.txt is obeyed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    runtime = [*project["project"]["dependencies"], *groups["build"]]
    development = [entry for entry in groups["dev"] if isinstance(entry, str)]
    assert read_names(runtime) <= read_names(read_lock(RUNTIME))
    assert read_names(development) <= read_names(read_lock(DEVELOPMENT))
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    held = {line for line in constraints if line and not line.startswith("#")}
    assert held <= read_lock(RUNTIME).keys()


def read_names(requirements: Iterable[str]) -> set[str]:
    """Return the names of the distributions."""
    return {re.split(r"[^\w-]", requirement)[0].lower() for requirement in requirements}
