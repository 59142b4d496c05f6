"""A configuration to begin with: every key, its default and what it means."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from pipelines.config.document import DEFAULT_FILE
from pipelines.config.loader import load_settings
from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.config.settings import Preset

# Every key with its default, as the README prints it; its sessions are examples.
EXAMPLE = Path(__file__).with_name(DEFAULT_FILE)
HEAD = """\
# What session-threads polls. Everything but the sessions has a default, which stands here as a
# comment. The token is in no file, but in a variable: export QODER_PAT=pt-…
"""
# A line with a default: its indentation, key and value, and the spaces before what it means.
DEFAULT = re.compile(r"^( *+)(?!- |sources:|sessions:)(.+?)(?:  ( *#.*))?$", re.MULTILINE)


def write_example(
    presets: Mapping[str, Preset], environ: Mapping[str, str], session_ids: Sequence[str]
) -> Path:
    """Write a commented configuration of these sessions for its owner to read; return its path.

    Raises SettingsError if there is a file already, or what would be written is rejected.
    """
    path = Path(environ.get("SESSION_THREADS_CONFIG") or DEFAULT_FILE)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        fix = "Edit it, or move it away."
        raise SettingsError(str(path), "there is such a file already", fix) from None
    except OSError as error:
        fix = "Name another place in SESSION_THREADS_CONFIG."
        raise SettingsError(str(path), f"cannot be made ({error.strerror})", fix) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(write_text(session_ids))
        load_settings(presets, {"SESSION_THREADS_CONFIG": str(path)}, with_tokens=False)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    return path


def write_text(session_ids: Sequence[str]) -> str:
    """Return the configuration as YAML: every key, and these sessions or examples of them."""
    text = EXAMPLE.read_text(encoding="utf-8")
    before, examples, after = re.split(r"((?<=    sessions:\n)(?:      .*\n)+)", text)
    listed = yaml.safe_dump(list(session_ids), allow_unicode=True).splitlines()
    sessions = "".join(f"      {line}\n" for line in listed) if session_ids else examples
    return f"{HEAD}\n{comment_out(before)}{sessions}{comment_out(after)}"


def comment_out(text: str) -> str:
    """Return lines of defaults as comments, and what they mean where it was."""
    return DEFAULT.sub(lambda line: f"{line[1]}# {line[2]}{line[3] or ''}", text)
