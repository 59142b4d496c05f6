"""Directories of our own: private to their owner, and safe from a loss of power."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipelines.errors import LandingError

if TYPE_CHECKING:
    from pathlib import Path

HINT = "Let SESSION_THREADS_HOME name a directory of yours"


def make_private(directory: Path) -> None:
    """Make the directory, and what is missing above it, for its owner alone.

    Raises LandingError where that cannot be, or nothing can be written there.
    """
    try:
        if not directory.is_dir():
            make_private(directory.parent)
            directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LandingError(f"{directory}: cannot be made ({error}). {HINT}") from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise LandingError(f"{directory}: cannot be written to. {HINT}")


def sync_directory(directory: Path) -> None:
    """Make a rename in the directory survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
