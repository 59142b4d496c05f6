"""The configuration that `init` writes: complete, commented, accepted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pipelines.config.example import EXAMPLE
from pipelines.config.loader import load_settings
from pipelines.config.settings import Settings, Source
from pipelines.providers.registry import PROVIDERS
from pipelines.sandbox.world import World
from tests.support import invoke, serve_world

COMMENT = re.compile(r"^( *)# (\w+:.*)$", re.MULTILINE)


def test_every_key_is_a_comment() -> None:
    """Every key of the model but the sessions is there as a comment, with its default."""
    assert invoke("init", "sess_a", "123").returncode == 0
    text = Path("sessions.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == {"sources": [{"name": "qoder", "sessions": ["sess_a", "123"]}]}
    whole = COMMENT.sub(r"\1\2", text)
    document = yaml.safe_load(whole)
    assert document.keys() == Settings.model_fields.keys()
    assert document["sources"][0].keys() == Source.model_fields.keys()
    Path("all.yaml").write_text(whole, encoding="utf-8")
    commented, bare = (
        load_settings(PROVIDERS, {"SESSION_THREADS_CONFIG": name}, with_tokens=False)
        for name in ("all.yaml", "sessions.yaml")
    )
    own = {"sources": {"__all__": {"token_env"}}}
    assert commented.model_dump(exclude=own) == bare.model_dump(exclude=own)


def test_check_accepts_it(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """What init has written passes check, with sessions it names or of the variable."""
    world = World([3, 2])
    with serve_world(world, monkeypatch):
        assert invoke("init").returncode == 0
        assert invoke("check").returncode == 0
        monkeypatch.delenv("QODER_SESSION_IDS")
        monkeypatch.setenv("SESSION_THREADS_CONFIG", "own.yaml")
        written = invoke("init", *world.sessions)
        assert written.stdout.splitlines()[0] == "own.yaml: written. Next:"
        assert invoke("check").returncode == 0
    assert Path("own.yaml").stat().st_mode & 0o777 == 0o600
    assert home.exists()


@pytest.mark.parametrize(
    ("ids", "line"),
    [
        (["a/b"], "sessions.yaml: sources[0].sessions[0].id: must not contain a slash"),
        (["a", "a"], "sessions.yaml: sources[0].sessions: the session 'a' is"),
        (["pt-secret"], "sessions.yaml: "),
    ],
)
def test_rejected_sessions(ids: list[str], line: str) -> None:
    """Sessions that would be rejected are one line, and leave no file."""
    done = invoke("init", *ids)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"session-threads: {line}")
    assert not Path("sessions.yaml").exists()


def test_nothing_is_overwritten() -> None:
    """A file that is there stays, and so does what a link points to, or would."""
    Path("sessions.yaml").symlink_to("elsewhere.yaml")
    done = invoke("init", "sess_a")
    assert (done.returncode, done.stderr) == (
        2,
        "session-threads: sessions.yaml: there is such a file already. Edit it, or move it away.\n",
    )
    assert not Path("elsewhere.yaml").exists()
    away = invoke("init", SESSION_THREADS_CONFIG="none/s.yaml")
    assert "none/s.yaml: cannot be made (No such file or directory)" in away.stderr


def test_readme_prints_it() -> None:
    """The example is what the README prints."""
    readme = EXAMPLE.parents[2] / "README.md"
    assert f"```yaml\n{EXAMPLE.read_text(encoding='utf-8')}```" in readme.read_text(
        encoding="utf-8"
    )
